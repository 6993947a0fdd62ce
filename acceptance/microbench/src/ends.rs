//! Two ends of a tunnel that hand each other what they would send.

use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::time::{Instant, SystemTime};

use contract::{PrivateKey, PublicKey};
use packet::Packet;
use packet::segment::Parts;
use tunnel::{Datagram, Inside, Outcome, PeerConfig, Transmit, Tunnels};

/// Of the packets inside, in bytes.
pub const MTU: u16 = 1412;

const LEFT: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 0);
const RIGHT: SocketAddrV6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 2, 0, 0);
/// Each end owns every address for the other.
const ANYBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A tunnel.
pub struct Ends {
    left: Tunnels,
    right: Tunnels,
}

impl Ends {
    /// With a session that both ends use.
    ///
    /// # Panics
    /// If they cannot agree on one.
    #[must_use]
    pub fn new() -> Self {
        let keys = [1, 2].map(|seed| PrivateKey::from_random([seed; 32]));
        let [mut left, mut right] = [&keys[0], &keys[1]].map(|key| Tunnels::new(key, MTU, Instant::now()));
        right.set_peer(Instant::now(), SystemTime::now(), peer(keys[0].public_key(), None));
        left.set_peer(Instant::now(), SystemTime::now(), peer(keys[1].public_key(), Some(RIGHT)));
        // Initiation, response, and the keepalive that makes the session the responder's too.
        carry(&mut left, LEFT, &mut right);
        carry(&mut right, RIGHT, &mut left);
        carry(&mut left, LEFT, &mut right);
        assert!(left.stats().all(|peer| peer.latest_handshake.is_some()), "there is a session");
        Self { left, right }
    }

    /// Encrypts a packet.
    ///
    /// # Panics
    /// If there is no peer.
    pub fn seal(&mut self, packet: &[u8]) {
        let mut towards = self.left.towards(ANYBODY, 1).expect("the peer owns every address");
        towards.handle_packet(packet.len(), |room| room.copy_from_slice(packet));
    }

    /// Cuts a super-packet and encrypts every segment where it is written.
    ///
    /// # Panics
    /// If it cannot be cut.
    pub fn seal_all(&mut self, packet: &Packet<'_>) {
        let parts = Parts::of(packet).expect("a super-packet can be cut");
        let mut towards = self.left.towards(ANYBODY, parts.count()).expect("the peer owns every address");
        for index in 0..parts.count() {
            towards.handle_packet(parts.part_len(index), |room| parts.write(index, room));
        }
    }

    /// What would be sent.
    pub fn sent(&mut self) -> impl Iterator<Item = Datagram> {
        self.left.transmits().drain(..).map(|transmit| transmit.datagram)
    }

    /// Decrypts a datagram.
    ///
    /// # Panics
    /// If there is no packet in it.
    pub fn open(&mut self, now: Instant, datagram: Datagram) -> Inside {
        match self.right.handle_datagram(now, LEFT, datagram) {
            Outcome::Inside(inside) => inside,
            Outcome::Handled | Outcome::Dropped(_) => panic!("a packet is inside"),
        }
    }
}

impl Default for Ends {
    fn default() -> Self {
        Self::new()
    }
}

fn peer(public_key: PublicKey, endpoint: Option<SocketAddrV6>) -> PeerConfig {
    let allowed = ["::/0", "0.0.0.0/0"].map(|prefix| prefix.parse().expect("a prefix")).into();
    PeerConfig { public_key, allowed, endpoint, keepalive_secs: 0 }
}

fn carry(from: &mut Tunnels, address: SocketAddrV6, to: &mut Tunnels) {
    while let Some(Transmit { datagram, .. }) = from.poll_transmit() {
        to.handle_datagram(Instant::now(), address, datagram);
    }
}
