//! An engine that has sessions already, and everything that leaves it under suspicion.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use contract::Pool6;
use nat64::{Config, Engine, EventLog, Limits, Pool4, Protocol, Side, StaticMapping, Verdict};
use packet::{HEADROOM, Layout, Offload, Packet, segment, virtio};

use crate::invariants::{Mirror, check_direction, check_size};
use crate::oracle::{Trust, read, transport_is_right};
use crate::packets::{Kind, Shape, build};
use crate::reassembly::Reassembly;

/// Who is inside. Two peers have IPv6, two have IPv4, one has two endpoints.
pub(crate) const INSIDE: [&str; 6] = [
    "[2001:db8::7]:1024",
    "[2001:db8::7]:1025",
    "[2001:db8:0:1::8]:1024",
    "[2001:db8:0:1::8]:40000",
    "198.18.0.7:1024",
    "198.18.0.8:1025",
];
/// Who is spoken to: hosts outside, what policy refuses, and pool4 itself.
pub(crate) const REMOTES: [&str; 8] = [
    "9.9.9.9:53",
    "9.9.9.9:443",
    "1.1.1.1:443",
    "8.8.8.8:25",
    "192.0.2.1:5000",
    "192.0.2.1:5001",
    "10.0.0.1:80",
    "224.0.0.1:5353",
];
pub(crate) const POOL4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
/// Mappings made by hand, so that inputs can name outside endpoints however the engine chooses others.
const STATIC: [(&str, &str); 3] = [
    ("192.0.2.1:5000", "[2001:db8::7]:1024"),
    ("192.0.2.1:5001", "198.18.0.7:1024"),
    ("192.0.2.2:5000", "[2001:db8:0:1::8]:1024"),
];
/// Packets that are remembered to be answered or quoted.
const REMEMBERED: usize = 8;

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) config: Config,
    /// What left last, and to which side; the newest is the last.
    pub(crate) sent: VecDeque<(Side, Vec<u8>)>,
    /// Whether fragments are cut from right packets only, so that what they make together is right as well.
    pub(crate) fragments: Trust,
    mirror: Mirror,
    reassembly: Reassembly,
}

pub(crate) fn config() -> Config {
    Config {
        pool4: POOL4.iter().map(|address| Pool4::new(*address, 5000..=5011)).collect(),
        event_log: EventLog::On,
        limits: LIMITS,
        ..Config::default()
    }
}

/// Small enough for an input to reach them.
pub(crate) const LIMITS: Limits = Limits {
    bib_entries: 24,
    sessions: 32,
    bib_entries_per_peer: 10,
    sessions_per_peer: 16,
    new_flows_per_second: 20,
    new_flows_at_once: 40,
    reassembly: nat64::Reassembly::DEFAULT,
};

impl Bench {
    /// An engine with mappings made by hand and sessions of every protocol and family.
    pub(crate) fn new() -> Self {
        let (config, now) = (config(), Instant::now());
        let mut bench = Self {
            engine: Engine::new(config.clone(), [7; 32], now),
            now,
            config,
            sent: VecDeque::new(),
            fragments: Trust::Unknown,
            mirror: Mirror::default(),
            reassembly: Reassembly::default(),
        };
        for (outer, inner) in STATIC {
            let (outer, inner) = (at4(outer), at(inner));
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
                bench.engine.add_mapping(now, StaticMapping { protocol, outer, inner }).expect("the BIB is empty");
            }
        }
        for inner in [INSIDE[0], INSIDE[4]].map(at) {
            let to = bench.towards(inner, at4(REMOTES[0]));
            let identifier = inner.port();
            for kind in [Kind::Udp, Kind::Tcp { flags: 2 }, Kind::Echo { identifier, is_reply: false }] {
                let bytes = build(Shape { from: inner, to, kind, payload: b"hello" });
                bench.hand(Side::Inside, &bytes, Offload::default());
            }
        }
        bench
    }

    /// One of the prefixes there are.
    pub(crate) fn pool6(&self, choice: u16) -> Pool6 {
        let all = &self.config.pool6;
        all.get(usize::from(choice) % all.len().max(1)).copied().unwrap_or_default()
    }

    /// How somebody inside names an IPv4 endpoint.
    pub(crate) fn towards(&self, inner: SocketAddr, remote: SocketAddrV4) -> SocketAddr {
        match inner {
            SocketAddr::V4(_) => remote.into(),
            SocketAddr::V6(_) => SocketAddr::new(self.pool6(inner.port()).embed(*remote.ip()).into(), remote.port()),
        }
    }

    /// Hands a packet over, and checks whatever comes of it.
    pub(crate) fn hand(&mut self, side: Side, bytes: &[u8], offload: Offload) -> Verdict {
        let mut buffer = [&[0; HEADROOM][..], bytes].concat();
        let end = buffer.len();
        let mut packet = Packet::new(&mut buffer, HEADROOM..end);
        packet.offload = offload;
        let trust = trust(&packet, self.fragments);
        let verdict = match side {
            Side::Inside => self.engine.handle_inside(self.now, &mut packet),
            Side::Outside => self.engine.handle_outside(self.now, &mut packet),
        };
        match verdict {
            Verdict::Forward => self.forwarded(other(side), &mut packet, trust),
            Verdict::Taken => {}
            Verdict::Drop(reason) => assert!(self.engine.stats().dropped(reason) > 0, "{reason:?} is not counted"),
        }
        self.collect(trust);
        verdict
    }

    /// Lets time pass, as a caller does that keeps its promises.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let mut calls = 0;
        while self.engine.poll_timeout().is_some_and(|due| due <= self.now) {
            self.engine.handle_timeout(self.now);
            self.collect(Trust::Right);
            calls += 1;
            assert!(calls < 64, "time does not pass: due {:?}", self.engine.poll_timeout());
        }
    }

    pub(crate) fn reconfigure(&mut self, config: Config) {
        self.config = config;
        self.engine.reconfigure(self.now, self.config.clone());
        self.collect(Trust::Right);
    }

    /// What the engine has made by itself, and what its tables look like.
    pub(crate) fn collect(&mut self, trust: Trust) {
        while let Some(made) = self.engine.poll_transmit() {
            self.left(made.side, &made.bytes, trust);
        }
        self.mirror.check(&mut self.engine, self.now, &self.config);
    }

    fn forwarded(&mut self, to: Side, packet: &mut Packet<'_>, trust: Trust) {
        virtio::with_header(packet).expect("there is room for the virtio-net header");
        let mut parts = Vec::new();
        segment::segment(packet, |part| parts.push(part.to_vec())).expect("what is forwarded can be cut");
        for part in parts {
            self.left(to, &part, trust);
        }
    }

    fn left(&mut self, to: Side, bytes: &[u8], trust: Trust) {
        let seen = read(bytes, trust);
        check_direction(&self.config, to, &seen);
        check_size(&self.config, to, bytes, &seen);
        if let Some(whole) = self.reassembly.take(&seen, bytes) {
            read(&whole, trust);
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((to, bytes.to_vec()));
    }
}

/// Whether what becomes of a packet must have right checksums.
fn trust(packet: &Packet<'_>, fragments: Trust) -> Trust {
    let Ok(layout) = Layout::of(packet.bytes()) else { return Trust::Unknown };
    if layout.is_fragment {
        return fragments;
    }
    let mut is_right = true;
    let cut = segment::segment(packet, |part| {
        is_right &= Layout::of(part).is_ok_and(|layout| transport_is_right(part, &layout));
    });
    if cut.is_ok() && is_right { Trust::Right } else { Trust::Unknown }
}

pub(crate) const fn other(side: Side) -> Side {
    match side {
        Side::Inside => Side::Outside,
        Side::Outside => Side::Inside,
    }
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an endpoint")
}

pub(crate) fn at4(text: &str) -> SocketAddrV4 {
    text.parse().expect("an IPv4 endpoint")
}
