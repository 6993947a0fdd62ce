//! What an engine is told: addresses, sizes, policy and limits.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use contract::Pool6;
use ipnet::Ipv4Net;
use packet::Family;

use crate::network::Network;
use crate::prefixes;
use crate::timers::Lifetimes;
use crate::tuple::Protocol;

/// The configuration of an [`Engine`](crate::Engine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The prefixes that stand for IPv4 (RFC 6052), [`MOST_PREFIXES`](Self::MOST_PREFIXES) at the most; none is taken as the well-known one.
    ///
    /// An address in several of them is read by the longest. The inside is answered from the prefix it has spoken to;
    /// whoever starts from outside is seen under the first.
    pub pool6: Vec<Pool6>,
    /// The transport addresses the engine may show to the outside (RFC 6146 §2).
    pub pool4: Vec<Pool4>,
    /// Inside sources that are IPv4 already; they get NAT44.
    pub ipv4_peers: Ipv4Net,
    /// Source of the ICMPv6 errors the engine makes.
    pub address6: Ipv6Addr,
    /// Source of the ICMPv4 errors to peers; no peer may use it.
    pub address4: Ipv4Addr,
    /// Source of the ICMPv4 errors to the outside.
    pub error_source4: ErrorSource4,
    /// Largest packet towards the inside, in bytes; the tunnel's for IPv6 and IPv4 alike.
    pub mtu6: u16,
    /// Largest packet towards the outside, in bytes.
    pub mtu4: u16,
    /// RFC 7915 §4.1: IPv6 packets made of IPv4 packets that may be fragmented become no longer than this, in bytes.
    ///
    /// The default, 1280, passes every IPv6 link; a larger one is for networks whose links are known.
    pub lowest_ipv6_mtu: u16,
    /// The home's own addresses, refused as destinations whatever `allow` says.
    pub own_addresses: Vec<Ipv4Addr>,
    /// Exceptions to the refusal of special-purpose destinations (RFC 6890).
    pub allow: Vec<Ipv4Net>,
    /// TCP and UDP ports that peers may not send to, whatever the address.
    pub denied_ports: Vec<(Protocol, u16)>,
    /// Who may answer to a mapping.
    pub filtering: Filtering,
    /// Whether peers reach one another through pool4.
    pub hairpinning: Hairpinning,
    /// Traffic class of the IPv6 packets made of IPv4 packets (RFC 7915 §4.1).
    pub traffic_class: TrafficClass,
    /// TOS of the IPv4 packets made of IPv6 packets (RFC 7915 §5.1).
    pub tos: TrafficClass,
    /// Whether the engine makes ICMP errors.
    pub own_errors: OwnErrors,
    /// What becomes of UDP over IPv4 without checksum.
    pub udp_without_checksum: UdpWithoutChecksum,
    /// Whether a client may have several addresses of pool4.
    pub pooling: Pooling,
    /// Whether SYNs announce no larger segments than `mtu6` and `mtu4` carry.
    pub clamp_mss: MssClamping,
    /// What the outside hears when it sends what nobody inside waits for.
    pub unsolicited: Unsolicited,
    /// Whose packets keep a session alive.
    pub refresh: Refresh,
    /// How long sessions are remembered.
    pub lifetimes: Lifetimes,
    /// Whether there are events to collect.
    pub event_log: EventLog,
    /// Bounds of the tables.
    pub limits: Limits,
}

impl Config {
    /// How many prefixes of pool6 count.
    pub const MOST_PREFIXES: usize = prefixes::MOST;
}

/// Part of the outside transport addresses of an engine. Port 0 is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool4 {
    /// The address.
    pub address: Ipv4Addr,
    /// Its ports, or identifiers of ICMP.
    pub ports: RangeInclusive<u16>,
    /// Whose ports; without, those of every protocol.
    pub protocol: Option<Protocol>,
}

impl Pool4 {
    /// These ports of an address, for every protocol.
    pub const fn new(address: Ipv4Addr, ports: RangeInclusive<u16>) -> Self {
        Self { address, ports, protocol: None }
    }

    /// Whether they are ports of a protocol.
    pub(crate) fn is_for(&self, protocol: Protocol) -> bool {
        self.protocol.is_none_or(|only| only == protocol)
    }
}

/// Where the ICMPv4 errors to the outside come from: those the engine makes, and those of routers inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ErrorSource4 {
    /// The pool4 address that was spoken to, which is an address the outside knows.
    #[default]
    SpokenTo,
    /// `address4`, where the kernel lets it pass, for those the engine makes; the others as above.
    Address4,
    /// One of these for every router, and one for the engine (RFC 6791). The router's IPv6 address goes with the error
    /// where it can have extensions (RFC 5837). None is [`SpokenTo`](Self::SpokenTo).
    ///
    /// RFC 6791 §3.1: private addresses are lost where sources are checked.
    Pool(Vec<Ipv4Addr>),
}

/// What becomes of the eight bits that IPv4 calls TOS and IPv6 traffic class, when a packet is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficClass {
    kept: u8,
    set: u8,
}

impl TrafficClass {
    /// They are copied, congestion included.
    pub const COPIED: Self = Self { kept: 0xff, set: 0 };

    /// They are ignored, congestion included: this stands in their place.
    pub const fn always(class: u8) -> Self {
        Self { kept: 0, set: class }
    }

    #[inline(always)]
    pub(crate) const fn of(self, class: u8) -> u8 {
        class & self.kept | self.set
    }
}

impl Default for TrafficClass {
    fn default() -> Self {
        Self::COPIED
    }
}

/// Whether the engine makes ICMP errors (RFC 7915 §4.4, §5.4). Those of others are translated either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnErrors {
    /// It does, at a limited rate for each receiver.
    #[default]
    Limited,
    /// It makes none. Whoever sends what is too long for the next link does not hear of it.
    Off,
}

/// What becomes of UDP over IPv4 without checksum on its way to IPv6 (RFC 7915 §4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UdpWithoutChecksum {
    /// It gets one.
    #[default]
    Computed,
    /// It is dropped, and leaves an [`Event`](crate::Event) where those are collected.
    Dropped,
}

/// Whether a client keeps to one address of pool4 (RFC 7857 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// It does: when that has no ports left, new mappings of the client are refused.
    #[default]
    Paired,
    /// As long as that has ports, and then it gets those of another ("soft-APP").
    SoftlyPaired,
}

/// Who may send to a mapping (RFC 4787 §5, RFC 6146 §3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filtering {
    /// Anybody: the choice of RFC 4787 REQ-8 where application transparency matters most.
    #[default]
    EndpointIndependent,
    /// Only addresses the inside endpoint has spoken to, from any of their ports.
    AddressDependent,
}

/// What becomes of a packet from inside to pool4 (RFC 6146 §3.8, RFC 4787 REQ-9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hairpinning {
    /// It goes to whom the outside endpoint belongs, from the outside endpoint of its sender.
    #[default]
    On,
    /// It is refused.
    Off,
}

/// What becomes of the maximum segment size in a SYN (RFC 9293 §3.7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MssClamping {
    /// It is lowered to what the links of both sides carry: connections work also where ICMP is filtered.
    #[default]
    On,
    /// It stays as it is.
    Off,
}

/// What becomes of packets from outside that no mapping or filter lets in.
///
/// RFC 6146 §3.5 leaves answers to whoever runs the translator. A gateway that faces the internet does not help those
/// who look for open ports, nor those who send with the addresses of others; so only SYNs are answered by default, and
/// late, as RFC 5382 REQ-4 asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsolicited {
    /// Nothing is held or answered (RFC 5382 REQ-4 a).
    Silent,
    /// A SYN waits for one from inside, and is answered with port unreachable if none comes; the rest is dropped
    /// silently.
    #[default]
    HoldSyns,
    /// As above; and datagrams and echoes hear that port or address are unreachable, or that they are filtered. That holds
    /// for all ports of an address: this is for addresses that nobody else has a part of.
    Answer,
}

/// Whose packets make the clock of a UDP or ICMP session start again (RFC 4787 REQ-6). Those from inside always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refresh {
    /// Those of both sides, as RFC 6146 §3.5.1 has it.
    #[default]
    BothSides,
    /// Those from inside only: nobody outside can keep a mapping open.
    InsideOnly,
}

/// Whether the engine keeps [`Event`](crate::Event)s for its caller (RFC 6888 REQ-12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventLog {
    /// BIB entries come and go unseen.
    #[default]
    Off,
    /// Every BIB entry leaves two events.
    On,
}

/// Bounds of the tables. What would exceed one is a counted drop.
///
/// A peer is an inside /64 or a single inside IPv4 address. Sessions that the outside starts may take half of the
/// sessions there are, in total and of each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// BIB entries of all protocols together.
    pub bib_entries: u32,
    /// Sessions of all protocols together.
    pub sessions: u32,
    /// BIB entries of one peer, all protocols together.
    pub bib_entries_per_peer: u32,
    /// Sessions of one peer, all protocols together.
    pub sessions_per_peer: u32,
    /// Sessions that one peer may start in a second (RFC 6888 REQ-4), once it has started those it may start at once.
    pub new_flows_per_second: u32,
    /// Sessions that one peer may start at once.
    pub new_flows_at_once: u32,
    /// What waits for the rest of its datagram.
    pub reassembly: Reassembly,
}

/// Bounds of the fragments that wait, in each of the two directions.
///
/// A source is an inside /64 or a single IPv4 address, or rather all of those that share one of 256 hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reassembly {
    /// Bytes of all fragments, what it takes to keep them included.
    pub bytes: u32,
    /// The same of one source.
    pub bytes_per_source: u32,
    /// Datagrams that are not whole.
    pub datagrams: u32,
    /// The same of one source.
    pub datagrams_per_source: u32,
    /// Fragments of one datagram.
    pub fragments_per_datagram: u32,
    /// How long a datagram of IPv4 may take; 2 seconds at least (FRAGMENT_MIN, RFC 6146 §4) and 120 at most (RFC 1122
    /// §3.3.2).
    pub time4: Duration,
    /// How long a datagram of IPv6 may take; 2 seconds at least and 60 at most (RFC 8200 §4.5).
    pub time6: Duration,
}

impl Reassembly {
    /// The bytes are Linux' `ipfrag_high_thresh`. 64 KiB in 256 fragments is what a link of 296 bytes makes of them (RFC
    /// 1191's second smallest). The times are those of RFC 791 §3.2 and RFC 8200 §4.5.
    pub const DEFAULT: Self = Self {
        bytes: 4 << 20,
        bytes_per_source: 1 << 20,
        datagrams: 4096,
        datagrams_per_source: 1024,
        fragments_per_datagram: 256,
        time4: Duration::from_secs(15),
        time6: Duration::from_secs(60),
    };
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Default for Limits {
    /// A BIB entry with a session was measured at 112 bytes: full tables cost some 45 MiB. A peer may take a quarter of
    /// the ports of one pool4 address, its share when four are busy, and far more than a server's software opens. At
    /// 1,000 flows a second a peer still reaches all it may have.
    fn default() -> Self {
        Self {
            bib_entries: 1 << 18,
            sessions: 1 << 19,
            bib_entries_per_peer: 1 << 14,
            sessions_per_peer: 1 << 16,
            new_flows_per_second: 1_000,
            new_flows_at_once: 1 << 13,
            reassembly: Reassembly::DEFAULT,
        }
    }
}

impl Config {
    /// The traffic class of what a packet becomes. Where the family stays, it stays.
    pub(crate) fn traffic_class(&self, network: &Network, after: Family) -> u8 {
        match (network.family, after) {
            (Family::V4, Family::V6) => self.traffic_class.of(network.traffic_class),
            (Family::V6, Family::V4) => self.tos.of(network.traffic_class),
            (Family::V4, Family::V4) | (Family::V6, Family::V6) => network.traffic_class,
        }
    }

    /// The nearest configuration that the protocols allow.
    pub(crate) fn possible(self) -> Self {
        let lifetimes = self.lifetimes.possible();
        // RFC 8200 §5 and RFC 791 §3.2: every link carries this much.
        let (mtu6, mtu4) = (self.mtu6.max(1280), self.mtu4.max(68));
        Self { mtu6, mtu4, lowest_ipv6_mtu: self.lowest_ipv6_mtu.clamp(1280, mtu6), lifetimes, ..self }
    }
}

impl Default for Config {
    /// The defaults of a gateway, without any pool4: nothing is translated until there is one.
    fn default() -> Self {
        Self {
            pool6: vec![Pool6::default()],
            pool4: Vec::new(),
            ipv4_peers: Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 16),
            address6: Ipv6Addr::new(0xfd64, 0xff9b, 0, 0, 0, 0, 0, 1),
            address4: Ipv4Addr::new(198, 18, 0, 1),
            error_source4: ErrorSource4::default(),
            mtu6: 1412,
            mtu4: 1500,
            lowest_ipv6_mtu: 1280,
            own_addresses: Vec::new(),
            allow: Vec::new(),
            denied_ports: Vec::new(),
            filtering: Filtering::default(),
            hairpinning: Hairpinning::default(),
            traffic_class: TrafficClass::COPIED,
            tos: TrafficClass::COPIED,
            own_errors: OwnErrors::default(),
            udp_without_checksum: UdpWithoutChecksum::default(),
            pooling: Pooling::default(),
            clamp_mss: MssClamping::default(),
            unsolicited: Unsolicited::default(),
            refresh: Refresh::default(),
            lifetimes: Lifetimes::default(),
            event_log: EventLog::default(),
            limits: Limits::default(),
        }
    }
}
