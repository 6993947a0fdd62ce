//! Writing to the kernel: packets as they are, and super-packets whole where it takes them.

use std::io;

use packet::{Frame, Offload, Packet, segment, virtio};
use tun::{Port, Written};

use super::DatapathError;
use super::drops::{DropReason, Drops};

/// The way into the TUN interface.
pub(super) struct Outlet {
    pub(super) port: Port,
    /// One segment with its header, where the kernel does not take a super-packet.
    segment: Vec<u8>,
}

impl Outlet {
    pub(super) fn new(port: Port) -> Self {
        Self { port, segment: Vec::new() }
    }

    /// Hands a packet to the kernel. What that does not take is counted and gone.
    pub(super) fn write(&mut self, drops: &mut Drops, mut packet: Packet<'_>) -> Result<(), DatapathError> {
        let written = virtio::with_header(&mut packet).map(|frame| self.port.write(frame));
        match written {
            Ok(Written::Done) => return Ok(()),
            Ok(Written::Gone) => return Err(DatapathError::TunGone),
            Ok(Written::Refused(error)) if is_unknown_offload(packet.offload, &error) => {
                return self.write_segments(drops, &packet);
            }
            Ok(Written::Refused(error)) => tracing::debug!(%error, "write to the TUN interface"),
            Err(error) => tracing::error!(%error, "write to the TUN interface"),
        }
        drops.add(DropReason::TunWriteFailed);
        Ok(())
    }

    /// The same with a packet that the engine made by itself: `frame` is where it gets room in front for its header.
    pub(super) fn write_made(
        &mut self,
        drops: &mut Drops,
        frame: &mut Frame,
        bytes: &[u8],
    ) -> Result<(), DatapathError> {
        if let Some(packet) = frame.copy_of(bytes) {
            return self.write(drops, packet);
        }
        drops.add(DropReason::TunWriteFailed);
        Ok(())
    }

    fn write_segments(&mut self, drops: &mut Drops, packet: &Packet<'_>) -> Result<(), DatapathError> {
        let Self { port, segment: buffer } = self;
        let mut is_gone = false;
        let cut = segment::segment(packet, |segment| {
            buffer.clear();
            buffer.extend([0; virtio::HEADER_LEN]);
            buffer.extend(segment);
            match port.write(buffer) {
                Written::Done => {}
                Written::Gone => is_gone = true,
                Written::Refused(_) => drops.add(DropReason::TunWriteFailed),
            }
        });
        if cut.is_err() {
            drops.add(DropReason::Unsegmentable);
        }
        if is_gone { Err(DatapathError::TunGone) } else { Ok(()) }
    }
}

/// Whether a kernel that never heard of this kind of super-packet refuses it.
fn is_unknown_offload(offload: Offload, error: &io::Error) -> bool {
    offload.segments.is_some() && error.raw_os_error() == Some(libc::EINVAL)
}
