//! The little that tunnels must know of an inner packet: how long it is, where from, where to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;

/// Addresses and length of one IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// By the IP header; what follows is WireGuard's padding.
    pub(crate) len: usize,
}

impl Inner {
    /// Reads the header of `bytes`; `None` unless a whole packet is there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let inner = match bytes.first()? >> 4 {
            4 => Self::parse_v4(bytes)?,
            6 => Self::parse_v6(bytes)?,
            _ => return None,
        };
        (inner.len <= bytes.len()).then_some(inner)
    }

    fn parse_v4(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; IPV4_HEADER_BYTES] = bytes.first_chunk()?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        (header_len >= IPV4_HEADER_BYTES && len >= header_len).then_some(())?;
        Some(Self {
            source: Ipv4Addr::from(*header[12..].first_chunk::<4>()?).into(),
            destination: Ipv4Addr::from(*header[16..].first_chunk::<4>()?).into(),
            len,
        })
    }

    fn parse_v6(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; IPV6_HEADER_BYTES] = bytes.first_chunk()?;
        Some(Self {
            source: Ipv6Addr::from(*header[8..].first_chunk::<16>()?).into(),
            destination: Ipv6Addr::from(*header[24..].first_chunk::<16>()?).into(),
            len: IPV6_HEADER_BYTES + usize::from(u16::from_be_bytes([header[4], header[5]])),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A packet of nothing but a header and `payload`; protocol 253 is for experiments (RFC 3692).
    pub(crate) fn ip_packet(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
        match (source.parse().unwrap(), destination.parse().unwrap()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = u16::try_from(IPV4_HEADER_BYTES + payload.len()).unwrap().to_be_bytes();
                let fixed = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 253, 0, 0];
                [&fixed[..], &source.octets(), &destination.octets(), payload].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
                let fixed = [0x60, 0, 0, 0, len[0], len[1], 253, 64];
                [&fixed[..], &source.octets(), &destination.octets(), payload].concat()
            }
            mixed => panic!("two families: {mixed:?}"),
        }
    }

    #[test]
    fn padding_after_the_ip_length_does_not_count() {
        let mut packet = ip_packet("2001:db8::1", "64:ff9b::c000:201", b"hello");
        packet.resize(64, 0);

        assert_eq!(Inner::parse(&packet).unwrap().len, 45);
    }

    #[test]
    fn both_families_give_their_addresses() {
        let v4 = Inner::parse(&ip_packet("198.18.0.7", "192.0.2.1", b"")).unwrap();
        let v6 = Inner::parse(&ip_packet("2001:db8::1", "64:ff9b::1", b"")).unwrap();

        assert_eq!(v4.source, "198.18.0.7".parse::<IpAddr>().unwrap());
        assert_eq!(v4.destination, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(v6.source, "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(v6.destination, "64:ff9b::1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_packet_shorter_than_its_header_says_is_refused() {
        let v6 = ip_packet("2001:db8::1", "64:ff9b::1", b"hello");
        let v4 = ip_packet("198.18.0.7", "192.0.2.1", b"hello");

        for whole in [&v4, &v6] {
            assert!((0..whole.len()).all(|len| Inner::parse(&whole[..len]).is_none()));
        }
    }

    #[test]
    fn an_ipv4_length_inside_the_header_is_refused() {
        let mut packet = ip_packet("198.18.0.7", "192.0.2.1", b"hello");
        packet[3] = 19;

        assert_eq!(Inner::parse(&packet), None);
    }
}
