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

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
    use packet::{Checksum, Frame, SegmentKind, Segments, ipv6, protocol};

    use super::*;

    /// Three datagrams in one: 100, 100 and 50 bytes.
    fn train(frame: &mut Frame) -> Packet<'_> {
        let header = ipv6::Header {
            traffic_class: 0,
            payload_len: 258,
            next_header: protocol::UDP,
            hop_limit: 64,
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
        };
        let udp = [0x0f, 0xa0, 0x0f, 0xa1, 1, 2, 0, 0];
        let payload: Vec<u8> = (0..250).collect();
        let mut packet = frame.copy_of(&[&header.to_bytes()[..], &udp, &payload].concat()).unwrap();
        let segments = Segments { kind: SegmentKind::Udp, size_bytes: 100 };
        packet.offload = Offload { checksum: Checksum::Partial, segments: Some(segments) };
        packet
    }

    fn outlet(device: OwnedFd) -> Outlet {
        Outlet::new(Port::new(device, tun::Offload::TsoAndUso).unwrap())
    }

    fn failed(drops: &Drops) -> u64 {
        drops.iter().find(|(name, _)| *name == "tun_write_failed").unwrap().1
    }

    /// A write to a timer is refused as an unknown super-packet is: EINVAL.
    fn refuses_everything() -> Outlet {
        outlet(TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).unwrap().into())
    }

    #[tokio::test]
    async fn a_kernel_that_takes_no_super_packet_gets_its_segments() {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (kernel, device) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        let (mut frame, mut drops, mut refused) = (Frame::new(), Drops::default(), Drops::default());
        let packet = train(&mut frame);
        let mut expected = Vec::new();
        segment::segment(&packet, |segment| expected.push([&[0; virtio::HEADER_LEN], segment].concat())).unwrap();

        outlet(device).write_segments(&mut drops, &packet).unwrap();
        refuses_everything().write(&mut refused, packet).unwrap();

        let written = std::iter::from_fn(|| {
            let mut buffer = [0; 2048];
            let len = nix::unistd::read(&kernel, &mut buffer).ok().filter(|len| *len > 0)?;
            Some(buffer[..len].to_vec())
        });
        assert_eq!(written.collect::<Vec<_>>(), expected);
        assert_eq!((failed(&drops), failed(&refused)), (0, 3), "each segment was tried");
    }

    #[tokio::test]
    async fn what_the_kernel_does_not_take_is_counted_and_gone() {
        let (mut frame, mut drops) = (Frame::new(), Drops::default());

        refuses_everything().write_made(&mut drops, &mut frame, &[0x45; 20]).unwrap();
        refuses_everything().write_made(&mut drops, &mut frame, &vec![0x45; 70_000]).unwrap();

        assert_eq!(failed(&drops), 2);
    }
}
