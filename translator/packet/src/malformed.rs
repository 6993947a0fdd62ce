//! Why bytes are not a packet.

use std::fmt;

/// What stands in the way of reading bytes as the header they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The version nibble is neither 4 nor 6, or not the one this view reads.
    Version,
    /// The bytes end before the header does.
    Truncated,
    /// A length field contradicts the bytes or the header's own minimum.
    Length,
    /// The IPv6 header chain has what no translator may pass: a second fragment header, or an extension header behind
    /// one.
    HeaderChain,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "not the IP version expected",
            Self::Truncated => "the bytes end inside a header",
            Self::Length => "a length field contradicts the bytes",
            Self::HeaderChain => "the IPv6 header chain is not valid",
        })
    }
}

impl std::error::Error for Malformed {}
