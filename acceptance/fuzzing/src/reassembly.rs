//! Puts together the fragments that left, as their receiver would.

use std::collections::BTreeMap;
use std::net::IpAddr;

use packet::Family;

use crate::oracle::Seen;
use crate::packets::{Mend, mend};

/// Which packet a fragment is a part of (RFC 791 §3.2, RFC 8200 §4.5).
type Key = (IpAddr, IpAddr, u8, u32);

/// Parts by their offset, and where the last one ends.
type Parts = (BTreeMap<usize, Vec<u8>>, Option<usize>);

/// Fragments by what they are parts of.
#[derive(Debug, Default)]
pub(crate) struct Reassembly(BTreeMap<Key, Parts>);

/// Packets that are incomplete at once; more make it start again.
const MOST: usize = 64;

impl Reassembly {
    /// Takes what left; the whole packet, with a header of its own, if this was the missing part.
    pub(crate) fn take(&mut self, seen: &Seen, bytes: &[u8]) -> Option<Vec<u8>> {
        if !seen.layout.is_fragment {
            return None;
        }
        let (offset, has_more, identification) = match seen.family {
            Family::V4 => {
                let word = u16::from_be_bytes([bytes[6], bytes[7]]);
                let identification = u16::from_be_bytes([bytes[4], bytes[5]]);
                (usize::from(word & 0x1fff) * 8, word & 0x2000 != 0, u32::from(identification))
            }
            Family::V6 => {
                // Fragments that we make have no header but that of the fragment.
                let header = &bytes[seen.layout.transport_at - 8..seen.layout.transport_at];
                let word = u16::from_be_bytes([header[2], header[3]]);
                let identification = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                (usize::from(word & 0xfff8), word & 1 != 0, identification)
            }
        };
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let key = (seen.source, seen.destination, seen.layout.protocol, identification);
        let (parts, end) = self.0.entry(key).or_default();
        let payload = seen.layout.transport(bytes).to_vec();
        if !has_more {
            *end = Some(offset + payload.len());
        }
        parts.insert(offset, payload);
        let joined = join(parts, (*end)?)?;
        self.0.remove(&key);
        Some(whole(seen, bytes, &joined))
    }
}

/// The parts in a row, if none is missing.
fn join(parts: &BTreeMap<usize, Vec<u8>>, end: usize) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for (offset, part) in parts {
        if *offset != joined.len() {
            return None;
        }
        joined.extend(part);
    }
    (joined.len() == end).then_some(joined)
}

fn whole(seen: &Seen, bytes: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = match seen.family {
        Family::V4 => {
            let mut header = bytes[..seen.layout.transport_at].to_vec();
            header[6..8].fill(0);
            header
        }
        Family::V6 => {
            let mut header = bytes[..40].to_vec();
            header[6] = seen.layout.protocol;
            header
        }
    };
    let mut whole = [header, payload.to_vec()].concat();
    mend(&mut whole, Mend::Header);
    whole
}
