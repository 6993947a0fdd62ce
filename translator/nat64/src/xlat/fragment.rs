//! Making fragments (RFC 7915 §4.1, RFC 791 §3.2, RFC 8200 §4.5) of packets that do not fit the next link.

use packet::ipv4::{Fragmentation, Ipv4Mut};
use packet::ipv6::{self, Fragment};
use packet::{Family, Layout, Packet, segment};

use crate::DropReason;

/// The fragments of a translated packet, each at most `mtu` bytes, in order. A super-packet is cut first.
///
/// `identification` is that of the IPv4 packet this once was; RFC 7915 §4.1 hands it on to the fragment header.
pub(crate) fn fragments(packet: &Packet<'_>, mtu: u16, identification: u16) -> Result<Vec<Vec<u8>>, DropReason> {
    let mut fragments = Vec::new();
    let mut identification = identification;
    let mut outcome = Ok(());
    segment::segment(packet, |whole| {
        if let Err(reason) = split(whole, usize::from(mtu), identification, &mut fragments) {
            outcome = Err(reason);
        }
        identification = identification.wrapping_add(1);
    })
    .map_err(|_| DropReason::OffloadMismatch)?;
    outcome.map(|()| fragments)
}

fn split(whole: &[u8], mtu: usize, identification: u16, fragments: &mut Vec<Vec<u8>>) -> Result<(), DropReason> {
    let layout = Layout::of(whole).map_err(|_| DropReason::Malformed)?;
    let (header, payload) = whole[..layout.end].split_at(layout.transport_at);
    if whole.len() <= mtu {
        fragments.push(whole.to_vec());
        return Ok(());
    }
    let room = match layout.family {
        Family::V4 => mtu.saturating_sub(header.len()),
        Family::V6 => mtu.saturating_sub(header.len() + ipv6::FRAGMENT_HEADER_LEN),
    };
    // Both families count offsets in units of eight bytes.
    let part_len = room / 8 * 8;
    if part_len == 0 {
        return Err(DropReason::PacketTooBig);
    }
    let count = payload.len().div_ceil(part_len);
    for (index, part) in payload.chunks(part_len).enumerate() {
        let place = (index * part_len, index + 1 < count);
        fragments.push(match layout.family {
            Family::V4 => fragment4(header, part, place)?,
            Family::V6 => fragment6(header, part, place, (layout.protocol, identification)),
        });
    }
    Ok(())
}

fn fragment4(header: &[u8], part: &[u8], (offset, more): (usize, bool)) -> Result<Vec<u8>, DropReason> {
    let mut fragment = [header, part].concat();
    let len = fragment.len() as u16;
    let mut ip = Ipv4Mut::parse(&mut fragment).map_err(|_| DropReason::Malformed)?;
    ip.set_total_len(len);
    ip.set_fragmentation(Fragmentation::Part { offset_bytes: offset as u16, more });
    ip.seal();
    Ok(fragment)
}

fn fragment6(
    header: &[u8],
    part: &[u8],
    (offset, more): (usize, bool),
    (next_header, identification): (u8, u16),
) -> Vec<u8> {
    let place = Fragment { offset_bytes: offset as u16, more, identification: u32::from(identification) };
    let mut fragment = [header, &place.to_bytes(next_header), part].concat();
    let payload_len = (fragment.len() - ipv6::HEADER_LEN) as u16;
    ipv6::set_payload_len(&mut fragment, payload_len);
    ipv6::set_next_header(&mut fragment, packet::protocol::FRAGMENT);
    fragment
}
