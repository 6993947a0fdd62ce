//! What holds of every batch.

use etherparse::{SlicedPacket, TransportSlice};
use proptest::prelude::*;

use super::super::{Coalescer, Merge, Refused};
use super::{Sample, poll_all, tcp, udp};
use crate::ipv4::{Ipv4, Ipv4Mut};
use crate::{Family, segment};

/// Packets of few flows that often, but not always, follow each other.
fn batch() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let step = (0u16..3, any::<bool>(), 0usize..4, 0u8..24, any::<bool>());
    (any::<bool>(), prop::collection::vec(step, 1..60)).prop_map(|(is_v6, steps)| {
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        let (mut sequences, mut identification) = ([0u32; 3], 0u16);
        steps
            .into_iter()
            .map(|(port, is_tcp, len, oddity, dont_fragment)| {
                let len = [0, 7, 40, 40][len];
                let sequence = &mut sequences[usize::from(port)];
                let mut sample = if is_tcp { tcp(family, *sequence, len) } else { udp(family, len) };
                *sequence += if is_tcp { len as u32 } else { 0 };
                (sample.port, sample.identification, sample.dont_fragment) = (port, identification, dont_fragment);
                identification = identification.wrapping_add(1);
                odd(&mut sample, oddity)
            })
            .collect()
    })
}

fn odd(sample: &mut Sample, oddity: u8) -> Vec<u8> {
    match (oddity, &mut sample.tcp) {
        (0, _) => sample.traffic_class = 3,
        (1, _) => sample.hop_limit = 1,
        (2, Some(tcp)) => tcp.psh = true,
        (3, Some(tcp)) => tcp.fin = true,
        (4, Some(tcp)) => tcp.syn = true,
        (5, Some(tcp)) => tcp.window_size = 2,
        (6, Some(tcp)) => tcp.sequence_number += 1,
        (7, Some(tcp)) => tcp.cwr = true,
        (_, _) => {}
    }
    let mut bytes = sample.bytes();
    let at = bytes.len() - 1;
    match oddity {
        8 => bytes[at] ^= 1,
        9 => bytes.truncate(at),
        10 => bytes[6] ^= 0x20,
        _ => {}
    }
    bytes
}

/// Source port and protocol, or nothing for what has none: one key for each order that must be kept.
fn flow_of(bytes: &[u8]) -> Option<(bool, u16)> {
    let sliced = SlicedPacket::from_ip(bytes).ok()?;
    match sliced.transport? {
        TransportSlice::Tcp(tcp) => Some((true, tcp.source_port())),
        TransportSlice::Udp(udp) => Some((false, udp.source_port())),
        TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => None,
    }
}

/// The identification of IPv4 packets that may not be fragmented means nothing.
fn comparable(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if Ipv4::parse(&bytes).is_ok_and(|ip| ip.dont_fragment() && ip.checksum_is_right()) {
        let mut header = Ipv4Mut::parse(&mut bytes).unwrap();
        header.set_identification(0);
        header.seal();
    }
    bytes
}

proptest! {
    #[test]
    fn cutting_gives_back_every_flow_in_order(batch in batch(), room in 1usize..9) {
        let mut coalescer = Coalescer::new(Merge::TcpAndUdp, room);
        let mut out = Vec::new();
        for bytes in &batch {
            if coalescer.push(bytes) == Err(Refused::Full) {
                out.extend(poll_all(&mut coalescer));
                coalescer.push(bytes).unwrap();
            }
        }
        out.extend(poll_all(&mut coalescer));
        let out: Vec<_> = out.into_iter().flat_map(|out| out.parts).collect();

        prop_assert_eq!(out.len(), batch.len());
        let keys = batch.iter().map(|bytes| flow_of(bytes)).collect::<std::collections::BTreeSet<_>>();
        for key in keys {
            let of_flow = |bytes: &&Vec<u8>| flow_of(bytes) == key;
            let before: Vec<_> = batch.iter().filter(of_flow).map(|bytes| comparable(bytes)).collect();
            let after: Vec<_> = out.iter().filter(of_flow).map(|bytes| comparable(bytes)).collect();
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        mut batch in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..20), nibbles in any::<u32>(),
    ) {
        let mut coalescer = Coalescer::new(Merge::TcpAndUdp, 3);
        for (index, bytes) in batch.iter_mut().enumerate() {
            if let Some(first) = bytes.first_mut() {
                *first = if nibbles >> index & 1 == 0 { 0x45 } else { 0x60 };
            }
            if coalescer.push(bytes) == Err(Refused::Full) {
                while coalescer.poll().is_some() {}
            }
        }
        while let Some(packet) = coalescer.poll() {
            let _ = segment::segment(&packet, |_| {});
        }
    }
}
