//! `Packet`: one IP packet inside a caller's buffer, with room in front.
//!
//! Translation changes the length of the network header, never the place of the payload: the start moves instead. The
//! room in front is the caller's to provide ([`HEADROOM`]); running out of it is an error, never a panic.

use std::fmt;
use std::ops::Range;

use crate::virtio;

/// Room that must stand before a packet for any translation plus a virtio-net header, in bytes.
///
/// An IPv6 header is 20 bytes longer than an IPv4 one, an ICMP error has two of them, and a fragment header adds 8.
pub const HEADROOM: usize = virtio::HEADER_LEN + 2 * 20 + 8;

/// The longest IP packet without a jumbo payload, in bytes (RFC 8200 §3).
pub(crate) const LARGEST_PACKET: usize = 65_535 + crate::ipv6::HEADER_LEN;

/// One IP packet inside a caller's buffer.
#[derive(Debug)]
pub struct Packet<'a> {
    buffer: &'a mut [u8],
    start: usize,
    end: usize,
    /// What is still left to do to the packet by whoever takes it next.
    pub offload: Offload,
}

/// What is left to do to a packet: a checksum to complete, a super-packet to cut.
///
/// The default is an ordinary packet: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// State of the transport checksum field.
    pub checksum: Checksum,
    /// Set for a super-packet: how it is to be cut.
    pub segments: Option<Segments>,
}

/// State of the transport checksum field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// The field holds the checksum (or what its sender took for it).
    #[default]
    Complete,
    /// The field holds the uncomplemented pseudo-header sum; the rest is to be added.
    Partial,
}

/// How a super-packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The transport whose header each segment gets.
    pub kind: SegmentKind,
    /// Transport payload of each segment but the last, in bytes.
    pub size_bytes: u16,
}

/// The transports that can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP segmentation (TSO).
    Tcp,
    /// UDP segmentation (USO): every segment is a datagram of its own.
    Udp,
}

/// There is no room in front of the packet; the caller's buffer keeps less than [`HEADROOM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHeadroom;

impl fmt::Display for NoHeadroom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no room in front of the packet; keep {HEADROOM} bytes before it")
    }
}

impl std::error::Error for NoHeadroom {}

impl<'a> Packet<'a> {
    /// The packet at `range` of `buffer`, with nothing left to do to it.
    ///
    /// # Panics
    /// If `range` does not lie inside `buffer`.
    #[inline]
    pub fn new(buffer: &'a mut [u8], range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= buffer.len(), "the packet lies inside its buffer");
        Self { buffer, start: range.start, end: range.end, offload: Offload::default() }
    }

    /// The packet, from the first byte of its IP header.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The packet, to change in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Length in bytes, all headers included.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no packet at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes free in front of the packet.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Where the packet stands in its buffer now.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Moves the start `n` bytes to the front; the new bytes hold whatever was there.
    ///
    /// # Errors
    /// If fewer than `n` bytes are free.
    #[inline]
    pub fn grow_front(&mut self, n: usize) -> Result<(), NoHeadroom> {
        self.start = self.start.checked_sub(n).ok_or(NoHeadroom)?;
        Ok(())
    }

    /// Cuts `n` bytes off the front, at most all of them.
    #[inline]
    pub fn shrink_front(&mut self, n: usize) {
        self.start += n.min(self.len());
    }

    /// Cuts the packet to `len` bytes; a shorter one stays as it is.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// The longest packet [`replace`](Self::replace) can take, in bytes.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.buffer.len().saturating_sub(virtio::HEADER_LEN)
    }

    /// Puts another packet in the place of this one, with nothing left to do to it.
    ///
    /// # Errors
    /// If `bytes` is longer than [`capacity`](Self::capacity).
    pub fn replace(&mut self, bytes: &[u8]) -> Result<(), NoHeadroom> {
        let start = virtio::HEADER_LEN;
        let place = self.buffer.get_mut(start..start + bytes.len()).ok_or(NoHeadroom)?;
        place.copy_from_slice(bytes);
        (self.start, self.end, self.offload) = (start, start + bytes.len(), Offload::default());
        Ok(())
    }

    /// The packet with the `n` bytes in front of it, for a link header.
    #[inline]
    pub(crate) fn with_front(&mut self, n: usize) -> Result<&mut [u8], NoHeadroom> {
        let from = self.start.checked_sub(n).ok_or(NoHeadroom)?;
        Ok(&mut self.buffer[from..self.end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_moves_and_the_payload_stays() {
        let mut buffer = [1, 2, 3, 4, 5, 6];
        let mut packet = Packet::new(&mut buffer, 2..6);

        packet.grow_front(1).unwrap();
        assert_eq!(packet.bytes(), [2, 3, 4, 5, 6]);
        packet.shrink_front(3);
        assert_eq!(packet.bytes(), [5, 6]);
        assert_eq!(packet.range(), 4..6);
    }

    #[test]
    fn growing_beyond_the_room_in_front_is_an_error_and_changes_nothing() {
        let mut buffer = [1, 2, 3];
        let mut packet = Packet::new(&mut buffer, 1..3);

        assert_eq!(packet.grow_front(2), Err(NoHeadroom));
        assert_eq!(packet.bytes(), [2, 3]);
    }

    #[test]
    fn shrinking_and_truncating_stop_at_nothing() {
        let mut buffer = [1, 2, 3];
        let mut packet = Packet::new(&mut buffer, 0..3);

        packet.truncate(9);
        assert_eq!(packet.len(), 3);
        packet.shrink_front(9);
        assert!(packet.is_empty());
    }

    #[test]
    fn a_replaced_packet_leaves_room_for_the_virtio_header() {
        let mut buffer = [0; 14];
        let mut packet = Packet::new(&mut buffer, 0..14);

        packet.replace(&[7, 8, 9, 10]).unwrap();

        assert_eq!(packet.bytes(), [7, 8, 9, 10]);
        assert_eq!(packet.headroom(), virtio::HEADER_LEN);
        assert_eq!(packet.replace(&[0; 5]), Err(NoHeadroom));
    }
}
