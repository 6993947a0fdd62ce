//! A prefix to make addresses in, with its own conditions.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{Pool6, Reach, special_purpose};

use super::{AddressList, Matched};

/// An IPv6 prefix that stands for a part of IPv4.
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix {
    pub(crate) pool6: Pool6,
    /// Behind the IPv4 address (RFC 6147 §5.2 allows one that never changes).
    pub(crate) suffix: u128,
    pub(crate) mapped: AddressList,
    pub(crate) clients: AddressList,
    pub(crate) exclude: AddressList,
    pub(crate) recursive_only: bool,
}

impl Prefix {
    /// The prefix itself.
    pub fn pool6(&self) -> Pool6 {
        self.pool6
    }

    /// The address that stands for `address`, whatever the conditions say.
    pub(crate) fn embed(&self, address: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.pool6.embed(address).to_bits() | self.suffix)
    }

    /// The address that stands for `address`; `None` if the prefix does not stand for it.
    pub(crate) fn map(&self, address: Ipv4Addr) -> Option<Ipv6Addr> {
        // RFC 6052 §3.1: the well-known prefix must not represent addresses that are not global.
        if self.pool6 == Pool6::default() && special_purpose(address).is_some_and(|block| block.reach != Reach::Global)
        {
            return None;
        }
        (self.mapped.matches(address.into()) == Matched::Yes).then(|| self.embed(address))
    }
}

/// How many bits stand behind the IPv4 address in an address of `pool6` (RFC 6052 §2.2).
pub(super) fn suffix_bits(pool6: Pool6) -> u32 {
    match pool6.net().prefix_len() {
        96 => 0,
        // The reserved octet stands between prefix and suffix.
        shorter => 88 - u32::from(shorter),
    }
}
