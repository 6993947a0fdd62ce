//! Fragments that wait for the rest of their datagram: for how long, how many, and what spoils them (RFC 6146 §3.4,
//! RFC 5722).

use std::time::Duration;

use nat64::{DropReason, Side};
use packet::ipv6::Fragment;

use crate::fragments::{lab_with_session, payload};
use crate::lab::{Lab, Outcome, POOL4, at, see, tcp, tcp_with, udp, via};
use crate::trains::{cut, fragment, join, part};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lone_later_fragment_never_leaves() {
    // Requirement 73; RFC 791 §3.2, RFC 8200 §4.5: 15 and 60 seconds.
    let (mut lab, outer) = lab_with_session(WEB);
    lab.pass(Duration::from_secs(200));
    let later4 = part(&udp(DNS, &outer, &payload(100)), (48, 200), 7);
    let later6 = part(&udp(WEB, &via(DNS), &payload(100)), (48, 200), 7);
    assert_eq!((lab.outside(&later4), lab.inside(&later6)), (Outcome::Taken, Outcome::Taken));

    for (wait, lost) in [(15, 1), (45, 2)] {
        assert_eq!(lab.engine.poll_timeout(), Some(lab.now + SECOND * wait));
        lab.pass(SECOND * wait);
        assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), lost);
    }
    assert!(lab.transmits().is_empty());
}

#[test]
fn a_fragment_waits_for_two_seconds_and_longer() {
    // Requirement 69, RFC 6146 §4: FRAGMENT_MIN.
    let (mut lab, outer) = lab_with_session(WEB);
    let fragments = cut(&udp(DNS, &outer, &payload(100)), &[48], 7);

    for wait in [2, 14] {
        lab.outside(&fragments[1]);
        lab.pass(SECOND * wait);
        assert_eq!(lab.feed(Side::Outside, &fragments[..1]).len(), 2, "after {wait} s");
    }
    lab.outside(&fragments[1]);
    lab.pass(SECOND * 15);
    assert_eq!(lab.outside(&fragments[0]), Outcome::Taken);
}

#[test]
fn interleaved_datagrams_are_kept_apart_by_identification_protocol_and_direction() {
    // Requirement 71.
    let (mut lab, outer) = lab_with_session(WEB);
    let syn = lab.inside(&tcp(WEB, &via("9.9.9.9:443"), "S")).sent().source.to_string();
    let [one, two] = [1, 2].map(|id| cut(&udp(DNS, &outer, &[id; 100]), &[48], id.into()));
    let header =
        etherparse::TcpHeader { syn: true, ack: true, ..etherparse::TcpHeader::new(443, at(&syn).port(), 1, 1) };
    let three = cut(&tcp_with("9.9.9.9:443", &syn, header, &[3; 100]), &[48], 1);
    let mixed = [&one[0], &two[1], &three[1], &one[1], &two[0], &three[0]].map(Clone::clone);

    let sent = lab.feed(Side::Outside, &mixed);

    let payloads: Vec<_> = sent.chunks(2).map(|pair| see(&join(pair)).payload).collect();
    assert_eq!(payloads, [vec![1; 100], vec![2; 100], vec![3; 100]]);
}

#[test]
fn one_overlap_drops_the_datagram_and_what_is_still_to_come_of_it() {
    // Requirement 72, RFC 5722 §4.
    let (mut lab, outer) = lab_with_session(WEB);
    let whole = udp(DNS, &outer, &payload(192));
    let overlapping = part(&whole, (40, 104), 7);
    let fragments = cut(&whole, &[48, 96], 7);

    assert_eq!(lab.outside(&fragments[0]), Outcome::Taken);
    assert_eq!(lab.outside(&overlapping).dropped(), DropReason::FragmentsOverlap);
    for fragment in &fragments {
        assert_eq!(lab.outside(fragment).dropped(), DropReason::FragmentsOverlap);
    }

    lab.pass(SECOND * 15);
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 0, "it was counted when it was dropped");
    assert_eq!(lab.feed(Side::Outside, &fragments).len(), 3);
}

#[test]
fn fragments_that_disagree_on_the_end_are_an_overlap() {
    let (mut lab, outer) = lab_with_session(WEB);
    let whole = udp(DNS, &outer, &payload(192));
    let header = &whole[..20];
    let at = |offset_bytes, more, identification| Fragment { offset_bytes, more, identification };
    let trains = [
        [at(96, false, 1), at(48, false, 1)],
        [at(96, false, 2), at(192, true, 2)],
        [at(96, true, 3), at(48, false, 3)],
        [at(96, false, 4), at(96, true, 4)],
    ];

    for train in trains {
        let [one, two] = train.map(|place| fragment(header, &[1; 48], place));
        assert_eq!(lab.outside(&one), Outcome::Taken);
        assert_eq!(lab.outside(&two).dropped(), DropReason::FragmentsOverlap, "{train:?}");
    }
}

#[test]
fn a_fragment_that_the_network_repeats_harms_nothing() {
    // RFC 8200 §4.5, RFC 5722 errata: an exact copy is no overlap.
    let (mut lab, outer) = lab_with_session(WEB);
    let fragments = cut(&udp(DNS, &outer, &payload(100)), &[48], 7);

    lab.outside(&fragments[0]);
    assert_eq!(lab.outside(&fragments[0]).dropped(), DropReason::FragmentRepeated);

    assert_eq!(see(&join(&lab.feed(Side::Outside, &fragments[1..]))).payload, payload(100));
}

#[test]
fn fragments_of_impossible_length_are_malformed() {
    let (mut lab, outer) = lab_with_session(WEB);
    let whole = udp(DNS, &outer, b"");
    let at = |offset_bytes, more| Fragment { offset_bytes, more, identification: 7 };

    for (len, place) in [(9, at(0, true)), (0, at(8, false)), (0, at(0, true)), (24, at(65_504, false))] {
        let bytes = fragment(&whole[..20], &vec![1; len], place);
        assert_eq!(lab.outside(&bytes).dropped(), DropReason::Malformed, "{len} at {place:?}");
    }
    let longest = fragment(&whole[..20], &[1; 11], at(65_504, false));
    assert_eq!(lab.outside(&longest), Outcome::Taken);
}

#[test]
fn what_policy_refuses_is_not_stored() {
    let mut lab = Lab::new();
    let fragments = cut(&udp(WEB, &via("10.0.0.1:53"), &payload(100)), &[48], 7);

    assert_eq!(lab.inside(&fragments[1]).dropped(), DropReason::DestinationNotGlobal);
    assert_eq!(lab.engine.poll_timeout(), None);
}

#[test]
fn one_source_cannot_take_the_room_of_the_others_and_old_fragments_make_way() {
    // Requirement 69: bounded per source, and in total; FRAGMENT_MIN holds all the same.
    let mut lab = Lab::new();
    let later = |source: u32, identification| {
        let from = format!("[2001:db8:1:{source:x}::7]:1");
        part(&udp(&from, &via(DNS), &payload(60_000)), (1000, 50_000), identification)
    };
    let until_full = |lab: &mut Lab, source| {
        (0..200).position(|id| matches!(lab.inside(&later(source, id)), Outcome::Dropped(_))).unwrap()
    };

    assert_eq!(until_full(&mut lab, 1), 21, "1 MiB in datagrams of 49 kB");
    let others: usize = (2..60).map(|source| until_full(&mut lab, source)).sum();
    assert_eq!(21 + others, 85, "4 MiB");
    let stats = lab.engine.stats();
    let counted = [DropReason::FragmentsSourceFull, DropReason::FragmentsFull].map(|reason| stats.dropped(reason));
    assert!(counted[0] > 0 && counted[1] > 0 && counted[0] + counted[1] == 59, "{counted:?}");

    lab.pass(Duration::from_millis(1999));
    assert_eq!(lab.inside(&later(999, 1)).dropped(), DropReason::FragmentsFull);
    lab.pass(Duration::from_millis(1));
    assert_eq!(lab.inside(&later(999, 1)), Outcome::Taken);
    // The other direction has room of its own.
    let outside = part(&udp(DNS, &format!("{POOL4}:5000"), &payload(100)), (48, 200), 7);
    assert_eq!(lab.outside(&outside), Outcome::Taken);
}

#[test]
fn there_is_an_end_to_datagrams_and_to_their_parts() {
    let mut lab = Lab::new();
    let from = |source: u32| format!("[2001:db8:{:x}:{:x}::7]:1", source >> 8, source & 0xff);
    let small = |source, identification, start| {
        part(&udp(&from(source), &via(DNS), &payload(4000)), (start, start + 8), identification)
    };

    let parts = (0..400).take_while(|index| lab.inside(&small(0, 0, index * 8)) == Outcome::Taken).count();
    assert_eq!((parts, lab.engine.stats().dropped(DropReason::FragmentsTooMany)), (256, 1));
    let datagrams = (1..9999).take_while(|source| lab.inside(&small(*source, 1, 8)) == Outcome::Taken).count();
    assert_eq!(1 + datagrams, 4096);

    lab.pass(SECOND * 60);
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 256, "in portions");
    while lab.engine.poll_timeout().is_some() {
        lab.pass(Duration::ZERO);
    }
    assert_eq!(lab.engine.stats().dropped(DropReason::FragmentsIncomplete), 4096);
}
