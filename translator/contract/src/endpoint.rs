//! Where the gateway dials a server: an IPv6 address and a UDP port, in the forms that Terraform authors have at hand.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use ipnet::IpNet;

use crate::WIREGUARD_PORT;
use crate::text::quote;

/// Reads `2001:db8::1`, `[2001:db8::1]:46464` or `2001:db8::/64`, which means `::1` inside it: the address that Hetzner
/// gives a server. The port defaults to [`WIREGUARD_PORT`].
///
/// # Errors
/// Anything that is not the address of one host that can be dialled over IPv6; the error says what to write instead.
pub fn parse_endpoint(text: &str) -> Result<SocketAddrV6, EndpointError> {
    let (address, port) = split(text)?;
    if port == 0 {
        return Err(EndpointError::PortZero);
    }
    check_host(address)?;
    Ok(SocketAddrV6::new(address, port, 0, 0))
}

fn split(text: &str) -> Result<(Ipv6Addr, u16), EndpointError> {
    if text.contains('%') {
        return Err(EndpointError::Zone { found: quote(text) });
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return match socket {
            SocketAddr::V6(socket) => Ok((*socket.ip(), socket.port())),
            SocketAddr::V4(socket) => Err(EndpointError::Ipv4 { found: socket.to_string() }),
        };
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok((first_host(net)?, WIREGUARD_PORT));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(IpAddr::V6(address)) => Ok((address, WIREGUARD_PORT)),
        Ok(IpAddr::V4(address)) => Err(EndpointError::Ipv4 { found: address.to_string() }),
        Err(_) => Err(EndpointError::Syntax { found: quote(text) }),
    }
}

fn first_host(net: IpNet) -> Result<Ipv6Addr, EndpointError> {
    let IpNet::V6(net) = net else { return Err(EndpointError::Ipv4 { found: net.to_string() }) };
    if net.prefix_len() != 64 || net.trunc() != net {
        return Err(EndpointError::Network { found: net.to_string() });
    }
    Ok((u128::from(net.addr()) | 1).into())
}

fn check_host(address: Ipv6Addr) -> Result<(), EndpointError> {
    let found = address.to_string();
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Err(EndpointError::Ipv4 { found: mapped.to_string() });
    }
    if address.is_unicast_link_local() {
        return Err(EndpointError::LinkLocal { found });
    }
    if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
        return Err(EndpointError::NotAHost { found });
    }
    Ok(())
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No address at all; a host name, for example.
    #[error("{found} is not an IPv6 address; write it like 2001:db8::1, 2001:db8::/64 or [2001:db8::1]:46464")]
    Syntax {
        /// The text, quoted.
        found: String,
    },
    /// IPv4 or IPv4-mapped.
    #[error("{found} is IPv4, but the gateway dials servers over IPv6; use the server's IPv6 address")]
    Ipv4 {
        /// The address.
        found: String,
    },
    /// A network from which no host follows.
    #[error(
        "{found} does not name one host; give the server's /64, such as 2001:db8::/64, or its address without a length"
    )]
    Network {
        /// The network.
        found: String,
    },
    /// `%eth0` and the like.
    #[error("{found} has a zone, which means nothing on another machine; use the server's global address")]
    Zone {
        /// The text, quoted.
        found: String,
    },
    /// fe80::/10.
    #[error("{found} is link-local and cannot be reached from elsewhere; use the server's global address")]
    LinkLocal {
        /// The address.
        found: String,
    },
    /// Multicast, unspecified or loopback.
    #[error("{found} is not the address of a server; use the server's global address")]
    NotAHost {
        /// The address.
        found: String,
    },
    /// Port 0.
    #[error("port 0 cannot be dialled; leave the port out or use 46464")]
    PortZero,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_written_form_means_the_same_host() {
        for text in
            ["2001:db8::1", "2001:db8::/64", "[2001:db8::1]", "[2001:db8::1]:46464", "2001:0DB8:0::1", "2001:db8::0/64"]
        {
            assert_eq!(parse_endpoint(text).unwrap().to_string(), "[2001:db8::1]:46464", "{text}");
        }
    }

    #[test]
    fn a_port_of_its_own_is_kept() {
        assert_eq!(parse_endpoint("[2001:db8::7]:51820").unwrap().to_string(), "[2001:db8::7]:51820");
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_with_advice() {
        let errors = [
            "",
            "web.example.org",
            "192.0.2.1",
            "192.0.2.1:46464",
            "192.0.2.0/24",
            "::ffff:192.0.2.1",
            "2001:db8::/56",
            "2001:db8::1/64",
            "fe80::1",
            "fe80::1%eth0",
            "[2001:db8::1%3]:46464",
            "ff02::1",
            "::",
            "::1",
            "::/64",
            "[2001:db8::1]:0",
            "[2001:db8::1]:65536",
            "2001:db8::1:46464:",
        ]
        .map(|text| format!("{text:24} {}", parse_endpoint(text).unwrap_err()))
        .join("\n");

        insta::assert_snapshot!(errors);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = parse_endpoint(&text);
        }

        #[test]
        fn what_is_read_is_read_back(bits: u128, port: u16) {
            if let Ok(endpoint) = parse_endpoint(&format!("[{}]:{port}", Ipv6Addr::from(bits))) {
                prop_assert_eq!(parse_endpoint(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}
