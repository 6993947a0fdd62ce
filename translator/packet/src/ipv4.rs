//! IPv4 headers (RFC 791): a view to read them, a plain value to write them.

use std::net::Ipv4Addr;

use crate::Malformed;
use crate::checksum::Sum;

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// Where the total length stands.
const TOTAL_LEN_AT: usize = 2;
/// Where the header checksum stands.
const CHECKSUM_AT: usize = 10;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

/// A view of an IPv4 packet: the header is whole, the payload as long as the header says or, when quoted, shorter.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a>(&'a [u8]);

impl<'a> Ipv4<'a> {
    /// Reads a packet; bytes behind its total length (padding) are left out of the view.
    ///
    /// # Errors
    /// If the version, the header length or the total length is wrong for these bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header = Self::parse_quoted(bytes)?;
        let total_len = header.total_len();
        if total_len < header.header_len() {
            return Err(Malformed::Length);
        }
        header.0.get(..total_len).map(Self).ok_or(Malformed::Truncated)
    }

    /// Reads a packet quoted in an ICMP error, whose payload may be cut short. Its total length means nothing.
    ///
    /// # Errors
    /// If the version is wrong or the header itself is not whole.
    #[inline]
    pub fn parse_quoted(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let first = *bytes.first().ok_or(Malformed::Truncated)?;
        if first >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = usize::from(first & 0x0f) * 4;
        if header_len < HEADER_LEN {
            return Err(Malformed::Length);
        }
        if bytes.len() < header_len {
            return Err(Malformed::Truncated);
        }
        Ok(Self(bytes))
    }

    /// Length of the header with its options, in bytes.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[0] & 0x0f) * 4
    }

    /// Type of service, ECN included.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.0[1]
    }

    /// Length the header claims for the whole packet, in bytes.
    #[inline]
    pub fn total_len(&self) -> usize {
        usize::from(self.word(TOTAL_LEN_AT))
    }

    /// Identification, for fragments.
    #[inline]
    pub fn identification(&self) -> u16 {
        self.word(4)
    }

    /// Whether routers may not fragment the packet.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.word(6) & DONT_FRAGMENT != 0
    }

    /// Whether the packet is a part of a larger one.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.word(6) & !(DONT_FRAGMENT | 0x8000) != 0
    }

    /// Whether another fragment follows this one.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.word(6) & MORE_FRAGMENTS != 0
    }

    /// Where this fragment belongs in the payload of the whole, in bytes.
    #[inline]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.word(6) & 0x1fff) * 8
    }

    /// Hops left.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.0[8]
    }

    /// Protocol of the payload.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        self.address(12)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        self.address(16)
    }

    /// Whether the header checksum is right.
    #[inline]
    pub fn checksum_is_right(&self) -> bool {
        Sum::new().bytes(&self.0[..self.header_len()]).complete() == 0
    }

    /// Where in the packet an unexpired source route option starts (RFC 791 §3.1: loose 131, strict 137).
    ///
    /// A malformed option ends the walk: what follows it cannot be told apart from padding.
    pub fn unexpired_source_route(&self) -> Option<usize> {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        const LOOSE: u8 = 131;
        const STRICT: u8 = 137;
        let header = &self.0[..self.header_len()];
        let mut at = HEADER_LEN;
        while at < header.len() {
            match header[at..] {
                [END, ..] => return None,
                [NO_OPERATION, ..] => at += 1,
                [LOOSE | STRICT, len, pointer, ..] if len >= 3 && pointer <= len => return Some(at),
                [_, len, ..] if len >= 2 => at += usize::from(len),
                _ => return None,
            }
        }
        None
    }

    /// What stands behind the header.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        &self.0[self.header_len()..]
    }

    /// Everything the view covers, header first.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline]
    fn address(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::new(self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3])
    }
}

/// The fields of an IPv4 header without options, to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type of service, ECN included.
    pub traffic_class: u8,
    /// Length of the whole packet, in bytes.
    pub total_len: u16,
    /// Identification, for fragments.
    pub identification: u16,
    /// Whether routers may fragment the packet.
    pub fragmentation: Fragmentation,
    /// Hops left.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
}

/// What the flags and the offset of an IPv4 header say about fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragmentation {
    /// Whole, and to stay so (DF).
    Never,
    /// Whole; routers may fragment it.
    Allowed,
    /// A part of a packet.
    Part {
        /// Place in the payload of the whole, in bytes; a multiple of 8.
        offset_bytes: u16,
        /// Whether another part follows.
        more: bool,
    },
}

impl Fragmentation {
    /// RFC 7915 §5.1: DF is set only beyond 1260 bytes, so the IPv4 side may still fragment what fits IPv6's 1280.
    #[inline]
    pub const fn for_translated(total_len: usize) -> Self {
        if total_len > 1260 { Self::Never } else { Self::Allowed }
    }

    #[inline]
    const fn word(self) -> u16 {
        match self {
            Self::Never => DONT_FRAGMENT,
            Self::Allowed => 0,
            Self::Part { offset_bytes, more } => (offset_bytes / 8) | if more { MORE_FRAGMENTS } else { 0 },
        }
    }
}

impl Header {
    /// The 20 bytes of the header, checksum included.
    #[inline(always)]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let half = |high: u8, low: u8| u32::from(high) << 8 | u32::from(low);
        let words = [
            half(0x45, self.traffic_class) << 16 | u32::from(self.total_len),
            u32::from(self.identification) << 16 | u32::from(self.fragmentation.word()),
            half(self.ttl, self.protocol) << 16,
            self.source.to_bits(),
            self.destination.to_bits(),
        ];
        let sum: u64 = words.iter().map(|word| u64::from(*word)).sum();
        let sum = (sum >> 32) + (sum >> 16 & 0xffff) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let checksum = !((sum >> 16) + sum) as u16;
        let mut bytes = [0; HEADER_LEN];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// A valid IPv4 header in place, to change fields that do not move anything. Call [`seal`](Self::seal) last.
#[derive(Debug)]
pub struct Ipv4Mut<'a>(&'a mut [u8]);

impl<'a> Ipv4Mut<'a> {
    /// Takes a packet whose header is whole.
    ///
    /// # Errors
    /// As [`Ipv4::parse_quoted`].
    #[inline]
    pub fn parse(bytes: &'a mut [u8]) -> Result<Self, Malformed> {
        Ipv4::parse_quoted(bytes)?;
        Ok(Self(bytes))
    }

    /// Sets the length of the whole packet, in bytes.
    #[inline]
    pub fn set_total_len(&mut self, len: u16) {
        self.0[TOTAL_LEN_AT..TOTAL_LEN_AT + 2].copy_from_slice(&len.to_be_bytes());
    }

    /// Sets the type of service, ECN included.
    #[inline]
    pub fn set_traffic_class(&mut self, traffic_class: u8) {
        self.0[1] = traffic_class;
    }

    /// Sets the identification.
    #[inline]
    pub fn set_identification(&mut self, identification: u16) {
        self.0[4..6].copy_from_slice(&identification.to_be_bytes());
    }

    /// Sets flags and offset.
    #[inline]
    pub fn set_fragmentation(&mut self, fragmentation: Fragmentation) {
        self.0[6..8].copy_from_slice(&fragmentation.word().to_be_bytes());
    }

    /// Sets the hops left.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        self.0[8] = ttl;
    }

    /// Sets the source address.
    #[inline]
    pub fn set_source(&mut self, source: Ipv4Addr) {
        self.0[12..16].copy_from_slice(&source.octets());
    }

    /// Sets the destination address.
    #[inline]
    pub fn set_destination(&mut self, destination: Ipv4Addr) {
        self.0[16..20].copy_from_slice(&destination.octets());
    }

    /// Computes the header checksum from scratch.
    #[inline]
    pub fn seal(self) {
        let header_len = usize::from(self.0[0] & 0x0f) * 4;
        self.0[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        let checksum = Sum::new().bytes(&self.0[..header_len]).complete();
        self.0[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        traffic_class: 0xb9,
        total_len: 24,
        identification: 0x1234,
        fragmentation: Fragmentation::Never,
        ttl: 64,
        protocol: 17,
        source: Ipv4Addr::new(192, 0, 2, 1),
        destination: Ipv4Addr::new(198, 51, 100, 2),
    };

    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes.extend_from_slice(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[0] = 0x40 | u8::try_from(bytes.len() / 4).unwrap();
        bytes
    }

    #[test]
    fn a_written_header_is_what_etherparse_reads() {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes.extend([1, 2, 3, 4]);

        let (read, rest) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();

        assert_eq!(read.header_checksum, read.calc_header_checksum());
        assert_eq!((read.dscp.value(), read.ecn.value()), (0xb9 >> 2, 1));
        assert_eq!((read.source, read.destination), ([192, 0, 2, 1], [198, 51, 100, 2]));
        assert_eq!((read.identification, read.dont_fragment, read.time_to_live), (0x1234, true, 64));
        assert_eq!(rest, [1, 2, 3, 4]);
        assert!(Ipv4::parse(&bytes).unwrap().checksum_is_right());
    }

    #[test]
    fn padding_behind_the_total_length_is_not_part_of_the_packet() {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes.extend([1, 2, 3, 4, 0, 0, 0]);

        assert_eq!(Ipv4::parse(&bytes).unwrap().payload(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_packet_shorter_than_its_total_length_is_only_good_as_a_quote() {
        let bytes = HEADER.to_bytes();

        assert_eq!(Ipv4::parse(&bytes).unwrap_err(), Malformed::Truncated);
        assert_eq!(Ipv4::parse_quoted(&bytes).unwrap().total_len(), 24);
    }

    #[test]
    fn header_lengths_below_five_words_are_refused() {
        let mut bytes = HEADER.to_bytes();
        bytes[0] = 0x44;

        assert_eq!(Ipv4::parse(&bytes).unwrap_err(), Malformed::Length);
    }

    #[test]
    fn a_source_route_counts_until_its_pointer_passes_its_length() {
        let unexpired = with_options(&[1, 131, 7, 4, 10, 0, 0, 1]);
        let expired = with_options(&[1, 137, 7, 8, 10, 0, 0, 1]);

        assert_eq!(Ipv4::parse_quoted(&unexpired).unwrap().unexpired_source_route(), Some(21));
        assert_eq!(Ipv4::parse_quoted(&expired).unwrap().unexpired_source_route(), None);
    }

    #[test]
    fn options_of_impossible_length_end_the_walk() {
        for options in [&[7, 0, 131, 7][..], &[7, 1, 131, 7], &[7, 200, 131, 7], &[131], &[1, 1, 1, 7]] {
            assert_eq!(Ipv4::parse_quoted(&with_options(options)).unwrap().unexpired_source_route(), None);
        }
    }

    #[test]
    fn a_part_keeps_its_offset_in_units_of_eight() {
        let mut bytes = HEADER.to_bytes();
        let mut header = Ipv4Mut::parse(&mut bytes).unwrap();
        header.set_fragmentation(Fragmentation::Part { offset_bytes: 1240, more: true });
        header.set_traffic_class(0xbb);
        header.seal();

        let read = Ipv4::parse_quoted(&bytes).unwrap();
        assert_eq!(read.traffic_class(), 0xbb);
        assert_eq!((read.fragment_offset(), read.more_fragments(), read.is_fragment()), (1240, true, true));
        assert!(read.checksum_is_right());
    }
}
