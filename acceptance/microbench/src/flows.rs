//! An engine with flows in it, and packets of those flows in the buffers that the engine is to change.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use nat64::{Config, Engine, Limits, Pool4, Pooling, Side, Verdict};
use packet::{Checksum, HEADROOM, Offload, Packet, SegmentKind, Segments};

use crate::packets::{self, ACK, Kind, SYN};

/// What the flows of a bench are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Established connections.
    Tcp,
    /// Echo requests from inside, replies from outside.
    Echo,
}

/// What the peers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// IPv6 towards pool6: NAT64.
    Ipv6,
    /// IPv4: NAT44.
    Ipv4,
}

/// One of the flows: who speaks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    inside: Inside,
    transport: Transport,
    number: u32,
}

const PAYLOAD_LEN: usize = 100;
/// Transport payload of a segment that fits a tunnel.
pub const SEGMENT_LEN: u16 = 1340;
/// Segments of a full super-packet.
pub const SEGMENTS: u16 = 48;
/// Packets that come at once, and so at one time.
const BATCH: usize = 32;
/// Addresses of pool4: room for a million mappings.
const POOL4_ADDRESSES: u8 = 32;

impl Flow {
    /// The flow of a number; neighbours differ in peer, port and destination.
    #[must_use]
    pub const fn new(inside: Inside, transport: Transport, number: u32) -> Self {
        Self { inside, transport, number }
    }

    fn inner(&self) -> SocketAddr {
        let (port, host) = (1024 + (self.number / 64 % 60_000) as u16, (self.number % 64) as u16);
        match self.inside {
            Inside::Ipv6 => (Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, 1), port).into(),
            Inside::Ipv4 => (Ipv4Addr::new(198, 18, 1, host as u8), port).into(),
        }
    }

    fn remote(&self) -> (Ipv4Addr, u16) {
        let [_, _, high, low] = self.number.to_be_bytes();
        (Ipv4Addr::new(9, 9, high, low), 443)
    }

    /// How a peer names the remote.
    fn destination(&self) -> SocketAddr {
        let (address, port) = self.remote();
        match self.inside {
            Inside::Ipv6 => (embedded(address), port).into(),
            Inside::Ipv4 => (address, port).into(),
        }
    }

    fn kind_out(&self, flags: u8) -> Kind {
        match self.transport {
            Transport::Udp => Kind::Udp,
            Transport::Tcp => Kind::Tcp(flags),
            Transport::Echo => Kind::EchoRequest,
        }
    }

    fn kind_in(&self, flags: u8) -> Kind {
        match self.kind_out(flags) {
            Kind::EchoRequest => Kind::EchoReply,
            same @ (Kind::Udp | Kind::Tcp(_) | Kind::EchoReply) => same,
        }
    }
}

fn embedded(address: Ipv4Addr) -> Ipv6Addr {
    let [a, b] = [address.to_bits() >> 16, address.to_bits() & 0xffff].map(|half| half as u16);
    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b)
}

/// An engine that flows are opened in.
#[derive(Debug)]
pub struct Bench {
    engine: Engine,
    now: Instant,
}

/// A packet with room in front, as often as it is wanted.
#[derive(Clone, Debug)]
pub struct Waiting {
    bytes: Vec<u8>,
    offload: Offload,
}

impl Waiting {
    fn new(bytes: &[u8], offload: Offload) -> Self {
        Self { bytes: [&[0; HEADROOM][..], bytes].concat(), offload }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[HEADROOM..]
    }

    /// The packet.
    pub fn packet(&mut self) -> Packet<'_> {
        let end = self.bytes.len();
        let mut packet = Packet::new(&mut self.bytes, HEADROOM..end);
        packet.offload = self.offload;
        packet
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// An engine with room for a million flows of few peers.
    #[must_use]
    pub fn new() -> Self {
        let pool4 =
            (1..=POOL4_ADDRESSES).map(|host| Pool4::new(Ipv4Addr::new(192, 0, 2, host), 1024..=u16::MAX)).collect();
        let limits = Limits {
            bib_entries: u32::MAX,
            sessions: u32::MAX,
            bib_entries_per_peer: u32::MAX,
            sessions_per_peer: u32::MAX,
            new_flows_per_second: 1_000_000,
            new_flows_at_once: u32::MAX,
            ..Limits::default()
        };
        // A million flows of few peers are more than the ports of one address each.
        let config = Config { pool4, limits, pooling: Pooling::SoftlyPaired, ..Config::default() };
        let now = Instant::now();
        Self { engine: Engine::new(config, [42; 32], now), now }
    }

    /// Opens flows, TCP ones with both SYNs, and gives the packets that come back to them.
    ///
    /// # Panics
    /// If the engine refuses one.
    pub fn open(&mut self, flows: &[Flow]) -> Vec<Waiting> {
        flows.iter().map(|flow| self.open_one(flow)).collect()
    }

    /// Opens a flow whose packet is ready, and does nothing else: what is timed.
    ///
    /// # Panics
    /// If the engine refuses it.
    pub fn open_ready(&mut self, waiting: &mut Waiting) {
        let verdict = self.engine.handle_inside(self.now, &mut waiting.packet());
        assert_eq!(verdict, Verdict::Forward, "a new flow is let through");
    }

    /// Lets one portion of what is due expire, and says whether more is.
    pub fn expire_some(&mut self) -> bool {
        self.engine.handle_timeout(self.now);
        self.engine.poll_timeout().is_some_and(|due| due <= self.now)
    }

    /// Lets so much time pass that every flow is due.
    pub fn outlive(&mut self) {
        self.now += Duration::from_secs(24 * 60 * 60);
    }

    /// Sessions in all tables.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.engine.table_sizes().by_protocol().iter().map(|(_, size)| size.sessions).sum()
    }

    fn open_one(&mut self, flow: &Flow) -> Waiting {
        let outer = self.mapped(flow, SYN);
        let answer = |flags| {
            let (from, to) = (SocketAddr::from(flow.remote()), outer);
            packets::packet(flow.kind_in(flags), from, to, PAYLOAD_LEN)
        };
        if flow.transport == Transport::Tcp {
            let mut syn = Waiting::new(&answer(SYN | ACK), Offload::default());
            assert_eq!(self.engine.handle_outside(self.now, &mut syn.packet()), Verdict::Forward, "{flow:?}");
        }
        Waiting::new(&answer(ACK), Offload::default())
    }

    /// The outside endpoint of a flow, which is opened if it is not.
    fn mapped(&mut self, flow: &Flow, flags: u8) -> SocketAddr {
        let bytes = packets::packet(flow.kind_out(flags), flow.inner(), flow.destination(), PAYLOAD_LEN);
        let mut waiting = Waiting::new(&bytes, Offload::default());
        let mut packet = waiting.packet();
        assert_eq!(self.engine.handle_inside(self.now, &mut packet), Verdict::Forward, "{flow:?}");
        let seen = packet.bytes();
        let port_at = if flow.transport == Transport::Echo { 24 } else { 20 };
        let address = Ipv4Addr::new(seen[12], seen[13], seen[14], seen[15]);
        (address, u16::from_be_bytes([seen[port_at], seen[port_at + 1]])).into()
    }

    /// The packets that the peers send when all is open.
    #[must_use]
    pub fn outgoing(flows: &[Flow]) -> Vec<Waiting> {
        Self::sent(flows, ACK)
    }

    /// The packets that the peers send first.
    #[must_use]
    pub fn opening(flows: &[Flow]) -> Vec<Waiting> {
        Self::sent(flows, SYN)
    }

    fn sent(flows: &[Flow], flags: u8) -> Vec<Waiting> {
        let one = |flow: &Flow| packets::packet(flow.kind_out(flags), flow.inner(), flow.destination(), PAYLOAD_LEN);
        flows.iter().map(|flow| Waiting::new(&one(flow), Offload::default())).collect()
    }

    /// A super-packet of an opened TCP flow, as often as said, in one direction.
    pub fn super_packets(&mut self, flow: Flow, side: Side, count: usize) -> Vec<Waiting> {
        let payload_len = usize::from(SEGMENT_LEN) * usize::from(SEGMENTS);
        let (kind, from, to) = match side {
            Side::Inside => (flow.kind_out(ACK), flow.inner(), flow.destination()),
            Side::Outside => (flow.kind_in(ACK), SocketAddr::from(flow.remote()), self.mapped(&flow, ACK)),
        };
        let bytes = packets::with_partial_checksum(kind, from, to, payload_len);
        let segments = Some(Segments { kind: SegmentKind::Tcp, size_bytes: SEGMENT_LEN });
        let offload = Offload { checksum: Checksum::Partial, segments };
        (0..count).map(|_| Waiting::new(&bytes, offload)).collect()
    }

    /// Hands packets to the engine batch by batch, as a datapath does; it must pass them all, with so much time between two
    /// of them.
    ///
    /// # Panics
    /// If it does not.
    pub fn pass(&mut self, side: Side, waiting: &mut [Waiting], between: Duration) {
        let mut passed = true;
        for batch in waiting.chunks_mut(BATCH) {
            self.now += between * batch.len() as u32;
            let expected = batch.iter().map(Waiting::bytes);
            match side {
                Side::Inside => self.engine.expect_inside(expected),
                Side::Outside => self.engine.expect_outside(expected),
            }
            for one in batch {
                let verdict = match side {
                    Side::Inside => self.engine.handle_inside(self.now, &mut one.packet()),
                    Side::Outside => self.engine.handle_outside(self.now, &mut one.packet()),
                };
                passed &= verdict == Verdict::Forward;
            }
        }
        assert!(passed, "every packet is passed on");
    }
}
