//! One peer: its noise state, its endpoint, and the packets that wait for a session.
//!
//! The noise core (`Tunn`) reads the clock by itself; `now` and `wall` drive what is decided here. Two of its habits
//! are made up for: it is silent about packets that it drops from its queue, so packets wait in ours; and it fixes its
//! TAI64N clock when it is made, so it is made anew when the wall clock jumps (see [`Peer::clock_has_jumped`]).

use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use contract::PublicKey;
use gotatun::noise::errors::WireGuardError;
use gotatun::noise::index_table::IndexTable;
use gotatun::noise::rate_limiter::RateLimiter;
use gotatun::noise::{Tunn, TunnResult};
use gotatun::packet::{Packet, WgKind};
use gotatun::tun::MtuWatcher;
use gotatun::x25519;
use ipnet::IpNet;

use crate::drops::DropReason;
use crate::redial::{Redial, Session};

/// Packets that wait for a session, per peer: Linux's `MAX_STAGED_PACKETS`.
pub(crate) const QUEUE_LIMIT: usize = 128;

/// The closest two handshakes that one peer may start: Linux's `INITIATIONS_PER_SECOND`, 50.
const INITIATION_INTERVAL: Duration = Duration::from_millis(20);

/// NTP slews small errors away; what is larger was set, and matters to TAI64N.
const CLOCK_JUMP: Duration = Duration::from_secs(1);

/// What the operator decides about a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Who the peer is.
    pub public_key: PublicKey,
    /// The addresses that are this peer's and nobody else's.
    pub allowed: Vec<IpNet>,
    /// Where to dial it; `None` waits for it to call.
    pub endpoint: Option<SocketAddrV6>,
    /// 0 switches keepalives off.
    pub keepalive_secs: u16,
}

/// What happened with a peer so far.
#[derive(Clone, Debug)]
pub struct PeerStats {
    /// Who the peer is.
    pub public_key: PublicKey,
    /// Where it was last heard, or where it is dialled.
    pub endpoint: Option<SocketAddrV6>,
    /// When its latest session began.
    pub latest_handshake: Option<Instant>,
    /// Authenticated datagrams from it.
    pub rx_bytes: u64,
    /// Datagrams to it.
    pub tx_bytes: u64,
}

/// What all peers share.
pub(crate) struct Identity {
    pub(crate) private_key: x25519::StaticSecret,
    pub(crate) public_key: x25519::PublicKey,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    pub(crate) index_table: IndexTable,
}

impl Identity {
    fn tunn(&self, config: &PeerConfig) -> Tunn {
        Tunn::new(
            self.private_key.clone(),
            x25519::PublicKey::from(*config.public_key.as_bytes()),
            None,
            Some(config.keepalive_secs),
            self.index_table.clone(),
            Arc::clone(&self.rate_limiter),
        )
    }
}

/// What a message from the peer came to.
pub(crate) enum Incoming {
    /// Nothing to do: a cookie.
    Nothing,
    /// A handshake step to answer with.
    Reply(WgKind),
    /// What was inside; empty for a keepalive.
    Packet(Packet),
}

/// What became of a packet to the peer.
pub(crate) enum Outgoing {
    Encrypted(WgKind),
    /// Waits for a session; `initiation` asks for one.
    Queued {
        initiation: Option<WgKind>,
        pushed_out: usize,
    },
}

/// What the passing of time brought.
#[derive(Default)]
pub(crate) struct Tick {
    pub(crate) messages: [Option<WgKind>; 2],
    pub(crate) timed_out: usize,
}

pub(crate) struct Peer {
    pub(crate) config: PeerConfig,
    pub(crate) endpoint: Option<SocketAddrV6>,
    tunn: Tunn,
    /// When `tunn` was made, by both clocks.
    made: (Instant, SystemTime),
    queue: VecDeque<Packet>,
    redial: Redial,
    initiation_accepted: Option<Instant>,
    latest_handshake: Option<Instant>,
    rx_bytes: u64,
    tx_bytes: u64,
}

impl Peer {
    pub(crate) fn new(identity: &Identity, now: Instant, wall: SystemTime, config: PeerConfig) -> Self {
        Self {
            endpoint: config.endpoint,
            tunn: identity.tunn(&config),
            made: (now, wall),
            queue: VecDeque::new(),
            redial: Redial::default(),
            initiation_accepted: None,
            latest_handshake: None,
            rx_bytes: 0,
            tx_bytes: 0,
            config,
        }
    }

    /// Takes a new configuration of the same key; the session stays. `true` if the peer should be dialled.
    pub(crate) fn reconfigure(&mut self, config: PeerConfig) -> bool {
        let moved = config.endpoint != self.config.endpoint;
        if moved {
            self.endpoint = config.endpoint.or(self.endpoint);
        }
        if config.keepalive_secs != self.config.keepalive_secs {
            self.tunn.set_persistent_keepalive(Some(config.keepalive_secs));
        }
        self.config = config;
        moved && self.config.endpoint.is_some()
    }

    /// A handshake initiation, also while another is under way.
    pub(crate) fn dial(&mut self) -> Option<WgKind> {
        self.redial.dialled();
        self.tunn.format_handshake_initiation(true).map(WgKind::from)
    }

    pub(crate) fn handle_message(
        &mut self,
        now: Instant,
        from: SocketAddrV6,
        message: WgKind,
    ) -> Result<Incoming, DropReason> {
        let is_initiation = matches!(message, WgKind::HandshakeInit(_));
        if is_initiation && self.floods(now) {
            return Err(DropReason::HandshakeRateLimited);
        }
        let is_data = matches!(message, WgKind::Data(_));
        let len = message_len(&message);

        match self.tunn.handle_incoming_packet(message) {
            TunnResult::Done => Ok(Incoming::Nothing),
            TunnResult::Err(error) => Err(drop_reason(&error, is_data)),
            TunnResult::WriteToNetwork(reply) => {
                self.authenticated(now, from, len);
                self.latest_handshake = Some(now);
                if is_initiation {
                    self.initiation_accepted = Some(now);
                }
                Ok(Incoming::Reply(reply))
            }
            TunnResult::WriteToTunnel(packet) => {
                self.authenticated(now, from, len);
                Ok(Incoming::Packet(packet))
            }
        }
    }

    /// Encrypts `packet`, which is padded already, or lets it wait for a session.
    pub(crate) fn handle_packet(&mut self, packet: Packet) -> Outgoing {
        match self.tunn.encapsulate_with_session(packet) {
            Ok(message) => Outgoing::Encrypted(message.into()),
            Err(packet) => {
                // The oldest goes: whoever sent it has most likely sent it again by now.
                let pushed_out = usize::from(self.queue.len() >= QUEUE_LIMIT && self.queue.pop_front().is_some());
                self.queue.push_back(packet);
                let initiation = self.tunn.format_handshake_initiation(false).map(WgKind::from);
                if initiation.is_some() {
                    self.redial.dialled();
                }
                Outgoing::Queued { initiation, pushed_out }
            }
        }
    }

    /// The packets that waited, as far as there is a session for them now.
    pub(crate) fn poll_queue(&mut self) -> Option<WgKind> {
        let packet = self.queue.pop_front()?;
        match self.tunn.encapsulate_with_session(packet) {
            Ok(message) => Some(message.into()),
            Err(packet) => {
                self.queue.push_front(packet);
                None
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, identity: &Identity, now: Instant, wall: SystemTime) -> Tick {
        if self.clock_has_jumped(now, wall) {
            self.tunn = identity.tunn(&self.config);
            self.made = (now, wall);
            return Tick { messages: [self.dial(), None], timed_out: 0 };
        }
        let mut tick = Tick::default();
        match self.tunn.update_timers() {
            Ok(message) => tick.messages[0] = message,
            Err(WireGuardError::ConnectionExpired) => tick.timed_out = self.give_up(now),
            Err(error) => tracing::debug!(?error, "noise timers"),
        }
        if self.endpoint.is_some() && self.redial.is_due(now, self.session(), self.keepalive()) {
            tick.messages[1] = self.tunn.format_handshake_initiation(false).map(WgKind::from);
            self.redial.dialled();
        }
        tick
    }

    /// The noise core gave up: nothing it kept is of use, and the place we heard the peer last may not be either.
    fn give_up(&mut self, now: Instant) -> usize {
        if !self.redial.gave_up(now) {
            return 0;
        }
        self.endpoint = self.config.endpoint.or(self.endpoint);
        let timed_out = self.queue.len();
        self.queue.clear();
        timed_out
    }

    /// A machine without a battery-backed clock boots into the past, and NTP sets it right some seconds later. Peers
    /// refuse handshakes whose TAI64N timestamp does not grow, and the noise core never looks at the clock again, so a
    /// peer that has not answered gets a new core. One with a session accepted the old clock: it grows from there.
    fn clock_has_jumped(&self, now: Instant, wall: SystemTime) -> bool {
        let (then, wall_then) = self.made;
        let expected = wall_then + now.saturating_duration_since(then);
        let jumped = wall.duration_since(expected).is_ok_and(|ahead| ahead > CLOCK_JUMP);
        jumped && self.tunn.time_since_last_handshake().is_none()
    }

    fn session(&self) -> Session {
        if self.tunn.has_active_session() { Session::Fresh } else { Session::Stale }
    }

    fn keepalive(&self) -> Duration {
        Duration::from_secs(self.config.keepalive_secs.into())
    }

    /// Only what was accepted counts: replays of old initiations must not keep the peer itself out.
    fn floods(&self, now: Instant) -> bool {
        self.initiation_accepted.is_some_and(|last| now.saturating_duration_since(last) < INITIATION_INTERVAL)
    }

    /// The peer is where its last authentic message came from.
    fn authenticated(&mut self, now: Instant, from: SocketAddrV6, len: usize) {
        self.endpoint = Some(from);
        self.rx_bytes += len as u64;
        self.redial.heard(now);
    }

    pub(crate) fn sent(&mut self, len: usize) {
        self.tx_bytes += len as u64;
    }

    /// Throws away the empty packets that the noise core queued for itself as keepalives before it had a session.
    pub(crate) fn discard_queued_keepalives(&mut self) {
        self.tunn.get_queued_packets(&mut MtuWatcher::new(0)).for_each(drop);
    }

    pub(crate) fn stats(&self) -> PeerStats {
        PeerStats {
            public_key: self.config.public_key,
            endpoint: self.endpoint,
            latest_handshake: self.latest_handshake,
            rx_bytes: self.rx_bytes,
            tx_bytes: self.tx_bytes,
        }
    }
}

fn message_len(message: &WgKind) -> usize {
    match message {
        WgKind::HandshakeInit(_) => gotatun::packet::WgHandshakeInit::LEN,
        WgKind::HandshakeResp(_) => gotatun::packet::WgHandshakeResp::LEN,
        WgKind::CookieReply(_) => gotatun::packet::WgCookieReply::LEN,
        WgKind::Data(message) => gotatun::packet::WgData::OVERHEAD + message.encrypted_encapsulated_packet().len(),
    }
}

fn drop_reason(error: &WireGuardError, is_data: bool) -> DropReason {
    match error {
        WireGuardError::DuplicateCounter | WireGuardError::InvalidCounter => DropReason::Replayed,
        WireGuardError::WrongTai64nTimestamp => DropReason::HandshakeReplayed,
        WireGuardError::NoCurrentSession | WireGuardError::WrongIndex | WireGuardError::ConnectionExpired => {
            DropReason::UnknownSession
        }
        WireGuardError::DestinationBufferTooSmall
        | WireGuardError::IncorrectPacketLength
        | WireGuardError::UnexpectedPacket
        | WireGuardError::WrongPacketType
        | WireGuardError::WrongKey
        | WireGuardError::InvalidTai64nTimestamp
        | WireGuardError::InvalidMac
        | WireGuardError::InvalidAeadTag
        | WireGuardError::InvalidPacket
        | WireGuardError::LockFailed => {
            if is_data {
                DropReason::DecryptFailed
            } else {
                DropReason::HandshakeFailed
            }
        }
    }
}
