//! Which way a packet goes, by its addresses alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use contract::{Gateway, Pool6};
use packet::ipv4::Ipv4;
use packet::ipv6::Ipv6;
use packet::{Family, Layout, protocol};

use super::drops::DropReason;
use crate::egress::Outside;
use crate::network::Machine;

/// The gateway's addresses that decide where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    address6: Ipv6Addr,
    address4: Ipv4Addr,
    pool6: Pool6,
    outside: Outside,
    /// The tunnels' own UDP port.
    listen_port: u16,
}

/// Where a packet from the TUN interface goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// It answers something the engine translated.
    Engine,
    /// The same, and this was its destination before the kernel led it to us.
    EngineAt(Ipv4Addr),
    /// The gateway itself speaks to a peer.
    Tunnels,
    /// The gateway itself speaks to IPv4, as a peer would: it finds out whether packets get through.
    Inside,
    Nowhere(DropReason),
}

/// Where a packet is to go.
pub(super) fn destination(packet: &[u8]) -> Option<IpAddr> {
    match Family::of(packet)? {
        Family::V4 => Ipv4::parse_quoted(packet).map(|ip| ip.destination().into()).ok(),
        Family::V6 => Ipv6::parse_quoted(packet).map(|ip| ip.destination().into()).ok(),
    }
}

impl Addresses {
    pub(super) fn of(gateway: &Gateway, machine: &Machine, listen_port: u16) -> Self {
        let outside = Outside::of(gateway, machine.uplink);
        let (address6, address4, pool6) = (gateway.address6, gateway.address4(), gateway.pool6);
        Self { address6, address4, pool6, outside, listen_port }
    }

    /// Whether a packet is for the gateway itself.
    pub(super) fn is_gateway(&self, destination: IpAddr) -> bool {
        destination == IpAddr::V6(self.address6) || destination == IpAddr::V4(self.address4)
    }

    /// Where a packet that the kernel routed to us goes.
    pub(super) fn route(&self, packet: &[u8]) -> Route {
        match Family::of(packet) {
            Some(Family::V4) => self.route_v4(packet),
            Some(Family::V6) => self.route_v6(packet),
            None => Route::Nowhere(DropReason::NotForUs),
        }
    }

    fn route_v4(&self, packet: &[u8]) -> Route {
        let Ok(ip) = Ipv4::parse(packet) else { return Route::Nowhere(DropReason::NotForUs) };
        match self.outside.engine_destination(ip.destination()) {
            Some(destination) if destination == ip.destination() => Route::Engine,
            Some(destination) => Route::EngineAt(destination),
            None if ip.source() == self.address4 => Route::Tunnels,
            None => Route::Nowhere(DropReason::NotForUs),
        }
    }

    fn route_v6(&self, packet: &[u8]) -> Route {
        match Ipv6::parse(packet) {
            Ok(ip) if ip.source() != self.address6 => Route::Nowhere(DropReason::NotForUs),
            Ok(ip) if self.pool6.net().contains(&ip.destination()) => Route::Inside,
            Ok(_) if self.is_own_datagram(packet) => Route::Nowhere(DropReason::OwnDatagram),
            Ok(_) => Route::Tunnels,
            Err(_) => Route::Nowhere(DropReason::NotForUs),
        }
    }

    /// A peer's endpoint lies in its own prefix, so nothing else would stop a datagram from entering its own tunnel.
    fn is_own_datagram(&self, packet: &[u8]) -> bool {
        let Ok(layout) = Layout::of(packet) else { return false };
        let port = packet.get(layout.transport_at..).and_then(|transport| transport.first_chunk());
        layout.protocol == protocol::UDP && port == Some(&self.listen_port.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gateway;

    const LISTEN_PORT: u16 = 50_000;

    fn check(source: &str, destination: &str, expected: Route) {
        check_from_port(4000, source, destination, expected);
    }

    fn check_from_port(port: u16, source: &str, destination: &str, expected: Route) {
        let addresses = Addresses::of(&gateway(), &Machine::default(), LISTEN_PORT);
        let udp = [&port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat();
        let packet = match (source.parse().unwrap(), destination.parse().unwrap()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let fixed = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
                [&fixed[..], &source.octets(), &destination.octets(), &udp].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let fixed = [0x60, 0, 0, 0, 0, 8, 17, 64];
                [&fixed[..], &source.octets(), &destination.octets(), &udp].concat()
            }
            mixed => panic!("two families: {mixed:?}"),
        };

        assert_eq!(addresses.route(&packet), expected, "{source} to {destination}");
    }

    #[test]
    fn answers_from_ipv4_go_to_the_engine() {
        check("192.0.2.1", "198.18.255.254", Route::Engine);
        check("198.18.0.1", "198.18.255.254", Route::Engine);
    }

    #[test]
    fn answers_to_a_shared_uplink_come_through_another_address() {
        let egress = contract::Egress::Shared { ports: contract::PortRange::default() };
        let uplink = Ipv4Addr::new(192, 168, 178, 10);
        let machine = Machine { uplink: Some(uplink), ..Machine::default() };
        let addresses = Addresses::of(&Gateway { egress, ..gateway() }, &machine, LISTEN_PORT);
        let packet = |destination: [u8; 4]| {
            [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1][..], &destination].concat()
        };

        assert_eq!(addresses.route(&packet([198, 18, 255, 254])), Route::EngineAt(uplink));
        assert_eq!(addresses.route(&packet(uplink.octets())), Route::Nowhere(DropReason::NotForUs));
    }

    #[test]
    fn the_gateways_own_packets_go_to_the_tunnels() {
        check("198.18.0.1", "198.18.0.2", Route::Tunnels);
        check("fd64:ff9b::1", "2001:db8:1:2::1", Route::Tunnels);
    }

    #[test]
    fn what_the_gateway_itself_says_to_ipv4_is_translated_as_a_peers_is() {
        check("fd64:ff9b::1", "64:ff9b::c000:201", Route::Inside);
        check("2001:db8:5::5", "64:ff9b::c000:201", Route::Nowhere(DropReason::NotForUs));
    }

    #[test]
    fn what_others_send_to_peers_goes_nowhere() {
        check("192.168.1.5", "198.18.0.2", Route::Nowhere(DropReason::NotForUs));
        check("2001:db8:5::5", "2001:db8:1:2::1", Route::Nowhere(DropReason::NotForUs));
        check("fe80::1", "ff02::2", Route::Nowhere(DropReason::NotForUs));
    }

    #[test]
    fn our_own_datagrams_are_not_encrypted_again() {
        let own = Route::Nowhere(DropReason::OwnDatagram);

        check_from_port(LISTEN_PORT, "fd64:ff9b::1", "2001:db8:1:2::1", own);
        check_from_port(LISTEN_PORT, "198.18.0.1", "198.18.0.2", Route::Tunnels);
    }

    #[test]
    fn what_is_no_ip_packet_goes_nowhere() {
        let addresses = Addresses::of(&gateway(), &Machine::default(), LISTEN_PORT);

        for bytes in [&[][..], &[0x45; 5], &[0x60; 39], &[0xff; 60]] {
            assert_eq!(addresses.route(bytes), Route::Nowhere(DropReason::NotForUs));
        }
    }

    #[test]
    fn the_gateway_is_spoken_to_by_both_its_addresses_and_no_other() {
        let addresses = Addresses::of(&gateway(), &Machine::default(), LISTEN_PORT);
        let is_gateway = |address: &str| addresses.is_gateway(address.parse().unwrap());

        assert!(is_gateway("fd64:ff9b::1") && is_gateway("198.18.0.1"));
        assert!(!is_gateway("198.18.255.254") && !is_gateway("64:ff9b::c612:1"));
    }
}
