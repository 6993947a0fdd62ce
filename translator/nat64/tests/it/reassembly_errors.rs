//! What the sender of fragments hears: that their rest has not come, or that they are none (RFC 792, RFC 8200 §4.5); and
//! what an operator can say of the store.

use std::time::Duration;

use nat64::{DropReason, Reassembly, Side};
use packet::ipv6::Fragment;

use crate::fragments::{lab_with_session, payload};
use crate::lab::{Lab, Outcome, POOL4, at, icmp, udp, via};
use crate::trains::{cut, fragment, part};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";
const SECOND: Duration = Duration::from_secs(1);

fn lab_bounded_by(change: impl FnOnce(&mut Reassembly)) -> Lab {
    Lab::with(|config| change(&mut config.limits.reassembly))
}

#[test]
fn who_sent_a_first_fragment_hears_that_the_rest_has_not_come() {
    let mut lab = Lab::new();
    let first = part(&udp(WEB, &via(DNS), &payload(100)), (0, 48), 7);
    assert_eq!(lab.inside(&first), Outcome::Taken);

    lab.pass(SECOND * 59);
    assert!(lab.transmits().is_empty());
    lab.pass(SECOND);

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.payload), (Side::Inside, Some((3, 1)), first));
    assert_eq!((error.source.ip().to_string(), error.destination.ip()), ("fd64:ff9b::1".into(), at(WEB).ip()));
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 1);
}

#[test]
fn outside_only_those_hear_it_who_speak_to_somebody() {
    let (mut lab, outer) = lab_with_session(WEB);
    let first = part(&udp(DNS, &outer, &payload(100)), (0, 48), 7);
    lab.outside(&first);
    lab.outside(&part(&udp(DNS, &format!("{POOL4}:5"), &payload(100)), (0, 48), 8));

    lab.pass(SECOND * 15);

    let (side, error) = lab.reply();
    assert_eq!((side, error.icmp, error.payload), (Side::Outside, Some((11, 1)), first));
    assert_eq!((error.source.ip(), error.destination.ip()), (POOL4.into(), at(DNS).ip()));
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 2);
}

#[test]
fn an_echo_from_outside_in_part_is_answered_by_its_identifier() {
    let mut lab = Lab::new();
    let ping = lab.inside(&crate::lab::echo("2001:db8:1:2::7", "64:ff9b::808:808", 128, 77)).sent();
    let [high, low] = ping.source.port().to_be_bytes();
    let pong = icmp("8.8.8.8", &POOL4.to_string(), (0, 0), [high, low, 0, 7], &payload(100));
    lab.outside(&part(&pong, (0, 48), 7));

    lab.pass(SECOND * 15);

    assert_eq!(lab.reply().1.icmp, Some((11, 1)));
}

#[test]
fn without_the_first_fragment_or_about_an_error_nothing_is_said() {
    let mut lab = Lab::new();
    lab.inside(&part(&udp(WEB, &via(DNS), &payload(100)), (48, 96), 7));
    let error = icmp("2001:db8:1:2::7", "64:ff9b::909:909", (1, 4), [0; 4], &payload(100));
    lab.inside(&part(&error, (0, 48), 8));

    lab.pass(SECOND * 60);

    assert!(lab.transmits().is_empty());
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 2);
}

#[test]
fn a_flood_of_first_fragments_brings_no_flood_of_errors() {
    let mut lab = Lab::new();
    for identification in 0..200 {
        lab.inside(&part(&udp(WEB, &via(DNS), &payload(100)), (0, 48), identification));
    }

    lab.pass(SECOND * 60);

    assert_eq!((lab.transmits().len(), lab.engine.stats().errors_suppressed), (50, 150));
}

#[test]
fn a_fragment_of_odd_length_is_answered_with_a_pointer_to_its_length() {
    // RFC 8200 §4.5.
    let mut lab = Lab::new();
    let whole = udp(WEB, &via(DNS), &payload(100));
    for offset_bytes in [0, 48] {
        let place = Fragment { offset_bytes, more: true, identification: 7 };
        let bytes = fragment(&whole[..40], &whole[40..81], place);

        assert_eq!(lab.inside(&bytes).dropped(), DropReason::Malformed);
        let (side, error) = lab.reply();
        assert_eq!((side, error.icmp, error.rest), (Side::Inside, Some((4, 0)), [0, 0, 0, 4]));
    }
    assert_eq!(lab.engine.poll_timeout(), None);
}

#[test]
fn a_fragment_beyond_64_kib_is_answered_with_a_pointer_to_its_offset() {
    // RFC 8200 §4.5, also behind another extension header.
    let mut lab = Lab::new();
    let whole = udp(WEB, &via(DNS), &payload(100));
    let place = Fragment { offset_bytes: 65_528, more: false, identification: 7 };
    let plain = fragment(&whole[..40], &whole[40..48], place);
    let mut extended = [&plain[..40], &[44, 0, 1, 4, 0, 0, 0, 0], &plain[40..]].concat();
    (extended[5], extended[6]) = (extended[5] + 8, 60);

    for (bytes, pointer) in [(plain, 42), (extended, 50)] {
        assert_eq!(lab.inside(&bytes).dropped(), DropReason::Malformed);
        assert_eq!((lab.reply().1.icmp, lab.engine.poll_timeout()), (Some((4, 0)), None));
        lab.inside(&bytes);
        assert_eq!(lab.reply().1.rest, [0, 0, 0, pointer]);
    }
}

#[test]
fn a_datagram_that_only_ipv6_can_hold_is_too_big() {
    let mut lab = Lab::new();
    let whole = udp(WEB, &via(DNS), &payload(100));
    let place = Fragment { offset_bytes: 65_512, more: false, identification: 7 };

    assert_eq!(lab.inside(&fragment(&whole[..40], &whole[40..48], place)).dropped(), DropReason::PacketTooBig);
}

#[test]
fn wrong_fragments_of_what_may_be_an_error_and_of_ipv4_are_not_answered() {
    let (mut lab, outer) = lab_with_session(WEB);
    let whole = icmp("2001:db8:1:2::7", "64:ff9b::909:909", (1, 4), [0; 4], &payload(100));
    let later = Fragment { offset_bytes: 48, more: true, identification: 7 };
    assert_eq!(lab.inside(&fragment(&whole[..40], &[1; 9], later)).dropped(), DropReason::Malformed);
    let whole = udp(DNS, &outer, &payload(100));
    assert_eq!(lab.outside(&fragment(&whole[..20], &[1; 9], later)).dropped(), DropReason::Malformed);

    assert!(lab.transmits().is_empty());
}

#[test]
fn every_bound_is_the_operators_and_has_a_counter() {
    let small = |identification, at: usize| part(&udp(WEB, &via(DNS), &payload(400)), (at, at + 8), identification);
    let dropped = |mut lab: Lab, fragments: &[Vec<u8>]| {
        fragments.iter().for_each(|bytes| drop(lab.inside(bytes)));
        lab.engine.stats().drops().collect::<Vec<_>>()
    };

    let bytes = lab_bounded_by(|bounds| bounds.bytes = 100);
    assert_eq!(dropped(bytes, &[small(1, 8)]), [(DropReason::FragmentsFull, 1)]);
    let of_source = lab_bounded_by(|bounds| bounds.bytes_per_source = 100);
    assert_eq!(dropped(of_source, &[small(1, 8)]), [(DropReason::FragmentsSourceFull, 1)]);
    let datagrams = lab_bounded_by(|bounds| bounds.datagrams = 2);
    assert_eq!(dropped(datagrams, &[1, 2, 3].map(|id| small(id, 8))), [(DropReason::FragmentsFull, 1)]);
    let of_source = lab_bounded_by(|bounds| bounds.datagrams_per_source = 2);
    assert_eq!(dropped(of_source, &[1, 2, 3].map(|id| small(id, 8))), [(DropReason::FragmentsSourceFull, 1)]);
    let parts = lab_bounded_by(|bounds| bounds.fragments_per_datagram = 2);
    assert_eq!(dropped(parts, &[8, 16, 24].map(|at| small(1, at))), [(DropReason::FragmentsTooMany, 1)]);
}

#[test]
fn how_long_fragments_wait_is_the_operators_within_what_the_rfcs_allow() {
    for (asked, expected) in [(0, [2, 2]), (30, [30, 30]), (600, [120, 60])] {
        let (mut lab, outer) = lab_with_session(WEB);
        lab.reconfigure(|config| {
            let bounds = &mut config.limits.reassembly;
            (bounds.time4, bounds.time6) = (SECOND * asked, SECOND * asked);
        });
        lab.pass(SECOND * 100);
        let fragments4 = cut(&udp(DNS, &outer, &payload(100)), &[48], 7);
        let fragments6 = cut(&udp(WEB, &via(DNS), &payload(100)), &[48], 7);

        for (side, fragments, secs) in
            [(Side::Outside, fragments4, expected[0]), (Side::Inside, fragments6, expected[1])]
        {
            lab.feed(side, &fragments[1..]);
            assert_eq!(lab.engine.poll_timeout(), Some(lab.now + SECOND * secs));
            assert_eq!(lab.feed(side, &fragments[..1]).len(), 2);
        }
    }
}
