//! Room for one frame of a TUN device: the virtio-net header, and the packet behind it, which may grow in front.

use std::fmt;

use crate::buffer::LARGEST_PACKET;
use crate::virtio::{self, VirtioError};
use crate::{HEADROOM, Packet};

/// Where a frame's header stands, so that its packet stands at `HEADROOM`.
const HEADER_AT: usize = HEADROOM - virtio::HEADER_LEN;

/// Room for the longest frame, whose packet has [`HEADROOM`] in front.
pub struct Frame(Box<[u8]>);

impl Frame {
    /// An empty one.
    pub fn new() -> Self {
        Self(vec![0; HEADROOM + LARGEST_PACKET].into())
    }

    /// Where a frame is read to.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.0[HEADER_AT..]
    }

    /// The packet of the frame of `len` bytes that was read to [`room`](Self::room), as its header describes it.
    ///
    /// # Errors
    /// If the header says anything that was not negotiated, or that the packet contradicts.
    #[inline]
    pub fn packet(&mut self, len: usize) -> Result<Packet<'_>, VirtioError> {
        let frame = self.0[HEADER_AT..].get(..len).ok_or(VirtioError::Truncated)?;
        let (header, bytes) = frame.split_at_checked(virtio::HEADER_LEN).ok_or(VirtioError::Truncated)?;
        let offload = virtio::decode(header, bytes)?;
        let mut packet = Packet::new(&mut self.0, HEADROOM..HEADER_AT + len);
        packet.offload = offload;
        Ok(packet)
    }

    /// A copy of a packet that was made elsewhere; `None` if it is longer than packets can be.
    pub fn copy_of(&mut self, bytes: &[u8]) -> Option<Packet<'_>> {
        let end = HEADROOM + bytes.len();
        self.0.get_mut(HEADROOM..end)?.copy_from_slice(bytes);
        Some(Packet::new(&mut self.0, HEADROOM..end))
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Offload;

    #[test]
    fn the_longest_packet_fits_and_has_room_in_front() {
        let mut frame = Frame::new();
        let len = frame.room().len();
        frame.room()[virtio::HEADER_LEN] = 0x60;

        let packet = frame.packet(len).unwrap();

        assert_eq!((packet.headroom(), packet.len(), packet.offload), (HEADROOM, 65_575, Offload::default()));
    }

    #[test]
    fn what_holds_no_header_or_more_than_was_read_is_refused() {
        let mut frame = Frame::new();
        let room = frame.room().len();

        for len in [0, virtio::HEADER_LEN - 1, room + 1] {
            assert_eq!(frame.packet(len).err(), Some(VirtioError::Truncated), "{len}");
        }
    }

    #[test]
    fn a_packet_that_was_made_elsewhere_can_be_written_as_a_frame() {
        let mut frame = Frame::new();

        let mut packet = frame.copy_of(&[0x45; 20]).unwrap();

        assert_eq!(virtio::with_header(&mut packet).unwrap(), [&[0; virtio::HEADER_LEN][..], &[0x45; 20]].concat());
        assert!(frame.copy_of(&vec![0; LARGEST_PACKET + 1]).is_none());
    }
}
