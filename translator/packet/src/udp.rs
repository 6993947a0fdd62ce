//! UDP headers (RFC 768).

use crate::Malformed;

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_AT: usize = 6;
/// Where the length stands.
pub(crate) const LENGTH_AT: usize = 4;

/// A view of a UDP datagram whose header is whole and whose length fits its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a [u8]);

impl<'a> Udp<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// If the header is not whole, or its length field is below 8 or beyond the bytes.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER_LEN {
            return Err(Malformed::Truncated);
        }
        let datagram = Self(bytes);
        if datagram.len() < HEADER_LEN || datagram.len() > bytes.len() {
            return Err(Malformed::Length);
        }
        Ok(datagram)
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

    /// Length of header and payload as the header says it, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a datagram has a header at least")]
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(u16::from_be_bytes([self.0[4], self.0[5]]))
    }

    /// The checksum field; zero means that there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.0[6], self.0[7]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_contradicts_the_bytes_is_refused() {
        assert_eq!(Udp::parse(&[0; 7]).unwrap_err(), Malformed::Truncated);
        assert_eq!(Udp::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).unwrap_err(), Malformed::Length);
        assert_eq!(Udp::parse(&[0, 1, 0, 2, 0, 9, 0, 0]).unwrap_err(), Malformed::Length);
        assert_eq!(Udp::parse(&[0, 1, 0, 2, 0, 8, 0, 0]).unwrap().destination(), 2);
    }
}
