//! Packets the engine made itself, waiting to be collected.

use std::collections::VecDeque;

use crate::DropReason;

/// A packet the engine made itself, with complete checksums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it is to go.
    pub side: Side,
    /// The packet, from the first byte of its IP header.
    pub bytes: Vec<u8>,
}

/// The two sides of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the peers.
    Inside,
    /// Towards the IPv4 internet.
    Outside,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Inside => Self::Outside,
            Self::Outside => Self::Inside,
        }
    }
}

/// Packets that wait at once. A super-packet becomes some fifty fragments, and callers collect after every batch.
const LONGEST_QUEUE: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct TransmitQueue(VecDeque<Transmit>);

impl TransmitQueue {
    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        self.0.pop_front()
    }

    /// Adds one packet.
    pub(crate) fn push(&mut self, side: Side, bytes: Vec<u8>) -> Result<(), DropReason> {
        self.has_room_for(1)?;
        self.0.push_back(Transmit { side, bytes });
        Ok(())
    }

    /// Adds packets that only make sense together.
    pub(crate) fn extend(
        &mut self,
        side: Side,
        packets: impl ExactSizeIterator<Item = Vec<u8>>,
    ) -> Result<(), DropReason> {
        self.has_room_for(packets.len())?;
        self.0.extend(packets.map(|bytes| Transmit { side, bytes }));
        Ok(())
    }

    fn has_room_for(&self, packets: usize) -> Result<(), DropReason> {
        if self.0.len() + packets > LONGEST_QUEUE { Err(DropReason::TransmitQueueFull) } else { Ok(()) }
    }
}
