//! What a gateway's egress comes down to on this machine: whose addresses and ports are the engine's. Pure.

use std::fmt;
use std::net::Ipv4Addr;

use contract::{Egress, Gateway, PortRange, addresses};
use ipnet::Ipv4Net;
use nat64::Pool4;

/// The first port that unprivileged programs may use; NATs keep to those (RFC 6056 §3.2).
const FIRST_PORT: u16 = 1024;

/// How translated packets leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outside {
    /// From an address of our own, which the kernel masquerades.
    Masquerade { pool4: Ipv4Addr },
    /// From some ports of the uplink's address. What comes back for these the kernel leads through another address, for
    /// the uplink's own never leaves the machine again.
    Shared {
        /// `None` while there is no uplink: nothing leaves then.
        uplink: Option<Ipv4Addr>,
        ports: PortRange,
        through: Ipv4Addr,
    },
    /// From addresses that are routed to this machine.
    Routed { pool4: Vec<Ipv4Net> },
}

impl Outside {
    /// What a gateway asks for, on a machine with this uplink.
    pub(crate) fn of(gateway: &Gateway, uplink: Option<Ipv4Addr>) -> Self {
        match &gateway.egress {
            Egress::Masquerade => Self::Masquerade { pool4: gateway.pool4() },
            Egress::Shared { ports } => Self::Shared { uplink, ports: *ports, through: gateway.pool4() },
            Egress::Routed { pool4 } => Self::Routed { pool4: pool4.clone() },
        }
    }

    /// The transport addresses that the engine may give away.
    pub(crate) fn pool4(&self) -> Vec<Pool4> {
        match self {
            Self::Masquerade { pool4 } => vec![Pool4::new(*pool4, FIRST_PORT..=u16::MAX)],
            Self::Shared { uplink, ports, .. } => {
                uplink.iter().map(|address| Pool4::new(*address, ports.ports())).collect()
            }
            Self::Routed { pool4 } => {
                addresses(pool4).map(|address| Pool4::new(address, FIRST_PORT..=u16::MAX)).collect()
            }
        }
    }

    /// The sources that packets from the engine have, as prefixes.
    pub(crate) fn sources(&self) -> Vec<Ipv4Net> {
        match self {
            Self::Masquerade { pool4 } => vec![(*pool4).into()],
            Self::Shared { uplink, .. } => uplink.iter().map(|address| Ipv4Net::from(*address)).collect(),
            Self::Routed { pool4 } => pool4.clone(),
        }
    }

    /// What the engine is to take a packet from the kernel for, by its destination; `None` if it is not the engine's.
    pub(crate) fn engine_destination(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        match self {
            Self::Masquerade { pool4 } => (*pool4 == destination).then_some(destination),
            Self::Shared { uplink, through, .. } => uplink.filter(|_| *through == destination),
            Self::Routed { pool4 } => pool4.iter().any(|net| net.contains(&destination)).then_some(destination),
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Masquerade { pool4 } => write!(f, "{pool4} (masqueraded)"),
            Self::Shared { uplink: Some(uplink), ports, .. } => write!(f, "{uplink} ports {ports} (shared)"),
            Self::Shared { uplink: None, .. } => f.write_str("nowhere: this machine has no uplink to share"),
            Self::Routed { pool4 } => {
                for (index, net) in pool4.iter().enumerate() {
                    write!(f, "{}{net}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(" (routed)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gateway;

    const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 168, 178, 10);

    fn outside(egress: Egress, uplink: Option<Ipv4Addr>) -> Outside {
        Outside::of(&Gateway { egress, ..gateway() }, uplink)
    }

    fn check(outside: &Outside, told: &str, pool4: &[&str], taken: &[(&str, Option<&str>)]) {
        let parts = outside.pool4();
        let shown = parts.iter().map(|part| format!("{} {}-{}", part.address, part.ports.start(), part.ports.end()));

        assert_eq!(outside.to_string(), told);
        assert_eq!(shown.collect::<Vec<_>>(), pool4);
        for (destination, engine) in taken {
            let expected = engine.map(|address| address.parse().unwrap());
            assert_eq!(outside.engine_destination(destination.parse().unwrap()), expected, "{destination}");
        }
    }

    #[test]
    fn masqueraded_packets_have_an_address_of_our_own() {
        check(
            &outside(Egress::Masquerade, Some(UPLINK)),
            "198.18.255.254 (masqueraded)",
            &["198.18.255.254 1024-65535"],
            &[("198.18.255.254", Some("198.18.255.254")), ("192.168.178.10", None)],
        );
    }

    #[test]
    fn a_shared_uplink_is_spoken_to_through_another_address() {
        let egress = Egress::Shared { ports: "40000-59999".parse().unwrap() };
        check(
            &outside(egress, Some(UPLINK)),
            "192.168.178.10 ports 40000-59999 (shared)",
            &["192.168.178.10 40000-59999"],
            &[("198.18.255.254", Some("192.168.178.10")), ("192.168.178.10", None)],
        );
    }

    #[test]
    fn without_an_uplink_nothing_is_shared() {
        let egress = Egress::Shared { ports: PortRange::default() };
        check(&outside(egress, None), "nowhere: this machine has no uplink to share", &[], &[("198.18.255.254", None)]);
    }

    #[test]
    fn routed_addresses_are_taken_as_they_come() {
        let egress =
            Egress::Routed { pool4: ["203.0.113.8/31", "203.0.113.1/32"].map(|net| net.parse().unwrap()).into() };
        check(
            &outside(egress, None),
            "203.0.113.8/31, 203.0.113.1/32 (routed)",
            &["203.0.113.8 1024-65535", "203.0.113.9 1024-65535", "203.0.113.1 1024-65535"],
            &[("203.0.113.9", Some("203.0.113.9")), ("198.18.255.254", None)],
        );
    }
}
