//! A gateway and its servers on a wire in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use contract::{PrivateKey, PublicKey};
use gotatun::noise::Tunn;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::packet::Packet;
use gotatun::x25519;
use tunnel::{DropReason, Outcome, PeerConfig, PeerStats, Transmit, Tunnels};

const MTU: u16 = 1412;
pub(crate) const GATEWAY: &str = "[2001:db8:9::1]:40000";
pub(crate) const WEB: &str = "[2001:db8:0:1::1]:46464";
pub(crate) const DB: &str = "[2001:db8:0:2::1]:46464";
pub(crate) const WEB_INSIDE: &str = "2001:db8:0:1::1";
pub(crate) const REMOTE: &str = "64:ff9b::c000:201";

/// A gateway and some servers, each at an address; nothing is lost unless told so.
pub(crate) struct Lab {
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
    nodes: BTreeMap<SocketAddrV6, Node>,
}

struct Node {
    key: PrivateKey,
    tunnels: Tunnels,
    received: Vec<Vec<u8>>,
}

impl Lab {
    /// Servers that know the gateway, and a gateway that knows nobody.
    pub(crate) fn new(servers: &[&str]) -> Self {
        let mut lab = Self { now: Instant::now(), wall: SystemTime::now(), nodes: BTreeMap::new() };
        lab.add_node(GATEWAY);
        for server in servers {
            lab.add_node(server);
        }
        lab
    }

    /// All of them with sessions.
    pub(crate) fn with_peers(servers: &[&str]) -> Self {
        let mut lab = Self::new(servers);
        for (number, server) in (1..).zip(servers) {
            lab.add_peer(server, number);
        }
        lab.run();
        lab
    }

    pub(crate) fn add_node(&mut self, at: &str) {
        let key = key(u8::try_from(self.nodes.len()).unwrap());
        let mut tunnels = Tunnels::new(&key, MTU, self.now);
        if at != GATEWAY {
            let gateway = PeerConfig {
                public_key: self.public_key(GATEWAY),
                allowed: vec!["::/0".parse().unwrap(), "0.0.0.0/0".parse().unwrap()],
                endpoint: Some(address(GATEWAY)),
                keepalive_secs: 0,
            };
            tunnels.set_peer(self.now, self.wall, gateway);
        }
        self.nodes.insert(address(at), Node { key, tunnels, received: Vec::new() });
        if at != GATEWAY {
            self.lose_everything(at);
        }
    }

    pub(crate) fn config(&self, server: &str, number: u8) -> PeerConfig {
        PeerConfig {
            public_key: self.public_key(server),
            allowed: vec![
                format!("2001:db8:0:{number}::/64").parse().unwrap(),
                format!("198.18.0.{number}/32").parse().unwrap(),
            ],
            endpoint: Some(address(server)),
            keepalive_secs: 25,
        }
    }

    pub(crate) fn configure(&mut self, config: PeerConfig) {
        let (now, wall) = (self.now, self.wall);
        self.node(GATEWAY).set_peer(now, wall, config);
    }

    pub(crate) fn add_peer(&mut self, server: &str, number: u8) {
        self.configure(self.config(server, number));
    }

    pub(crate) fn remove_peer(&mut self, server: &str) {
        let key = self.public_key(server);
        assert!(self.node(GATEWAY).remove_peer(&key));
    }

    pub(crate) fn move_node(&mut self, from: &str, to: &str) {
        let node = self.nodes.remove(&address(from)).unwrap();
        self.nodes.insert(address(to), node);
    }

    pub(crate) fn node(&mut self, at: &str) -> &mut Tunnels {
        &mut self.nodes.get_mut(&address(at)).unwrap().tunnels
    }

    pub(crate) fn public_key(&self, at: &str) -> PublicKey {
        self.nodes[&address(at)].key.public_key()
    }

    /// A bare noise core that has taken over the server's key, with a session.
    pub(crate) fn raw_peer(&mut self, server: &str) -> RawPeer {
        self.now += Duration::from_secs(1);
        let mut peer = RawPeer::new(&self.nodes[&address(server)].key, self.public_key(GATEWAY));
        let initiation = peer.initiation();
        self.inject(server, &initiation);
        let response = self.node(GATEWAY).poll_transmit().unwrap();
        peer.receive(&response);
        self.now += Duration::from_secs(1);
        peer
    }

    pub(crate) fn send(&mut self, from: &str, packet: &[u8]) {
        let _ = self.node(from).handle_packet(packet);
        self.run();
    }

    /// Delivers until nobody has anything to say.
    pub(crate) fn run(&mut self) {
        while let Some((from, transmit)) =
            self.nodes.iter_mut().find_map(|(from, node)| Some((*from, node.tunnels.poll_transmit()?)))
        {
            self.deliver(from, transmit.to, transmit.datagram.bytes());
        }
    }

    pub(crate) fn deliver(&mut self, from: SocketAddrV6, to: SocketAddrV6, bytes: &[u8]) {
        let Some(node) = self.nodes.get_mut(&to) else { return };
        let datagram = node.tunnels.pool().copy_of(bytes);
        match node.tunnels.handle_datagram(self.now, from, datagram) {
            Outcome::Inside(inside) => node.received.push(inside.bytes().to_vec()),
            Outcome::Handled | Outcome::Dropped(_) => {}
        }
    }

    /// Gives the gateway a datagram from anywhere, and keeps its answers for the test.
    pub(crate) fn inject(&mut self, from: &str, bytes: &[u8]) {
        self.deliver(address(from), address(GATEWAY), bytes);
    }

    pub(crate) fn lose_everything(&mut self, from: &str) {
        while self.node(from).poll_transmit().is_some() {}
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall += time;
        let (now, wall) = (self.now, self.wall);
        self.node(GATEWAY).handle_timeout(now, wall);
    }

    pub(crate) fn received(&self, at: &str) -> Vec<Vec<u8>> {
        self.nodes[&address(at)].received.clone()
    }

    /// The gateway's figures about a server.
    pub(crate) fn stats(&self, server: &str) -> PeerStats {
        let key = self.public_key(server);
        let gateway = &self.nodes[&address(GATEWAY)].tunnels;
        gateway.stats().find(|stats| stats.public_key == key).unwrap()
    }

    pub(crate) fn check_drops(&mut self, at: &str, expected: &[(DropReason, u64)]) {
        assert_eq!(self.node(at).drops().non_zero().collect::<Vec<_>>(), expected);
    }
}

/// gotatun's noise core with none of our code around it.
pub(crate) struct RawPeer(Tunn);

impl RawPeer {
    pub(crate) fn new(key: &PrivateKey, gateway: PublicKey) -> Self {
        let private_key = x25519::StaticSecret::from(*key.as_bytes());
        let rate_limiter = RateLimiter::new(&x25519::PublicKey::from(&private_key), 1000);
        let gateway = x25519::PublicKey::from(*gateway.as_bytes());
        Self(Tunn::new(private_key, gateway, None, None, IndexTable::from_os_rng(), Arc::new(rate_limiter)))
    }

    pub(crate) fn initiation(&mut self) -> Vec<u8> {
        self.0.format_handshake_initiation(true).unwrap().into_bytes().to_vec()
    }

    pub(crate) fn receive(&mut self, transmit: &Transmit) {
        let message = Packet::copy_from(transmit.datagram.bytes()).try_into_wg().unwrap();
        self.0.handle_incoming_packet(message);
    }

    pub(crate) fn encrypt(&mut self, packet: &[u8]) -> Vec<u8> {
        self.0
            .encapsulate_with_session(Packet::copy_from(packet))
            .unwrap_or_else(|_| panic!("no session"))
            .into_bytes()
            .to_vec()
    }
}

pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_random([seed; 32])
}

pub(crate) fn address(text: &str) -> SocketAddrV6 {
    text.parse().unwrap()
}

/// A packet of nothing but a header and `payload`; protocol 253 is for experiments (RFC 3692).
pub(crate) fn packet(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
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
