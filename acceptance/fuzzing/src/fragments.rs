//! Fragments in both directions, in any order, overlapping or not, with time between them.
//!
//! All are cut from right packets, so that what their receivers put together must have right checksums; unless the
//! script spoils one, from which on nothing is known.

use std::collections::BTreeSet;
use std::time::Duration;

use nat64::Side;
use packet::Offload;

use crate::bench::Bench;
use crate::operations::{Step, anything, change, cut, shape, time};
use crate::oracle::Trust;
use crate::script::Script;

/// Packets of which fragments are sent.
const PACKETS: usize = 4;

/// Sequences of fragments from both sides.
pub fn fragments(input: &[u8]) {
    let (mut bench, mut script) = (Bench::new(), Script::new(input));
    bench.fragments = Trust::Right;
    let mut packets = Packets::default();
    while step(&mut bench, &mut script, &mut packets).is_some() {}
}

/// What is cut: the side it comes from, its identification, the whole.
#[derive(Debug, Default)]
struct Packets {
    now: [Option<(Side, u16, Vec<u8>)>; PACKETS],
    identifications: BTreeSet<u16>,
}

impl Packets {
    /// One that no packet has had, this one if possible: parts of two packets would make one that is right in nothing.
    fn identification(&mut self, like: u16) -> Option<u16> {
        let mut candidates = (0..=u16::MAX).map(|step| like.wrapping_add(step));
        candidates.find(|candidate| self.identifications.insert(*candidate))
    }
}

fn step(bench: &mut Bench, script: &mut Script<'_>, packets: &mut Packets) -> Step {
    let operation = script.byte()?;
    let place = usize::from(operation >> 4) % PACKETS;
    match operation % 16 {
        0 | 1 => {
            let side = if operation % 2 == 0 { Side::Inside } else { Side::Outside };
            let identification = packets.identification(script.word()?)?;
            packets.now[place] = Some((side, identification, shape(bench, script, side)?));
            Some(())
        }
        2..=8 => fragment(bench, script, packets.now[place].as_ref()),
        9..=11 => train(bench, script, packets.now[place].as_ref()),
        12 => time(bench, script),
        13 => {
            bench.pass(Duration::from_millis(u64::from(script.byte()?) * 20));
            Some(())
        }
        _ => anything(bench, script),
    }
}

/// One part of a packet; its header, or what it carries, may be changed.
fn fragment(bench: &mut Bench, script: &mut Script<'_>, packet: Option<&(Side, u16, Vec<u8>)>) -> Step {
    let (at, len) = (script.word()?, script.byte()?);
    let Some((side, identification, whole)) = packet else { return Some(()) };
    let payload_len = whole.len() - if whole[0] >> 4 == 6 { 40 } else { 20 };
    // Places inside the packet, mostly.
    let offset =
        if at & 0x8000 == 0 { usize::from(at) % (payload_len / 8 + 1) * 8 } else { usize::from(at & 0x1fff) * 8 };
    let len = (usize::from(len & 0x7f) + 1) * 8;
    let reaches_end = offset + len >= payload_len;
    let bytes = cut(whole, *identification, offset, len, !reaches_end);
    spoilt(bench, script, *side, bytes)
}

fn spoilt(bench: &mut Bench, script: &mut Script<'_>, side: Side, mut bytes: Vec<u8>) -> Step {
    let before = bytes.clone();
    change(&mut bytes, script)?;
    if bytes != before {
        bench.fragments = Trust::Unknown;
        crate::packets::mend(&mut bytes, crate::packets::Mend::Header);
    }
    bench.hand(side, &bytes, Offload::default());
    Some(())
}

/// All parts of a packet: in order, backwards, without one, or with one twice.
fn train(bench: &mut Bench, script: &mut Script<'_>, packet: Option<&(Side, u16, Vec<u8>)>) -> Step {
    let (how, size) = (script.byte()?, script.byte()?);
    let Some((side, identification, whole)) = packet else { return Some(()) };
    let payload_len = whole.len() - if whole[0] >> 4 == 6 { 40 } else { 20 };
    let size = (usize::from(size) + 1) * 8;
    let mut parts: Vec<_> = (0..payload_len.div_ceil(size))
        .map(|index| cut(whole, *identification, index * size, size, (index + 1) * size < payload_len))
        .collect();
    let place = usize::from(how >> 4) % parts.len().max(1);
    match how % 4 {
        0 => {}
        1 => parts.reverse(),
        2 => parts.rotate_left(place),
        _ => {
            let part = parts.remove(place);
            if how & 8 == 0 {
                parts.extend([part.clone(), part]);
            }
        }
    }
    for bytes in parts {
        bench.hand(*side, &bytes, Offload::default());
    }
    Some(())
}
