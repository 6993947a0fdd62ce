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

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const V4: ([u8; 4], [u8; 4]) = ([192, 0, 2, 1], [198, 51, 100, 2]);

    fn tcp4(payload: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4(V4.0, V4.1, 64).tcp(40000, 443, 7, 1000);
        builder.write(&mut bytes, &vec![1; payload]).unwrap();
        bytes
    }

    fn udp6(payload: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv6([2; 16], [3; 16], 64).udp(40000, 443);
        builder.write(&mut bytes, &vec![1; payload]).unwrap();
        bytes
    }

    /// A header as the kernel writes it: flags, type, hdr_len, gso_size, csum_start, csum_offset.
    fn header(flags: u8, gso_type: u8, words: [u16; 4]) -> Vec<u8> {
        let words = words.into_iter().flat_map(u16::to_ne_bytes);
        [flags, gso_type].into_iter().chain(words).collect()
    }

    fn encoded(mut bytes: Vec<u8>, offload: Offload) -> Vec<u8> {
        let end = bytes.len();
        let mut packet = Packet::new(&mut bytes, 0..end);
        packet.offload = offload;
        encode(&packet).to_vec()
    }

    const TSO: Offload =
        Offload { checksum: Checksum::Partial, segments: Some(Segments { kind: SegmentKind::Tcp, size_bytes: 1400 }) };
    const USO: Offload =
        Offload { checksum: Checksum::Partial, segments: Some(Segments { kind: SegmentKind::Udp, size_bytes: 1200 }) };
    const PARTIAL: Offload = Offload { checksum: Checksum::Partial, segments: None };

    #[test]
    fn what_the_kernel_says_of_a_super_packet_is_read_and_written_alike() {
        let tso = header(1, 1, [40, 1400, 20, 16]);
        let uso = header(1, 5, [48, 1200, 40, 6]);

        assert_eq!(decode(&tso, &tcp4(5000)), Ok(TSO));
        assert_eq!(encoded(tcp4(5000), TSO), tso);
        assert_eq!(decode(&uso, &udp6(5000)), Ok(USO));
        assert_eq!(encoded(udp6(5000), USO), uso);
    }

    #[test]
    fn lengths_and_offsets_come_from_the_packet_and_not_from_what_was_read() {
        let forwarded = header(1, 1, [5040, 1400, 20, 16]);

        let offload = decode(&forwarded, &tcp4(5000)).unwrap();

        assert_eq!(encoded(tcp4(5000), offload), header(1, 1, [40, 1400, 20, 16]));
        assert_eq!(encoded(udp6(100), PARTIAL), header(1, 0, [48, 0, 40, 6]));
    }

    #[test]
    fn a_checksum_the_kernel_believes_is_complete_and_never_written_back() {
        assert_eq!(decode(&header(2, 0, [0; 4]), &tcp4(10)), Ok(Offload::default()));
        assert_eq!(encoded(tcp4(10), Offload::default()), [0; HEADER_LEN]);
    }

    #[test]
    fn what_was_never_negotiated_is_refused() {
        let packet = tcp4(5000);
        let refused = |flags, kind| decode(&header(flags, kind, [40, 1400, 20, 16]), &packet).unwrap_err();

        assert_eq!(refused(4, 0), VirtioError::Flags(4));
        for kind in [0x81, 0x11, 0x21, 0x41, 2, 3, 6] {
            assert_eq!(refused(1, kind), VirtioError::GsoType(kind));
            assert_eq!(refused(0, kind), VirtioError::GsoType(kind));
        }
        assert_eq!(refused(0, 1), VirtioError::NotSegmentable);
    }

    #[test]
    fn what_the_packet_contradicts_is_refused() {
        let tcp = |kind, words| decode(&header(1, kind, words), &tcp4(5000)).unwrap_err();

        assert_eq!(tcp(4, [60, 1400, 20, 16]), VirtioError::WrongProtocol);
        assert_eq!(tcp(5, [40, 1400, 20, 16]), VirtioError::WrongProtocol);
        assert_eq!(tcp(1, [40, 1400, 40, 16]), VirtioError::ChecksumPlace);
        assert_eq!(tcp(1, [40, 1400, 20, 6]), VirtioError::ChecksumPlace);
        assert_eq!(tcp(1, [40, 0, 20, 16]), VirtioError::NotSegmentable);
        assert_eq!(decode(&[0; 9], &tcp4(1)), Err(VirtioError::Truncated));
        assert_eq!(decode(&header(1, 0, [0; 4]), &[]), Err(VirtioError::Packet(Malformed::Version)));
    }

    #[test]
    fn the_header_is_written_into_the_room_in_front() {
        let mut buffer = [vec![9; HEADER_LEN], tcp4(10)].concat();
        let end = buffer.len();
        let mut packet = Packet::new(&mut buffer, HEADER_LEN..end);
        packet.offload = PARTIAL;

        let frame = with_header(&mut packet).unwrap();

        assert_eq!(frame[..HEADER_LEN], header(1, 0, [40, 0, 20, 16]));
        assert_eq!(frame[HEADER_LEN], 0x45);
        assert_eq!(with_header(&mut Packet::new(&mut [0; 9], 9..9)), Err(NoHeadroom));
    }
}
