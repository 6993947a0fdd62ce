//! TCP headers (RFC 9293): just what translation and segmentation look at.

use crate::Malformed;

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;
/// Where the checksum stands in the header.
pub const CHECKSUM_AT: usize = 16;
/// Where the sequence number stands.
pub(crate) const SEQUENCE_AT: usize = 4;
/// Where the flags stand.
pub(crate) const FLAGS_AT: usize = 13;

/// The flags of a TCP header, as they stand in its fourteenth byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// Congestion window reduced (RFC 3168 §6.1.2).
    pub const CWR: Self = Self(0x80);

    /// Whether any flag of `other` is set.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the sender waits for an answer, or has nothing more to say: FIN or PSH.
    #[inline]
    pub(crate) const fn ends_data(self) -> bool {
        self.has(Self(Self::FIN.0 | Self::PSH.0))
    }

    /// The flags that every segment of a super-packet has.
    #[inline]
    pub(crate) const fn without_end(self) -> Self {
        Self(self.0 & !(Self::FIN.0 | Self::PSH.0))
    }
}

/// A view of a TCP segment whose header is whole.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(&'a [u8]);

impl<'a> Tcp<'a> {
    /// Reads a segment.
    ///
    /// # Errors
    /// If the data offset is below five words, or the bytes end before the header does.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let offset = *bytes.get(12).ok_or(Malformed::Truncated)?;
        let header_len = usize::from(offset >> 4) * 4;
        if header_len < HEADER_LEN {
            return Err(Malformed::Length);
        }
        if bytes.len() < header_len {
            return Err(Malformed::Truncated);
        }
        Ok(Self(bytes))
    }

    /// Source port.
    #[inline]
    pub fn source(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Destination port.
    #[inline]
    pub fn destination(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Sequence number.
    #[inline]
    pub fn sequence(&self) -> u32 {
        u32::from_be_bytes([self.0[4], self.0[5], self.0[6], self.0[7]])
    }

    /// Length of the header with its options, in bytes.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.0[12] >> 4) * 4
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> Flags {
        Flags(self.0[FLAGS_AT])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_offset_beyond_the_bytes_or_below_five_words_is_refused() {
        let mut segment = [0; 20];
        assert_eq!(Tcp::parse(&segment).unwrap_err(), Malformed::Length);
        segment[12] = 0x60;
        assert_eq!(Tcp::parse(&segment).unwrap_err(), Malformed::Truncated);
        segment[12] = 0x50;
        assert!(Tcp::parse(&segment).is_ok());
        assert_eq!(Tcp::parse(&segment[..12]).unwrap_err(), Malformed::Truncated);
    }

    #[test]
    fn ports_flags_and_sequence_are_read_where_etherparse_writes_them() {
        let mut header = etherparse::TcpHeader::new(40000, 443, 0xdead_beef, 1000);
        (header.syn, header.cwr) = (true, true);
        let bytes = header.to_bytes();

        let tcp = Tcp::parse(&bytes).unwrap();

        assert_eq!((tcp.source(), tcp.destination(), tcp.sequence()), (40000, 443, 0xdead_beef));
        assert!(tcp.flags().has(Flags::SYN) && tcp.flags().has(Flags::CWR) && !tcp.flags().has(Flags::FIN));
    }
}
