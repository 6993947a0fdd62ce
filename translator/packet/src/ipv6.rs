//! IPv6 headers (RFC 8200): a view to read them, the walk along the extension headers, a plain value to write them.

use std::net::Ipv6Addr;

use crate::{Malformed, protocol};

/// Length of the fixed header, in bytes.
pub const HEADER_LEN: usize = 40;
/// Where the payload length stands, in bytes from the start of the fixed header.
pub const PAYLOAD_LEN_AT: usize = 4;
/// Where the fragment offset stands, in bytes from the start of its header.
pub const FRAGMENT_OFFSET_AT: usize = 2;
/// Length of a fragment header, in bytes.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// A view of an IPv6 packet: the fixed header is whole, the payload as long as it says or, when quoted, shorter.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a>(&'a [u8]);

/// The end of the extension headers: what the packet carries, and what was met on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer {
    /// Protocol of the payload.
    pub protocol: u8,
    /// Where the payload starts, in bytes from the start of the fixed header.
    pub at: usize,
    /// The fragment header, if there is one.
    pub fragment: Option<Fragment>,
    /// Where the segments-left field of a routing header stands that still has segments left.
    pub segments_left_at: Option<usize>,
}

/// A fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Place in the payload of the whole, in bytes.
    pub offset_bytes: u16,
    /// Whether another part follows.
    pub more: bool,
    /// Identification of the whole.
    pub identification: u32,
}

/// How the walk along the extension headers goes on.
#[derive(Clone, Copy, Debug)]
enum Step {
    On,
    Stop,
}

impl Fragment {
    /// RFC 6946: a fragment that is the whole packet.
    #[inline]
    pub const fn is_atomic(&self) -> bool {
        self.offset_bytes == 0 && !self.more
    }

    /// The 8 bytes of the header.
    #[inline]
    pub fn to_bytes(self, next_header: u8) -> [u8; FRAGMENT_HEADER_LEN] {
        let [a, b] = ((self.offset_bytes & !7) | u16::from(self.more)).to_be_bytes();
        let [c, d, e, f] = self.identification.to_be_bytes();
        [next_header, 0, a, b, c, d, e, f]
    }
}

impl<'a> Ipv6<'a> {
    /// Reads a packet; bytes behind its payload length (padding) are left out of the view.
    ///
    /// # Errors
    /// If the version is wrong or the bytes end before the payload does. Jumbograms (RFC 2675) are read as empty.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Self::parse_quoted(bytes)?;
        header.0.get(..HEADER_LEN + header.payload_len()).map(Self).ok_or(Malformed::Truncated)
    }

    /// Reads a packet quoted in an ICMP error, whose payload may be cut short. Its payload length means nothing.
    ///
    /// # Errors
    /// If the version is wrong or the fixed header is not whole.
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let first = *bytes.first().ok_or(Malformed::Truncated)?;
        if first >> 4 != 6 {
            return Err(Malformed::Version);
        }
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        Ok(Self(bytes))
    }

    /// Traffic class, ECN included.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.0[0] << 4 | self.0[1] >> 4
    }

    /// Length the header claims for everything behind the fixed header, in bytes.
    #[inline]
    pub fn payload_len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.0[4], self.0[5]]))
    }

    /// Protocol of the first header behind the fixed one.
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.0[6]
    }

    /// Hops left.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        self.address(8)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.address(24)
    }

    /// Walks the extension headers to the payload.
    ///
    /// # Errors
    /// If a header is not whole, or if anything but the payload follows a fragment header (RFC 7915 §5.1.1).
    pub fn upper_layer(&self) -> Result<UpperLayer, Malformed> {
        self.walk(|_, _| Err(Malformed::HeaderChain))
    }

    /// The same for a packet that can only be answered: extension headers behind the fragment header of a first fragment
    /// are walked along too.
    ///
    /// # Errors
    /// If a header is not whole, or if there is a second fragment header.
    pub fn upper_layer_to_answer(&self) -> Result<UpperLayer, Malformed> {
        self.walk(|protocol, fragment| match (protocol, fragment.offset_bytes) {
            (protocol::FRAGMENT, _) => Err(Malformed::HeaderChain),
            (_, 0) => Ok(Step::On),
            // What stands in a later fragment is no header.
            _ => Ok(Step::Stop),
        })
    }

    /// `behind` says what to do with an extension header of such a number behind such a fragment header.
    fn walk(&self, behind: impl Fn(u8, Fragment) -> Result<Step, Malformed>) -> Result<UpperLayer, Malformed> {
        let mut walk =
            UpperLayer { protocol: self.next_header(), at: HEADER_LEN, fragment: None, segments_left_at: None };
        loop {
            let is_extension = matches!(
                walk.protocol,
                protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS | protocol::ROUTING | protocol::FRAGMENT
            );
            if let Some(fragment) = walk.fragment.filter(|_| is_extension) {
                match behind(walk.protocol, fragment)? {
                    Step::On => {}
                    Step::Stop => return Ok(walk),
                }
            }
            match walk.protocol {
                protocol::HOP_BY_HOP | protocol::DESTINATION_OPTIONS => self.skip(&mut walk)?,
                protocol::ROUTING => {
                    // RFC 8200 §4.4: segments left is the fourth byte.
                    let left_at = walk.at + 3;
                    if *self.0.get(left_at).ok_or(Malformed::Truncated)? != 0 {
                        walk.segments_left_at = walk.segments_left_at.or(Some(left_at));
                    }
                    self.skip(&mut walk)?;
                }
                protocol::FRAGMENT => self.enter_fragment(&mut walk)?,
                _ => return Ok(walk),
            }
        }
    }

    fn skip(&self, walk: &mut UpperLayer) -> Result<(), Malformed> {
        let [next_header, len, ..] = self.0[walk.at..] else { return Err(Malformed::Truncated) };
        let after = walk.at + (usize::from(len) + 1) * 8;
        if after > self.0.len() {
            return Err(Malformed::Truncated);
        }
        (walk.protocol, walk.at) = (next_header, after);
        Ok(())
    }

    fn enter_fragment(&self, walk: &mut UpperLayer) -> Result<(), Malformed> {
        let [next_header, _, a, b, c, d, e, f, ..] = self.0[walk.at..] else { return Err(Malformed::Truncated) };
        let place = u16::from_be_bytes([a, b]);
        walk.fragment = Some(Fragment {
            offset_bytes: place & !7,
            more: place & 1 != 0,
            identification: u32::from_be_bytes([c, d, e, f]),
        });
        (walk.protocol, walk.at) = (next_header, walk.at + FRAGMENT_HEADER_LEN);
        Ok(())
    }

    /// What stands behind the fixed header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }

    /// Everything the view covers, fixed header first.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    fn address(&self, at: usize) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.0[at..at + 16]);
        Ipv6Addr::from(octets)
    }
}

/// The fields of an IPv6 header, to be written; the flow label is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Traffic class, ECN included.
    pub traffic_class: u8,
    /// Length of everything behind the fixed header, in bytes.
    pub payload_len: u16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// The 40 bytes of the header.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 0x60 | self.traffic_class >> 4;
        bytes[1] = self.traffic_class << 4;
        bytes[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        bytes[6] = self.next_header;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
        bytes
    }
}

/// Sets the payload length of the IPv6 packet that starts here; shorter bytes stay as they are.
#[inline]
pub fn set_payload_len(bytes: &mut [u8], len: u16) {
    if let Some(field) = bytes.get_mut(4..6) {
        field.copy_from_slice(&len.to_be_bytes());
    }
}

/// Sets the traffic class, ECN included; shorter bytes stay as they are.
#[inline]
pub fn set_traffic_class(bytes: &mut [u8], traffic_class: u8) {
    if let [first, second, ..] = bytes {
        *first = *first & 0xf0 | traffic_class >> 4;
        *second = *second & 0x0f | traffic_class << 4;
    }
}

/// Sets the protocol of what follows the fixed header; shorter bytes stay as they are.
#[inline]
pub fn set_next_header(bytes: &mut [u8], next_header: u8) {
    if let Some(field) = bytes.get_mut(6) {
        *field = next_header;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOP_BY_HOP: [u8; 8] = [protocol::ROUTING, 0, 1, 4, 0, 0, 0, 0];

    fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            traffic_class: 0xb9,
            payload_len: u16::try_from(payload.len()).unwrap(),
            next_header,
            hop_limit: 64,
            source: "2001:db8::1".parse().unwrap(),
            destination: "64:ff9b::1".parse().unwrap(),
        };
        [&header.to_bytes()[..], payload].concat()
    }

    fn walk(bytes: &[u8]) -> Result<UpperLayer, Malformed> {
        Ipv6::parse(bytes).unwrap().upper_layer()
    }

    #[test]
    fn a_written_header_is_what_etherparse_reads() {
        let bytes = packet(17, &[1, 2, 3]);

        let (read, rest) = etherparse::Ipv6Header::from_slice(&bytes).unwrap();

        assert_eq!((read.traffic_class, read.flow_label.value(), read.payload_length), (0xb9, 0, 3));
        assert_eq!(read.source_addr(), Ipv6::parse(&bytes).unwrap().source());
        assert_eq!(read.destination_addr(), "64:ff9b::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(Ipv6::parse(&bytes).unwrap().traffic_class(), 0xb9);
        assert_eq!(rest, [1, 2, 3]);
    }

    #[test]
    fn a_changed_traffic_class_leaves_version_and_flow_label_alone() {
        let mut bytes = packet(17, &[]);
        bytes[1] |= 0x0f;
        set_traffic_class(&mut bytes, 0x46);

        let (read, _) = etherparse::Ipv6Header::from_slice(&bytes).unwrap();
        assert_eq!((read.traffic_class, read.flow_label.value()), (0x46, 0xf_0000));
    }

    #[test]
    fn the_walk_ends_at_the_first_header_that_is_no_extension() {
        let routing = [protocol::UDP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = packet(protocol::HOP_BY_HOP, &[&HOP_BY_HOP[..], &routing, &[9; 8]].concat());

        let expected = UpperLayer { protocol: protocol::UDP, at: 64, fragment: None, segments_left_at: None };
        assert_eq!(walk(&bytes), Ok(expected));
    }

    #[test]
    fn a_routing_header_with_segments_left_points_at_them() {
        let routing = [protocol::UDP, 0, 0, 2, 0, 0, 0, 0];
        let bytes = packet(protocol::HOP_BY_HOP, &[&HOP_BY_HOP[..], &routing].concat());

        assert_eq!(walk(&bytes).unwrap().segments_left_at, Some(40 + 8 + 3));
    }

    #[test]
    fn an_atomic_fragment_is_told_from_a_first_fragment() {
        let atomic = packet(protocol::FRAGMENT, &[protocol::UDP, 0, 0, 0, 0, 0, 0, 7, 1, 2]);
        let first = packet(protocol::FRAGMENT, &[protocol::UDP, 0, 0, 1, 0, 0, 0, 7, 1, 2]);

        assert!(walk(&atomic).unwrap().fragment.unwrap().is_atomic());
        assert!(!walk(&first).unwrap().fragment.unwrap().is_atomic());
        assert_eq!(walk(&atomic).unwrap().at, 48);
    }

    #[test]
    fn extension_headers_behind_a_fragment_header_are_refused() {
        for next in [protocol::FRAGMENT, protocol::DESTINATION_OPTIONS, protocol::ROUTING, protocol::HOP_BY_HOP] {
            let bytes = packet(protocol::FRAGMENT, &[next, 0, 0, 0, 0, 0, 0, 7, 17, 0, 0, 0, 0, 0, 0, 0]);

            assert_eq!(walk(&bytes), Err(Malformed::HeaderChain));
        }
    }

    #[test]
    fn to_be_answered_a_first_fragment_is_walked_to_its_end_and_a_later_one_is_not() {
        let fragment = |next, low| {
            let payload = [&[next, 0, 0, low, 0, 0, 0, 7][..], &[protocol::ICMPV6, 0, 0, 0, 0, 0, 0, 0]].concat();
            let bytes = packet(protocol::FRAGMENT, &payload);
            let walked = Ipv6::parse(&bytes).unwrap().upper_layer_to_answer();
            walked.map(|upper| (upper.protocol, upper.at))
        };

        for next in [protocol::DESTINATION_OPTIONS, protocol::ROUTING, protocol::HOP_BY_HOP] {
            assert_eq!(fragment(next, 1), Ok((protocol::ICMPV6, 56)));
            assert_eq!(fragment(next, 9), Ok((next, 48)), "offset 8");
        }
        assert_eq!(fragment(protocol::FRAGMENT, 1), Err(Malformed::HeaderChain));
    }

    #[test]
    fn a_chain_that_leaves_the_packet_is_truncated() {
        for payload in [&[17][..], &[17, 1, 0, 0, 0, 0, 0, 0], &[]] {
            for next in [protocol::HOP_BY_HOP, protocol::ROUTING, protocol::FRAGMENT] {
                if next == protocol::FRAGMENT && payload.len() == 8 {
                    continue;
                }
                assert_eq!(walk(&packet(next, payload)), Err(Malformed::Truncated));
            }
        }
    }
}
