//! ICMP headers of both families (RFC 792, RFC 4443): type, code, and the four bytes whose meaning depends on them.

use crate::Malformed;

/// Length of the header, in bytes; quoted packets and echo data stand behind it.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in the header.
pub const CHECKSUM_AT: usize = 2;
/// Where the identifier of an echo stands.
pub const IDENTIFIER_AT: usize = 4;

/// ICMPv4 types (RFC 792 and the IANA registry).
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Source quench, deprecated by RFC 6633.
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// Whether a message of this type reports an error, so that none may be sent about it (RFC 1122 §3.2.2).
    #[inline]
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}

/// ICMPv6 types (RFC 4443).
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Redirect, not an error by number but not to be answered by one (RFC 4443 §2.4 (e.2)).
    pub const REDIRECT: u8 = 137;

    /// Whether no error may be sent about a message of this type (RFC 4443 §2.4 (e)).
    #[inline]
    pub const fn is_error(kind: u8) -> bool {
        kind < 128 || kind == REDIRECT
    }
}

/// A view of an ICMP message of either family whose header is whole.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a>(&'a [u8]);

impl<'a> Icmp<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// If the bytes end before the header does.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER_LEN { Err(Malformed::Truncated) } else { Ok(Self(bytes)) }
    }

    /// Type of the message.
    #[inline]
    pub fn kind(&self) -> u8 {
        self.0[0]
    }

    /// Code of the message.
    #[inline]
    pub fn code(&self) -> u8 {
        self.0[1]
    }

    /// Identifier of an echo.
    #[inline]
    pub fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// The four bytes whose meaning depends on the type.
    #[inline]
    pub fn rest(&self) -> [u8; 4] {
        [self.0[4], self.0[5], self.0[6], self.0[7]]
    }

    /// What stands behind the header.
    #[inline]
    pub fn body(&self) -> &'a [u8] {
        &self.0[HEADER_LEN..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_queries() {
        assert!(v4::is_error(v4::REDIRECT) && !v4::is_error(v4::ECHO_REPLY) && !v4::is_error(13));
        assert!(v6::is_error(v6::PACKET_TOO_BIG) && v6::is_error(v6::REDIRECT) && !v6::is_error(v6::ECHO_REQUEST));
    }

    #[test]
    fn a_message_of_seven_bytes_is_no_message() {
        assert_eq!(Icmp::parse(&[0; 7]).unwrap_err(), Malformed::Truncated);
        assert_eq!(Icmp::parse(&[8, 0, 0, 0, 1, 2, 0, 0, 9]).unwrap().identifier(), 0x0102);
    }
}
