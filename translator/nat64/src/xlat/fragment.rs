//! Making fragments (RFC 7915 §4.1, RFC 791 §3.2, RFC 8200 §4.5) of packets that do not fit the next link.

use packet::ipv4::{Fragmentation, Ipv4Mut};
use packet::ipv6::{self, Fragment};
use packet::{Family, Layout, Packet, icmp, segment};

use crate::DropReason;

/// How a packet came in fragments. It leaves in the same ones, as far as they fit (RFC 7915 §4.1, §5.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Train {
    pub(crate) identification: u32,
    /// Where in the payload the fragments behind the first one start, in bytes.
    pub(crate) cuts: Vec<usize>,
    /// Payload of the longest, in bytes.
    pub(crate) longest: usize,
}

/// What a translated packet is still to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cutting {
    /// Longest packet, in bytes.
    pub(crate) mtu: u16,
    /// Identification of the IPv4 packet this once was; RFC 7915 §4.1 hands it on to the fragment header.
    pub(crate) identification: u16,
}

/// The fragments of a translated packet, in order. A super-packet is cut first, one that came in fragments where it was
/// before.
pub(crate) fn fragments(
    packet: &Packet<'_>,
    cutting: Cutting,
    train: Option<&Train>,
) -> Result<Vec<Vec<u8>>, DropReason> {
    let cuts = train.map_or(&[][..], |train| &train.cuts);
    let mut fragments = Vec::new();
    let mut identification = cutting.identification;
    let mut outcome = Ok(());
    segment::segment(packet, |whole| {
        if let Err(reason) = split(whole, usize::from(cutting.mtu), identification, cuts, &mut fragments) {
            outcome = Err(reason);
        }
        identification = identification.wrapping_add(1);
    })
    .map_err(|_| DropReason::OffloadMismatch)?;
    outcome.map(|()| fragments)
}

fn split(
    whole: &[u8],
    mtu: usize,
    identification: u16,
    cuts: &[usize],
    fragments: &mut Vec<Vec<u8>>,
) -> Result<(), DropReason> {
    let layout = Layout::of(whole).map_err(|_| DropReason::Malformed)?;
    let (header, payload) = whole[..layout.end].split_at(layout.transport_at);
    let cuts = behind_transport_header(&layout, whole, cuts);
    if cuts.is_empty() && whole.len() <= mtu {
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
    for (start, end) in parts(payload.len(), cuts, part_len) {
        let part = payload.get(start..end).ok_or(DropReason::Malformed)?;
        let place = (start, end < payload.len());
        fragments.push(match layout.family {
            Family::V4 => fragment4(header, part, place)?,
            Family::V6 => fragment6(header, part, place, (layout.protocol, identification)),
        });
    }
    Ok(())
}

/// RFC 7112 §5, RFC 1858 §3: the first fragment holds the whole transport header, also if it did not on arrival.
fn behind_transport_header<'c>(layout: &Layout, whole: &[u8], cuts: &'c [usize]) -> &'c [usize] {
    let header_len = layout.transport_header(whole).ok().flatten().map_or(icmp::HEADER_LEN, |header| header.len);
    &cuts[cuts.partition_point(|cut| *cut < header_len)..]
}

/// Start and end of each part: as it was cut before, and no part longer than `part_len`.
fn parts(len: usize, cuts: &[usize], part_len: usize) -> impl Iterator<Item = (usize, usize)> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(len));
    starts
        .zip(ends)
        .flat_map(move |(start, end)| (start..end).step_by(part_len).map(move |from| (from, end.min(from + part_len))))
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
