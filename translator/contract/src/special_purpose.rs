//! The IANA IPv4 special-purpose address registry (RFC 6890, RFC 8190), and multicast (RFC 5771), as one table.

use std::net::Ipv4Addr;

/// A block with a special purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialPurpose {
    network: Ipv4Addr,
    prefix_len: u8,
    /// Its name in the registry.
    pub name: &'static str,
    /// Whether packets may go there.
    pub reach: Reach,
}

/// Whether packets may go to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Globally reachable, like any other address.
    Global,
    /// Refused unless the configuration allows it (RFC 6052 §3.1 asks so for the well-known prefix).
    Restricted,
    /// Refused always: no router may forward it (RFC 1812 §5.3.7).
    Never,
}

impl SpecialPurpose {
    const fn new(network: [u8; 4], prefix_len: u8, name: &'static str, reach: Reach) -> Self {
        let [a, b, c, d] = network;
        Self { network: Ipv4Addr::new(a, b, c, d), prefix_len, name, reach }
    }

    /// Whether `address` lies in the block.
    pub const fn contains(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.network.to_bits()) >> (32 - self.prefix_len as u32) == 0
    }

    /// The values the first octet of an address in the block can have.
    pub fn first_octets(&self) -> std::ops::RangeInclusive<u8> {
        let first = self.network.octets()[0];
        first..=first | 0xff_u8.checked_shr(u32::from(self.prefix_len)).unwrap_or(0)
    }
}

/// The registry as of 2025-10, longest prefix first, so that the first match is the right one.
pub const REGISTRY: &[SpecialPurpose] = &[
    SpecialPurpose::new([255, 255, 255, 255], 32, "Limited Broadcast", Reach::Never),
    SpecialPurpose::new([192, 0, 0, 9], 32, "Port Control Protocol Anycast", Reach::Global),
    SpecialPurpose::new([192, 0, 0, 10], 32, "Traversal Using Relays around NAT Anycast", Reach::Global),
    SpecialPurpose::new([192, 0, 0, 0], 24, "IETF Protocol Assignments", Reach::Restricted),
    SpecialPurpose::new([192, 0, 2, 0], 24, "Documentation (TEST-NET-1)", Reach::Restricted),
    SpecialPurpose::new([192, 31, 196, 0], 24, "AS112-v4", Reach::Global),
    SpecialPurpose::new([192, 52, 193, 0], 24, "AMT", Reach::Global),
    SpecialPurpose::new([192, 88, 99, 0], 24, "Deprecated (6to4 Relay Anycast)", Reach::Restricted),
    SpecialPurpose::new([192, 175, 48, 0], 24, "Direct Delegation AS112 Service", Reach::Global),
    SpecialPurpose::new([198, 51, 100, 0], 24, "Documentation (TEST-NET-2)", Reach::Restricted),
    SpecialPurpose::new([203, 0, 113, 0], 24, "Documentation (TEST-NET-3)", Reach::Restricted),
    SpecialPurpose::new([169, 254, 0, 0], 16, "Link Local", Reach::Restricted),
    SpecialPurpose::new([192, 168, 0, 0], 16, "Private-Use", Reach::Restricted),
    SpecialPurpose::new([198, 18, 0, 0], 15, "Benchmarking", Reach::Restricted),
    SpecialPurpose::new([172, 16, 0, 0], 12, "Private-Use", Reach::Restricted),
    SpecialPurpose::new([100, 64, 0, 0], 10, "Shared Address Space", Reach::Restricted),
    SpecialPurpose::new([0, 0, 0, 0], 8, "\"This network\"", Reach::Never),
    SpecialPurpose::new([10, 0, 0, 0], 8, "Private-Use", Reach::Restricted),
    SpecialPurpose::new([127, 0, 0, 0], 8, "Loopback", Reach::Never),
    SpecialPurpose::new([224, 0, 0, 0], 4, "Multicast", Reach::Never),
    SpecialPurpose::new([240, 0, 0, 0], 4, "Reserved", Reach::Restricted),
];

/// The block `address` lies in, if it has a special purpose.
pub fn special_purpose(address: Ipv4Addr) -> Option<&'static SpecialPurpose> {
    REGISTRY.iter().find(|block| block.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Option<(&str, Reach)>) {
        let found = special_purpose(address.parse().unwrap()).map(|block| (block.name, block.reach));
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn blocks_end_where_the_registry_says() {
        check("9.255.255.255", None);
        check("10.0.0.0", Some(("Private-Use", Reach::Restricted)));
        check("10.255.255.255", Some(("Private-Use", Reach::Restricted)));
        check("172.15.255.255", None);
        check("172.31.255.255", Some(("Private-Use", Reach::Restricted)));
        check("172.32.0.0", None);
        check("100.63.255.255", None);
        check("100.127.255.255", Some(("Shared Address Space", Reach::Restricted)));
        check("100.128.0.0", None);
        check("198.19.255.255", Some(("Benchmarking", Reach::Restricted)));
        check("198.20.0.0", None);
        check("8.8.8.8", None);
    }

    #[test]
    fn a_longer_prefix_wins() {
        check("192.0.0.9", Some(("Port Control Protocol Anycast", Reach::Global)));
        check("192.0.0.11", Some(("IETF Protocol Assignments", Reach::Restricted)));
        check("255.255.255.255", Some(("Limited Broadcast", Reach::Never)));
        check("255.255.255.254", Some(("Reserved", Reach::Restricted)));
        assert!(REGISTRY.is_sorted_by(|a, b| a.prefix_len >= b.prefix_len));
    }

    #[test]
    fn what_no_router_forwards_is_never_reached() {
        check("0.1.2.3", Some(("\"This network\"", Reach::Never)));
        check("127.0.0.1", Some(("Loopback", Reach::Never)));
        check("239.255.255.255", Some(("Multicast", Reach::Never)));
    }

    #[test]
    fn first_octets_cover_the_block() {
        let octets = |address: &str| special_purpose(address.parse().unwrap()).unwrap().first_octets();

        assert_eq!((octets("224.0.0.1"), octets("10.0.0.1"), octets("192.168.1.1")), (224..=239, 10..=10, 192..=192));
    }
}
