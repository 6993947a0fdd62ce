//! The virtio-net header of a TUN device (virtio 1.2 §5.1.6): what the kernel and we tell each other about a packet.
//!
//! Only combinations we negotiate are read, and only legal ones are written. Lengths and offsets are computed from the
//! packet and never copied: the kernel accepts a stale `csum_start` and corrupts the packet with it.

use std::fmt;

use crate::buffer::NoHeadroom;
use crate::{Checksum, Family, Layout, Malformed, Offload, Packet, SegmentKind, Segments, protocol};

/// Length of the header, in bytes (`TUNSETVNETHDRSZ` 10: without `num_buffers`).
pub const HEADER_LEN: usize = 10;

/// The checksum is partial; `csum_start` and `csum_offset` are valid.
const NEEDS_CSUM: u8 = 1;
/// The kernel believes the checksum. It is complete all the same, so there is nothing to do, and nothing to write.
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;

/// Why a virtio-net header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VirtioError {
    /// Fewer than [`HEADER_LEN`] bytes.
    Truncated,
    /// A flag that was never negotiated.
    Flags(u8),
    /// A segmentation type, or a bit beside it, that was never negotiated.
    GsoType(u8),
    /// A super-packet of segments of zero bytes, or without a partial checksum.
    NotSegmentable,
    /// The segmentation type is not that of the packet.
    WrongProtocol,
    /// The checksum is not where the packet has one.
    ChecksumPlace,
    /// The packet itself cannot be read.
    Packet(Malformed),
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the virtio-net header is not whole"),
            Self::Flags(flags) => write!(f, "virtio-net flags {flags:#04x} were never negotiated"),
            Self::GsoType(kind) => write!(f, "virtio-net segmentation type {kind:#04x} was never negotiated"),
            Self::NotSegmentable => f.write_str("a super-packet without segment size or partial checksum"),
            Self::WrongProtocol => f.write_str("the segmentation type is not that of the packet"),
            Self::ChecksumPlace => f.write_str("the checksum is not where the packet has one"),
            Self::Packet(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for VirtioError {}

/// Reads the header that came with a packet.
///
/// # Errors
/// If it says anything that was not negotiated, or anything that the packet contradicts.
pub fn decode(header: &[u8], packet: &[u8]) -> Result<Offload, VirtioError> {
    let [flags, gso_type, _, _, s0, s1, c0, c1, o0, o1, ..] = *header else { return Err(VirtioError::Truncated) };
    if flags & !(NEEDS_CSUM | DATA_VALID) != 0 {
        return Err(VirtioError::Flags(flags));
    }
    if flags & NEEDS_CSUM == 0 {
        return match gso_type {
            GSO_NONE => Ok(Offload::default()),
            GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4 => Err(VirtioError::NotSegmentable),
            _ => Err(VirtioError::GsoType(gso_type)),
        };
    }
    let layout = Layout::of(packet).map_err(VirtioError::Packet)?;
    let place = (usize::from(u16::from_ne_bytes([c0, c1])), usize::from(u16::from_ne_bytes([o0, o1])));
    let transport = layout.transport_header(packet).map_err(VirtioError::Packet)?.ok_or(VirtioError::ChecksumPlace)?;
    if place != (layout.transport_at, transport.checksum_at) {
        return Err(VirtioError::ChecksumPlace);
    }
    let segments = segments(gso_type, u16::from_ne_bytes([s0, s1]), &layout)?;
    Ok(Offload { checksum: Checksum::Partial, segments })
}

fn segments(gso_type: u8, size_bytes: u16, layout: &Layout) -> Result<Option<Segments>, VirtioError> {
    let kind = match (gso_type, layout.family, layout.protocol) {
        (GSO_NONE, ..) => return Ok(None),
        (GSO_TCPV4, Family::V4, protocol::TCP) | (GSO_TCPV6, Family::V6, protocol::TCP) => SegmentKind::Tcp,
        (GSO_UDP_L4, _, protocol::UDP) => SegmentKind::Udp,
        (GSO_TCPV4 | GSO_TCPV6 | GSO_UDP_L4, ..) => return Err(VirtioError::WrongProtocol),
        _ => return Err(VirtioError::GsoType(gso_type)),
    };
    if size_bytes == 0 {
        return Err(VirtioError::NotSegmentable);
    }
    Ok(Some(Segments { kind, size_bytes }))
}

/// The header to write in front of a packet.
///
/// A packet that cannot be read gets the header of an ordinary one: the kernel then judges the packet itself.
pub fn encode(packet: &Packet<'_>) -> [u8; HEADER_LEN] {
    try_encode(packet).unwrap_or([0; HEADER_LEN])
}

fn try_encode(packet: &Packet<'_>) -> Option<[u8; HEADER_LEN]> {
    if packet.offload == Offload::default() {
        return None;
    }
    let bytes = packet.bytes();
    let layout = Layout::of(bytes).ok()?;
    let transport = layout.transport_header(bytes).ok()??;
    let (gso_type, size_bytes) = match (packet.offload.segments, layout.family) {
        (None, _) => (GSO_NONE, 0),
        (Some(Segments { kind: SegmentKind::Tcp, size_bytes }), Family::V4) => (GSO_TCPV4, size_bytes),
        (Some(Segments { kind: SegmentKind::Tcp, size_bytes }), Family::V6) => (GSO_TCPV6, size_bytes),
        (Some(Segments { kind: SegmentKind::Udp, size_bytes }), _) => (GSO_UDP_L4, size_bytes),
    };
    let [h0, h1] = u16::try_from(layout.transport_at + transport.len).ok()?.to_ne_bytes();
    let [s0, s1] = size_bytes.to_ne_bytes();
    let [c0, c1] = u16::try_from(layout.transport_at).ok()?.to_ne_bytes();
    let [o0, o1] = u16::try_from(transport.checksum_at).ok()?.to_ne_bytes();
    Some([NEEDS_CSUM, gso_type, h0, h1, s0, s1, c0, c1, o0, o1])
}

/// Writes the header into the room in front of a packet and gives both, ready for one write to the device.
///
/// # Errors
/// If there are fewer than [`HEADER_LEN`] bytes in front.
pub fn with_header<'p>(packet: &'p mut Packet<'_>) -> Result<&'p [u8], NoHeadroom> {
    let header = encode(packet);
    let frame = packet.with_front(HEADER_LEN)?;
    frame[..HEADER_LEN].copy_from_slice(&header);
    Ok(frame)
}
