//! The NAT64 prefix (RFC 6146's pool6) and how an IPv4 address sits inside an IPv6 one (RFC 6052 §2.2).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::Ipv6Net;

use crate::text::{quote, serde_as_text};

/// An IPv6 prefix that stands for the whole of IPv4: `/32`, `/40`, `/48`, `/56`, `/64` or `/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pool6(Ipv6Net);

/// RFC 6052 §2.2: "bits 64 to 71 of the address are reserved"; the IPv4 address steps over this octet.
const U_OCTET: u128 = 0xff << 56;
/// The bits behind that octet.
const BEHIND_U_OCTET: u128 = (1 << 56) - 1;

impl Pool6 {
    /// The IPv6 address that stands for `address`; the suffix is zero (RFC 6052 §2.2).
    #[inline]
    pub fn embed(&self, address: Ipv4Addr) -> Ipv6Addr {
        if self.0.prefix_len() == 96 {
            return Ipv6Addr::from_bits(self.0.addr().to_bits() | u128::from(address.to_bits()));
        }
        let joined = u128::from(address.to_bits()) << self.shift();
        let apart = (joined & !BEHIND_U_OCTET) << 8 | joined & BEHIND_U_OCTET;
        Ipv6Addr::from_bits(self.0.addr().to_bits() | apart)
    }

    /// The IPv4 address that `address` stands for; `None` outside the prefix.
    ///
    /// Neither the reserved octet nor the suffix is looked at: RFC 6052 §2.3 removes the one, and §2.2 has the other
    /// ignored for the sake of future extensions.
    #[inline]
    pub fn extract(&self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        let bits = address.to_bits();
        if self.0.prefix_len() == 96 {
            // The reserved octet is one of the prefix's.
            return ((bits ^ self.0.addr().to_bits()) >> 32 == 0).then(|| Ipv4Addr::from_bits(bits as u32));
        }
        let outside = (bits ^ self.0.addr().to_bits()) >> (128 - u32::from(self.0.prefix_len()));
        if outside != 0 {
            return None;
        }
        let joined = (bits & !(U_OCTET | BEHIND_U_OCTET)) >> 8 | bits & BEHIND_U_OCTET;
        Some(Ipv4Addr::from_bits((joined >> self.shift()) as u32))
    }

    /// The prefix itself.
    pub fn net(&self) -> Ipv6Net {
        self.0
    }

    /// How many bits stand behind the IPv4 address, the reserved octet not counted, which a /96 holds itself.
    fn shift(&self) -> u32 {
        88_u32.saturating_sub(self.0.prefix_len().into())
    }
}

impl Default for Pool6 {
    /// The well-known prefix 64:ff9b::/96 (RFC 6052 §2.1).
    fn default() -> Self {
        Self(Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96))
    }
}

impl FromStr for Pool6 {
    type Err = Pool6Error;

    fn from_str(text: &str) -> Result<Self, Pool6Error> {
        let net: Ipv6Net = text.parse().map_err(|_| Pool6Error::Syntax { found: quote(text) })?;
        Self::try_from(net)
    }
}

impl TryFrom<Ipv6Net> for Pool6 {
    type Error = Pool6Error;

    fn try_from(net: Ipv6Net) -> Result<Self, Pool6Error> {
        if !matches!(net.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(Pool6Error::Length { found: net.prefix_len() });
        }
        if net.trunc() != net {
            return Err(Pool6Error::HostBits { found: net, meant: net.trunc() });
        }
        if net.addr().to_bits() & U_OCTET != 0 {
            return Err(Pool6Error::ReservedOctet { found: net });
        }
        // ::/16 holds the IPv4-mapped addresses, by which IPv4 peers are known inside the translator.
        let first = net.addr().segments()[0];
        if first == 0 || net.addr().is_multicast() || net.addr().is_unicast_link_local() {
            return Err(Pool6Error::NotRoutable { found: net });
        }
        Ok(Self(net))
    }
}

/// The text is no [`Pool6`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Pool6Error {
    /// Not an IPv6 prefix at all.
    #[error("{found} is not an IPv6 prefix; write it like 64:ff9b::/96")]
    Syntax {
        /// The text, quoted.
        found: String,
    },
    /// RFC 6052 §2.2 knows six lengths.
    #[error("pool6 prefix length must be one of 32, 40, 48, 56, 64, 96 (got /{found})")]
    Length {
        /// The length in bits.
        found: u8,
    },
    /// Bits behind the prefix are set.
    #[error("{found} has bits set behind its prefix; did you mean {meant}?")]
    HostBits {
        /// The prefix as given.
        found: Ipv6Net,
        /// The prefix without those bits.
        meant: Ipv6Net,
    },
    /// Bits 64 to 71 are set.
    #[error("{found} sets bits 64 to 71, which RFC 6052 reserves; choose a prefix where they are zero")]
    ReservedOctet {
        /// The prefix as given.
        found: Ipv6Net,
    },
    /// Multicast, link-local or ::/16.
    #[error("{found} cannot be routed to a gateway; use 64:ff9b::/96 or a unicast prefix of your own")]
    NotRoutable {
        /// The prefix as given.
        found: Ipv6Net,
    },
}

impl fmt::Display for Pool6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

serde_as_text!(Pool6);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6052 §2.4, table 2, and the well-known prefix of table 3.
    const RFC_6052_SECTION_2_4: [(&str, &str); 7] = [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
        ("64:ff9b::/96", "64:ff9b::192.0.2.33"),
    ];

    #[test]
    fn embeds_and_extracts_the_table_of_rfc_6052_section_2_4() {
        let inside = Ipv4Addr::new(192, 0, 2, 33);
        for (prefix, expected) in RFC_6052_SECTION_2_4 {
            let pool6: Pool6 = prefix.parse().unwrap();
            let expected: Ipv6Addr = expected.parse().unwrap();

            assert_eq!(pool6.embed(inside), expected, "{prefix}");
            assert_eq!(pool6.extract(expected), Some(inside), "{prefix}");
        }
    }

    #[test]
    fn extracts_nothing_outside_the_prefix() {
        let pool6: Pool6 = "2001:db8::/32".parse().unwrap();

        assert_eq!(pool6.extract("2001:db9:c000:221::".parse().unwrap()), None);
    }

    #[test]
    fn ignores_the_reserved_octet_when_extracting() {
        let [short, long]: [Pool6; 2] = ["2001:db8::/32", "2001:db8:122:300::/56"].map(|text| text.parse().unwrap());

        assert_eq!(short.extract("2001:db8:c000:221:ab00::".parse().unwrap()), Some(Ipv4Addr::new(192, 0, 2, 33)));
        assert_eq!(long.extract("2001:db8:122:3c0:ab00:221::".parse().unwrap()), Some(Ipv4Addr::new(192, 0, 2, 33)));
    }

    #[test]
    fn ignores_the_suffix_when_extracting() {
        let pool6: Pool6 = "2001:db8::/32".parse().unwrap();

        assert_eq!(pool6.extract("2001:db8:c000:221::7".parse().unwrap()), Some(Ipv4Addr::new(192, 0, 2, 33)));
    }

    #[test]
    fn refuses_prefixes_that_cannot_work() {
        let errors = [
            "64:ff9b::",
            "192.0.2.0/24",
            "64:ff9b::/100",
            "64:ff9b::1/96",
            "2001:db8:0:0:ff00::/96",
            "::ffff:0:0/96",
            "fe80::/64",
            "ff00::/32",
        ]
        .map(|text| text.parse::<Pool6>().unwrap_err().to_string())
        .join("\n");

        insta::assert_snapshot!(errors);
    }

    #[test]
    fn default_is_the_well_known_prefix() {
        assert_eq!(Pool6::default(), "64:ff9b::/96".parse().unwrap());
    }

    proptest! {
        #[test]
        fn extract_undoes_embed(bits: u128, length in lengths(), address: u32) {
            let bits = bits & !(0xff << 56) & !(0xf << 124) | (0x2 << 124);
            let net = Ipv6Net::new(bits.into(), length).unwrap().trunc();
            let pool6 = Pool6::try_from(net).unwrap();

            let embedded = pool6.embed(address.into());

            prop_assert!(pool6.net().contains(&embedded));
            prop_assert_eq!(pool6.extract(embedded), Some(address.into()));
            prop_assert_eq!(pool6.to_string().parse::<Pool6>().unwrap(), pool6);
        }
    }

    fn lengths() -> impl Strategy<Value = u8> {
        prop::sample::select(vec![32_u8, 40, 48, 56, 64, 96])
    }
}
