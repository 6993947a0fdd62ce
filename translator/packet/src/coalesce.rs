//! Merging the packets of a batch into the super-packets that they could have been cut from (GRO).
//!
//! Laws: cutting what comes out gives what went in, except for the identification of IPv4 packets that may not be
//! fragmented, which means nothing (RFC 6864 §4.1). The packets of a flow stay in order, those that cannot be merged
//! included. A wrong checksum is never made right: only packets whose checksums were verified are merged.

mod candidate;
mod slot;
#[cfg(test)]
mod tests;

use crate::buffer::LARGEST_PACKET;
use crate::{Packet, SegmentKind};
use candidate::{Candidate, Flow};
use slot::Slot;

/// The longest super-packet, in bytes: what fits the length field of either family.
pub const LARGEST_SUPER_PACKET: usize = 65_535;

/// The most packets in one: what every kernel that takes UDP super-packets takes (`UDP_MAX_SEGMENTS` was 64 at first).
pub const MOST_SEGMENTS: u16 = 64;

/// Why a packet was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// [`Coalescer::poll`] first.
    Full,
    /// Longer than any IP packet.
    TooLong,
}

/// What is merged: what the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// TCP segments and UDP datagrams.
    TcpAndUdp,
    /// TCP segments.
    Tcp,
    /// Nothing: packets go through as they are.
    Nothing,
}

impl Merge {
    const fn takes(self, kind: SegmentKind) -> bool {
        match (self, kind) {
            (Self::TcpAndUdp, _) | (Self::Tcp, SegmentKind::Tcp) => true,
            (Self::Tcp, SegmentKind::Udp) | (Self::Nothing, _) => false,
        }
    }
}

/// Packets in, packets and super-packets out, each in a buffer with [`HEADROOM`](crate::HEADROOM).
///
/// Buffers are made when first needed, 64 KiB each, and stay.
#[derive(Debug)]
pub struct Coalescer {
    /// Those in use, in the order they are to leave, then those free.
    slots: Vec<Slot>,
    merge: Merge,
    most: usize,
    /// How many left already.
    polled: usize,
    used: usize,
    /// No packet joins one before this: a packet of unknown flow stands between.
    barrier: usize,
}

impl Coalescer {
    /// Holds at most `most` packets and super-packets, but one at least.
    pub const fn new(merge: Merge, most: usize) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self { slots: Vec::new(), merge, most, polled: 0, used: 0, barrier: 0 }
    }

    /// Takes a packet: copies it, or its payload behind that of the packet before it in its flow.
    ///
    /// Anything is taken, as it is, that is no longer than an IP packet can be.
    ///
    /// # Errors
    /// If there is no room for it; nothing has changed then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if bytes.len() > LARGEST_PACKET {
            return Err(Refused::TooLong);
        }
        let mut candidate = Candidate::read(bytes);
        candidate.headers = candidate.headers.filter(|headers| self.merge.takes(headers.kind));
        if let Some(last) = candidate.flow.and_then(|flow| self.last_of(&flow))
            && last.append(&candidate)
        {
            return Ok(());
        }
        if self.used == self.most {
            return Err(Refused::Full);
        }
        if self.used == self.slots.len() {
            self.slots.push(Slot::new());
        }
        self.slots[self.used].open(&candidate);
        self.used += 1;
        if candidate.flow.is_none() {
            self.barrier = self.used;
        }
        Ok(())
    }

    /// Takes a packet as [`push`](Self::push) does. Where there is no room for it, `make_room` first gets to
    /// [`poll`](Self::poll) everything; what is longer than any packet is dropped.
    ///
    /// # Errors
    /// Those of `make_room`; the packet is gone then.
    pub fn push_after<E>(&mut self, bytes: &[u8], make_room: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        if self.push(bytes) == Err(Refused::Full) {
            make_room(self)?;
            let _ = self.push(bytes);
        }
        Ok(())
    }

    /// Only the last one of a flow may grow.
    fn last_of(&mut self, flow: &Flow) -> Option<&mut Slot> {
        let from = self.barrier.max(self.polled);
        self.slots[from..self.used].iter_mut().rev().find(|slot| slot.is_of(flow))
    }

    /// The packets that wait, and the first of those that super-packets are being made of: what to expect of
    /// [`poll`](Self::poll), but for lengths and checksums.
    pub fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        self.slots[self.polled..self.used].iter().map(Slot::bytes)
    }

    /// The next packet or super-packet, in the order of their first packets.
    pub fn poll(&mut self) -> Option<Packet<'_>> {
        if self.polled == self.used {
            (self.polled, self.used, self.barrier) = (0, 0, 0);
            return None;
        }
        self.polled += 1;
        Some(self.slots[self.polled - 1].finish())
    }
}
