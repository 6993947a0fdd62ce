//! All tunnels of one gateway: datagrams in, packets out, and the other way round. No socket.
//!
//! Invariant: `routes` and `sessions` name only peers that exist; a session index belongs to the peer whose noise core
//! reserved it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use contract::{PrivateKey, PublicKey};
use gotatun::noise::TunnResult;
use gotatun::noise::errors::WireGuardError;
use gotatun::noise::handshake::parse_handshake_anon;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::packet::{Packet, WgKind};
use gotatun::x25519;

use crate::buffer::{Datagram, Pool};
use crate::drops::{DropReason, Drops};
use crate::inner::Inner;
use crate::peer::{Identity, Incoming, Outgoing, Peer, PeerConfig, PeerStats};
use crate::routes::{Map, Routes};

/// WireGuard's timers are good to a quarter of a second.
const TICK: Duration = Duration::from_millis(250);

/// Handshakes per second from one /64 before it must prove that it can receive (gotatun's own default).
const HANDSHAKES_PER_SECOND: u64 = 100;

/// Datagrams that wait for the caller: some forty full super-packets.
const TRANSMIT_LIMIT: usize = 2048;

/// WireGuard pads packets to hide their length (whitepaper §5.4.6).
const PADDING: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PeerId(usize);

/// Every peer's tunnel.
pub struct Tunnels {
    identity: Identity,
    mtu: u16,
    /// Slots; a removed peer leaves a hole that the next one fills.
    peers: Vec<Option<Peer>>,
    by_key: BTreeMap<[u8; 32], PeerId>,
    routes: Routes<PeerId>,
    outbox: Outbox,
    pool: Pool,
    next_tick: Instant,
}

/// What a datagram came to.
pub enum Outcome {
    /// A packet from a peer, whose source is the peer's own.
    Inside(Inside),
    /// WireGuard's own business; there may be something to transmit.
    Handled,
    /// Counted, and gone.
    Dropped(DropReason),
}

/// A decrypted packet.
pub struct Inside {
    /// Whose source address the packet has.
    pub peer: PublicKey,
    /// By the IP header.
    pub destination: IpAddr,
    packet: Packet,
}

impl Inside {
    /// The IP packet, without padding.
    pub fn bytes(&self) -> &[u8] {
        self.packet.as_ref()
    }
}

/// A datagram to send.
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddrV6,
    /// What goes there.
    pub datagram: Datagram,
}

/// What the peers' noise cores write to.
#[derive(Default)]
struct Outbox {
    /// Our session indices, which peers put into their messages.
    sessions: Map<u32, PeerId>,
    transmits: VecDeque<Transmit>,
    drops: Drops,
}

impl Tunnels {
    /// No peers yet. `mtu` is of the packets inside, in bytes; padding never exceeds it.
    pub fn new(private_key: &PrivateKey, mtu: u16, now: Instant) -> Self {
        let private_key = x25519::StaticSecret::from(*private_key.as_bytes());
        let public_key = x25519::PublicKey::from(&private_key);
        Self {
            identity: Identity {
                rate_limiter: Arc::new(RateLimiter::new(&public_key, HANDSHAKES_PER_SECOND)),
                index_table: IndexTable::from_os_rng(),
                private_key,
                public_key,
            },
            mtu,
            peers: Vec::new(),
            by_key: BTreeMap::new(),
            routes: Routes::new(),
            outbox: Outbox::default(),
            pool: Pool::new(),
            next_tick: now + TICK,
        }
    }

    /// Where buffers for [`Self::handle_datagram`] come from.
    pub fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// Changes the MTU of the packets inside, in bytes.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu;
    }

    /// Adds a peer, or changes the one with this key. A new peer with an endpoint is dialled at once, so is one whose
    /// configured endpoint changed; a session that exists stays. Prefixes move here from whoever had them.
    pub fn set_peer(&mut self, now: Instant, wall: SystemTime, config: PeerConfig) {
        let id = match self.by_key.get(config.public_key.as_bytes()) {
            Some(&id) => id,
            None => self.add_slot(&config),
        };
        let slot = &mut self.peers[id.0];
        let allowed = config.allowed.clone();
        let (reroute, dial) = match slot {
            Some(peer) => (peer.config.allowed != allowed, peer.reconfigure(config)),
            None => {
                let dial = config.endpoint.is_some();
                *slot = Some(Peer::new(&self.identity, now, wall, config));
                (true, dial)
            }
        };
        if reroute {
            self.routes.remove(id);
            allowed.into_iter().for_each(|prefix| self.routes.insert(prefix, id));
        }
        if let Some(peer) = slot.as_mut().filter(|_| dial) {
            let initiation = peer.dial();
            self.outbox.send(id, peer, initiation);
        }
    }

    fn add_slot(&mut self, config: &PeerConfig) -> PeerId {
        let free = self.peers.iter().position(Option::is_none);
        let id = PeerId(free.unwrap_or(self.peers.len()));
        if free.is_none() {
            self.peers.push(None);
        }
        self.by_key.insert(*config.public_key.as_bytes(), id);
        id
    }

    /// Forgets a peer, its session and its prefixes. `false` if there was none with this key.
    pub fn remove_peer(&mut self, public_key: &PublicKey) -> bool {
        let Some(id) = self.by_key.remove(public_key.as_bytes()) else { return false };
        self.peers[id.0] = None;
        self.routes.remove(id);
        self.outbox.sessions.retain(|_, owner| *owner != id);
        true
    }

    /// Takes a datagram from the network.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV6, datagram: Datagram) -> Outcome {
        match self.receive(now, from, datagram) {
            Ok(Some(inside)) => Outcome::Inside(inside),
            Ok(None) => Outcome::Handled,
            Err(reason) => {
                self.outbox.drops.add(reason, 1);
                Outcome::Dropped(reason)
            }
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddrV6, datagram: Datagram) -> Result<Option<Inside>, DropReason> {
        let message = self.verify(from, datagram)?;
        let id = self.sender(&message)?;
        let peer = self.peers[id.0].as_mut().expect("sessions and keys name peers that exist");

        let packet = match peer.handle_message(now, from, message)? {
            Incoming::Nothing => return Ok(None),
            Incoming::Reply(reply) => {
                let established = matches!(reply, WgKind::Data(_));
                self.outbox.send(id, peer, Some(reply));
                if established {
                    peer.discard_queued_keepalives();
                }
                self.outbox.flush(id, peer);
                return Ok(None);
            }
            Incoming::Packet(packet) => packet,
        };
        // A session that the peer began is ours to use as soon as the peer has used it.
        self.outbox.flush(id, peer);
        if packet.is_empty() {
            return Ok(None);
        }
        let public_key = peer.config.public_key;
        self.admit(id, public_key, packet).map(Some)
    }

    /// Message type, mac1, and whether the sender must show a cookie first.
    fn verify(&mut self, from: SocketAddrV6, datagram: Datagram) -> Result<WgKind, DropReason> {
        let counted = SocketAddr::new(site(*from.ip()).into(), from.port());
        self.identity.rate_limiter.verify_packet(counted, datagram.0).map_err(|result| match result {
            TunnResult::WriteToNetwork(cookie) => {
                self.outbox.transmit(from, cookie);
                DropReason::HandshakeRateLimited
            }
            TunnResult::Err(WireGuardError::InvalidMac) => DropReason::BadMac,
            TunnResult::Err(_) | TunnResult::Done | TunnResult::WriteToTunnel(_) => DropReason::NotWireguard,
        })
    }

    fn sender(&self, message: &WgKind) -> Result<PeerId, DropReason> {
        let index = match message {
            WgKind::HandshakeInit(message) => {
                let Identity { private_key, public_key, .. } = &self.identity;
                let half =
                    parse_handshake_anon(private_key, public_key, message).map_err(|_| DropReason::HandshakeFailed)?;
                return self.by_key.get(&half.peer_static_public).copied().ok_or(DropReason::UnknownPeer);
            }
            WgKind::HandshakeResp(message) => message.receiver_idx.get(),
            WgKind::CookieReply(message) => message.receiver_idx.get(),
            WgKind::Data(message) => message.header.receiver_idx.get(),
        };
        self.outbox.sessions.get(&index).copied().ok_or(DropReason::UnknownSession)
    }

    /// Lets a decrypted packet in if its source is its peer's own.
    fn admit(&self, id: PeerId, peer: PublicKey, mut packet: Packet) -> Result<Inside, DropReason> {
        let inner = Inner::parse(&packet).ok_or(DropReason::InnerMalformed)?;
        if self.routes.lookup(inner.source) != Some(id) {
            return Err(DropReason::SourceOutsidePrefix);
        }
        packet.truncate(inner.len);
        Ok(Inside { peer, destination: inner.destination, packet })
    }

    /// Takes an IP packet for whichever peer owns its destination. Without a session it waits for one.
    ///
    /// # Errors
    /// If there is nobody to send it to; it is counted then.
    pub fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DropReason> {
        let Some(inner) = Inner::parse(packet) else {
            self.outbox.drops.add(DropReason::InnerMalformed, 1);
            return Err(DropReason::InnerMalformed);
        };
        let mut towards = self.towards(inner.destination, 1)?;
        towards.handle_packet(packet.len(), |room| room.copy_from_slice(packet));
        Ok(())
    }

    /// The peer that owns an address, to hand it `packets` packets.
    ///
    /// # Errors
    /// If there is nobody to send them to; they are counted then.
    pub fn towards(&mut self, destination: IpAddr, packets: usize) -> Result<Towards<'_>, DropReason> {
        let Self { routes, peers, outbox, pool, mtu, .. } = self;
        let refused = |outbox: &mut Outbox, reason| {
            outbox.drops.add(reason, packets);
            reason
        };
        let Some(id) = routes.lookup(destination) else {
            return Err(refused(outbox, DropReason::NoPeerForDestination));
        };
        let peer = peers[id.0].as_mut().expect("routes name peers that exist");
        if peer.endpoint.is_none() {
            return Err(refused(outbox, DropReason::NoEndpoint));
        }
        Ok(Towards { id, peer, outbox, pool, mtu: *mtu })
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.transmits.pop_front()
    }

    /// The datagrams to send, in order, for those who send several at once.
    pub fn transmits(&mut self) -> &mut VecDeque<Transmit> {
        &mut self.outbox.transmits
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        self.next_tick
    }

    /// Retries, renews and expires. `wall` is the system's time of day, which TAI64N timestamps are made of.
    pub fn handle_timeout(&mut self, now: Instant, wall: SystemTime) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.identity.rate_limiter.try_reset_count();
        for (slot, id) in self.peers.iter_mut().zip((0..).map(PeerId)) {
            let Some(peer) = slot else { continue };
            let tick = peer.handle_timeout(&self.identity, now, wall);
            self.outbox.drops.add(DropReason::HandshakeTimedOut, tick.timed_out);
            for message in tick.messages {
                self.outbox.send(id, peer, message);
            }
        }
        self.outbox.sessions.retain(|&index, _| self.identity.index_table.in_use(index));
    }

    /// Everything dropped so far, by reason.
    pub fn drops(&self) -> &Drops {
        &self.outbox.drops
    }

    /// Every peer's figures.
    pub fn stats(&self) -> impl Iterator<Item = PeerStats> + '_ {
        self.peers.iter().flatten().map(Peer::stats)
    }
}

/// A peer that packets go to.
pub struct Towards<'t> {
    id: PeerId,
    peer: &'t mut Peer,
    outbox: &'t mut Outbox,
    pool: &'t Pool,
    mtu: u16,
}

impl Towards<'_> {
    /// Takes an IP packet of `len` bytes, which `write` puts into its place. Without a session it waits for one.
    pub fn handle_packet(&mut self, len: usize, write: impl FnOnce(&mut [u8])) {
        let message = match self.peer.handle_packet(padded(self.pool, len, self.mtu, write)) {
            Outgoing::Encrypted(message) => Some(message),
            Outgoing::Queued { initiation, pushed_out } => {
                self.outbox.drops.add(DropReason::QueueFull, pushed_out);
                initiation
            }
        };
        self.outbox.send(self.id, self.peer, message);
    }
}

impl Outbox {
    /// Sends `message` to where `peer` is; a peer without an endpoint cannot be reached, only call.
    fn send(&mut self, id: PeerId, peer: &mut Peer, message: Option<WgKind>) {
        let (Some(message), Some(to)) = (message, peer.endpoint) else { return };
        match &message {
            WgKind::HandshakeInit(message) => self.sessions.insert(message.sender_idx.get(), id),
            WgKind::HandshakeResp(message) => self.sessions.insert(message.sender_idx.get(), id),
            WgKind::CookieReply(_) | WgKind::Data(_) => None,
        };
        peer.sent(self.transmit(to, message));
    }

    fn flush(&mut self, id: PeerId, peer: &mut Peer) {
        while let Some(message) = peer.poll_queue() {
            self.send(id, peer, Some(message));
        }
    }

    /// Returns the bytes sent: none when the caller has stopped polling.
    fn transmit(&mut self, to: SocketAddrV6, message: WgKind) -> usize {
        if self.transmits.len() >= TRANSMIT_LIMIT {
            self.drops.add(DropReason::TransmitFull, 1);
            return 0;
        }
        let datagram = Datagram(message.into());
        let len = datagram.bytes().len();
        self.transmits.push_back(Transmit { to, datagram });
        len
    }
}

/// The /64 of an address: whoever has one address of it has them all, so they count as one sender (as in Linux).
fn site(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}

/// A packet with WireGuard's padding, which may not make it larger than the MTU.
fn padded(pool: &Pool, len: usize, mtu: u16, write: impl FnOnce(&mut [u8])) -> Packet {
    let padded_len = len.next_multiple_of(PADDING).min(usize::from(mtu)).max(len);
    let mut packet = pool.room(padded_len);
    let (room, padding) = packet.buf_mut().split_at_mut(len);
    write(room);
    padding.fill(0);
    packet
}
