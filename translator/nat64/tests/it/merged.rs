//! Super-packets on less common ways: merged before or after translation, between peers, and quoted whole by errors.

use nat64::{DropReason, Side};
use packet::coalesce::{Coalescer, Merge};
use packet::{Offload, SegmentKind};
use proptest::prelude::*;

use crate::lab::{Lab, Outcome, POOL4, icmp, see, udp, via};
use crate::supers::{cut, offload, twins, whole, without_fragmentation};

const WEB: &str = "[2001:db8:1:2::7]:40001";
const PEER: &str = "198.18.0.7:40001";
const BOB: &str = "[2001:db8:3:4::9]:50001";
const CAROL: &str = "198.18.0.9:50001";
const REMOTE: &str = "9.9.9.9:443";

fn merge(batch: &[Vec<u8>]) -> Vec<(Vec<u8>, Offload)> {
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, batch.len());
    batch.iter().for_each(|bytes| coalescer.push(bytes).unwrap());
    let mut merged = Vec::new();
    while let Some(packet) = coalescer.poll() {
        merged.push((packet.bytes().to_vec(), packet.offload));
    }
    merged
}

/// How many packets each stands for.
fn shape(merged: &[(Vec<u8>, Offload)]) -> Vec<usize> {
    merged.iter().map(|(bytes, offload)| cut(bytes, *offload).len()).collect()
}

fn parts(merged: &[(Vec<u8>, Offload)]) -> Vec<Vec<u8>> {
    merged.iter().flat_map(|(bytes, offload)| cut(bytes, *offload)).map(|part| without_fragmentation(&part)).collect()
}

/// Merges a batch before its translation, and another one after, and compares.
#[track_caller]
fn check_merging(side: Side, batch: &[Vec<u8>], (mut one, mut two): (Lab, Lab)) {
    let merged: Vec<_> = merge(batch)
        .into_iter()
        .map(|(bytes, offload)| {
            let (translated, offload) = one.handle(side, &bytes, offload);
            (translated.bytes(), offload)
        })
        .collect();
    let translated: Vec<_> = batch.iter().map(|bytes| two.handle(side, bytes, Offload::default()).0.bytes()).collect();
    let translated = merge(&translated);

    assert_eq!(shape(&merged), shape(&translated));
    assert_eq!(parts(&merged), parts(&translated));
}

proptest! {
    #[test]
    fn merging_and_translating_commute(
        is_tcp in any::<bool>(), is_v6 in any::<bool>(), goes_out in any::<bool>(), fin in any::<bool>(),
        size in 100u16..1200, len in 1usize..9_000,
    ) {
        let kind = if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        let (inner, remote) = if is_v6 { (WEB, via(REMOTE)) } else { (PEER, REMOTE.to_owned()) };
        let (one, two, outer) = twins(inner, &remote, kind);
        let payload: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let (side, from, to) = if goes_out { (Side::Inside, inner, &remote) } else { (Side::Outside, REMOTE, &outer) };
        let bytes = whole(from, to, kind, if fin { 2 } else { 0 }, &payload);

        check_merging(side, &cut(&bytes, offload(kind, size)), (one, two));
    }

    #[test]
    fn cutting_and_hairpinning_commute(
        is_tcp in any::<bool>(), from_v6 in any::<bool>(), to_v6 in any::<bool>(), flags in any::<u8>(),
        size in 1000u16..1340, len in 1usize..20_000,
    ) {
        let kind = if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        let (sender, remote) = if from_v6 { (WEB, via(REMOTE)) } else { (PEER, REMOTE.to_owned()) };
        let (mut one, mut two, _) = twins(sender, &remote, kind);
        let mut outer = String::new();
        for lab in [&mut one, &mut two] {
            let (receiver, remote) = if to_v6 { (BOB, via(REMOTE)) } else { (CAROL, REMOTE.to_owned()) };
            outer = lab.inside(&whole_opening(receiver, &remote, kind)).sent().source.to_string();
            let to = if from_v6 { via(&outer) } else { outer.clone() };
            lab.hairpinned_bytes(&whole_opening(sender, &to, kind));
        }
        let to = if from_v6 { via(&outer) } else { outer };
        let bytes = whole(sender, &to, kind, flags, &vec![7; len]);

        prop_assert_eq!(one.handle(Side::Inside, &bytes, offload(kind, size)).0, Outcome::Taken);
        for part in cut(&bytes, offload(kind, size)) {
            prop_assert_eq!(two.inside(&part), Outcome::Taken);
        }
        let sent = |lab: &mut Lab| -> Vec<_> {
            lab.transmits().iter().map(|transmit| { see(&transmit.bytes); without_fragmentation(&transmit.bytes) }).collect()
        };
        prop_assert_eq!(sent(&mut one), sent(&mut two));
        prop_assert_eq!(one.engine.stats().hairpinned.packets, two.engine.stats().hairpinned.packets);
    }
}

fn whole_opening(from: &str, to: &str, kind: SegmentKind) -> Vec<u8> {
    match kind {
        SegmentKind::Tcp => crate::lab::tcp(from, to, "S"),
        SegmentKind::Udp => udp(from, to, b""),
    }
}

/// The kernel sends errors about the super-packets it forwards, from its own address, with the length of the whole.
#[test]
fn an_error_outside_may_quote_a_super_packet() {
    for kind in [SegmentKind::Tcp, SegmentKind::Udp] {
        let (mut lab, _, _) = twins(WEB, &via(REMOTE), kind);
        let sent = whole(WEB, &via(REMOTE), kind, 0, &[1; 60_000]);
        let translated = lab.handle(Side::Inside, &sent, offload(kind, 1300)).0.bytes();
        let quote = &translated[..548];

        let error = lab.outside(&icmp("192.168.178.1", &POOL4.to_string(), (3, 4), [0, 0, 5, 20], quote)).sent();

        assert_eq!((error.icmp, error.rest), (Some((2, 0)), 1320_u32.to_be_bytes()));
        assert_eq!(error.payload[4..7], sent[4..7], "the whole length, as the sender's kernel knows it");
        assert_eq!(error.payload[8..40], sent[8..40]);
        assert_eq!(error.payload[40..44], sent[40..44], "the ports");
    }
}

#[test]
fn an_error_inside_may_quote_a_super_packet() {
    for (inner, remote, quoted) in [(WEB, via(REMOTE), 1000), (PEER, REMOTE.to_owned(), 548)] {
        let (mut lab, _, outer) = twins(inner, &remote, SegmentKind::Tcp);
        let sent = whole(REMOTE, &outer, SegmentKind::Tcp, 0, &[1; 60_000]);
        let translated = lab.handle(Side::Outside, &sent, offload(SegmentKind::Tcp, 1300)).0.bytes();
        let (kind, rest, from) = match inner {
            WEB => ((2, 0), 1300_u32.to_be_bytes(), "fd00::1"),
            _ => ((3, 4), [0, 0, 5, 0], "198.18.0.7"),
        };
        let to = remote.parse::<std::net::SocketAddr>().unwrap().ip().to_string();

        let error = lab.inside(&icmp(from, &to, kind, rest, &translated[..quoted])).sent();

        assert_eq!((error.icmp, error.rest), (Some((3, 4)), [0, 0, 5, 0]), "from {from}");
        assert_eq!(error.payload[2..4], sent[2..4], "the whole length, as the sender's kernel knows it");
        assert_eq!(error.payload[12..24], sent[12..24], "addresses and ports");
    }
}

#[test]
fn the_longest_length_a_quote_can_claim_is_no_panic() {
    let (mut lab, _, outer) = twins(WEB, &via(REMOTE), SegmentKind::Udp);
    let mut translated = lab.outside(&udp(REMOTE, &outer, b"answer")).bytes();
    translated[4..6].fill(0xff);

    let outcome = lab.inside(&icmp("fd00::1", "64:ff9b::909:909", (2, 0), 1300_u32.to_be_bytes(), &translated));

    assert!(matches!(outcome, Outcome::Sent(_) | Outcome::Dropped(DropReason::Malformed)), "{outcome:?}");
}

/// RFC 7915 §4.1 and the path MTU count packets, not what a device makes of many.
#[test]
fn what_is_too_big_is_the_segment_on_every_way() {
    for kind in [SegmentKind::Tcp, SegmentKind::Udp] {
        // NAT64 and NAT44, in and out; links of 1412 bytes inside and 1500 outside.
        let header = if kind == SegmentKind::Tcp { 32 } else { 8 };
        for (inner, remote, largest_in, largest_out) in
            [(WEB, via(REMOTE), 1412 - 40, 1500 - 20), (PEER, REMOTE.to_owned(), 1412 - 20, 1500 - 20)]
        {
            for (side, largest) in [(Side::Inside, largest_out - header), (Side::Outside, largest_in - header)] {
                for (size, passes) in [(largest, true), (largest + 1, false)] {
                    let (mut lab, _, outer) = twins(inner, &remote, kind);
                    let bytes = match side {
                        Side::Inside => whole(inner, &remote, kind, 0, &[1; 50_000]),
                        Side::Outside => whole(REMOTE, &outer, kind, 0, &[1; 50_000]),
                    };

                    let (outcome, _) = lab.handle(side, &bytes, offload(kind, size));

                    match passes {
                        true => assert!(matches!(outcome, Outcome::Sent(_)), "{outcome:?}"),
                        false => assert_eq!(outcome.dropped(), DropReason::PacketTooBig),
                    }
                }
            }
        }
    }
}
