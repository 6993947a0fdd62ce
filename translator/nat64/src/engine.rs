//! The engine: this file, `fragmented` and `hairpin` alone know the order of the steps.
//!
//! From inside: header and source, policy, transport, size, state (filtering and updating BIB and sessions),
//! translation (RFC 6146 §3.4 to §3.7). From outside: the same with pool4 in place of the policy. A packet is untouched
//! until all that may refuse it has spoken, so that an ICMP error can quote it.

mod ahead;
mod answers;
mod checksum;
mod fragmented;
mod hairpin;
mod hit;
mod mappings;
mod plain;

use std::time::Instant;

use ipnet::IpNet;
use packet::{Checksum, Family, Packet};

use crate::arrival::{self, FromInside, FromOutside};
use crate::bib::BibEntry;
use crate::drop::Refusal;
use crate::fragments::Store;
use crate::hash::SipKey;
use crate::identification::{self, Identifications};
use crate::network::Network;
use crate::policy::{Policy, Way};
use crate::reply::{RateLimit, Reply};
use crate::state::{Expired, State};
use crate::timers::{Clock, Tick};
use crate::transmit::TransmitQueue;
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo, Transport};
use crate::xlat::fragment::{Cutting, Train, fragments};
use crate::xlat::transport::Port;
use crate::xlat::{Addresses, NewHeader, translate};
use crate::xlat::{mss, size};
use crate::{
    Config, DropReason, MssClamping, Side, Stats, TableSizes, Transmit, Verdict, icmp_error, icmp_query, pool4, probe,
    tcp, udp,
};

/// Sessions that one call of [`Engine::handle_timeout`] looks at, so that it takes less than a millisecond.
const EXPIRED_AT_ONCE: usize = 256;

/// The NAT64 engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    policy: Policy,
    state: State,
    /// By the side they come from.
    fragments: [Store; 2],
    clock: Clock,
    identifications: Identifications,
    error_rate: RateLimit,
    error_source_key: SipKey,
    transmit: TransmitQueue,
    stats: Stats,
}

impl Engine {
    /// An engine with empty tables. The seed must be unpredictable: ports and hash tables depend on it.
    ///
    /// MTUs below what the protocols guarantee (1280 and 68 bytes) and lifetimes below the minima of the RFCs are taken
    /// as those, and `lowest_ipv6_mtu` as at most `mtu6`.
    pub fn new(config: Config, seed: [u8; 32], now: Instant) -> Self {
        let config = config.possible();
        Self {
            policy: Policy::new(&config),
            state: State::new(&config, &seed),
            fragments: [5, 6].map(|purpose| Store::new(SipKey::from_seed(&seed, purpose), config.limits.reassembly)),
            config,
            clock: Clock::new(now),
            identifications: Identifications::new(SipKey::from_seed(&seed, 3)),
            error_rate: RateLimit::new(SipKey::from_seed(&seed, 4)),
            error_source_key: SipKey::from_seed(&seed, 7),
            transmit: TransmitQueue::default(),
            stats: Stats::default(),
        }
    }

    /// Takes a packet from a peer: IPv6 towards pool6, or IPv4.
    ///
    /// On [`Verdict::Forward`] the packet is what is to be sent to the outside. Whether its source may use that address
    /// at all is the caller's to know. Collect [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn handle_inside(&mut self, now: Instant, packet: &mut Packet<'_>) -> Verdict {
        let now = self.clock.tick(now);
        if self.hit_inside(now, packet).is_some() {
            return Verdict::Forward;
        }
        match self.take_inside(now, packet) {
            Ok(verdict) => verdict,
            Err(refusal) => self.refuse(now, Side::Inside, packet, refusal),
        }
    }

    /// Takes an IPv4 packet to pool4.
    ///
    /// On [`Verdict::Forward`] the packet is what is to be sent to the inside; its destination says to which peer.
    /// Collect [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn handle_outside(&mut self, now: Instant, packet: &mut Packet<'_>) -> Verdict {
        let now = self.clock.tick(now);
        if self.hit_outside(now, packet).is_some() {
            return Verdict::Forward;
        }
        match self.take_outside(now, packet) {
            Ok(verdict) => verdict,
            Err(refusal) => self.refuse(now, Side::Outside, packet, refusal),
        }
    }

    /// The next packet the engine made itself: an ICMP error, a fragment behind the first, a probe.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop()
    }

    /// Lets time pass: sessions, held SYNs and fragments of datagrams that are not whole expire. Call it again while
    /// [`poll_timeout`](Self::poll_timeout) lies in the past.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock.tick(now);
        for _ in 0..EXPIRED_AT_ONCE {
            match self.state.expire(now) {
                Some(Expired::Session) => {}
                Some(Expired::Syn(side, syn)) => self.answer(now, side, &syn, Reply::PortUnreachable),
                Some(Expired::Probe { to, from }) => {
                    let bytes = probe::probe(&self.policy.prefixes, to, from);
                    // Without the probe the connection has TCP_TRANS left to speak by itself.
                    let _ = self.transmit.push(Side::Inside, bytes);
                }
                None if self.expire_fragments(now) => {}
                None => return,
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) next has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of_fragments = self.fragments.iter().filter_map(Store::next_expiry);
        of_fragments.chain(self.state.next_due()).min().map(|tick| self.clock.instant(tick))
    }

    /// Changes the configuration. Sessions stay that the new one would allow, and mappings made by hand as long as their
    /// outside endpoint lies in pool4 and their inside endpoint can be a peer's.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        self.clock.tick(now);
        let config = config.possible();
        let before = std::mem::replace(&mut self.policy, Policy::new(&config)).prefixes;
        let prefixes_are_others = config.pool6 != self.config.pool6;
        self.config = config;
        let (policy, config) = (&self.policy, &self.config);
        let may_stay = |protocol: Protocol, mapping: &BibEntry| {
            policy.may_be_inside(config, mapping.inner) && pool4::covers(&config.pool4, protocol, mapping.outer)
        };
        let prefix_now = |prefix| before.index_among(prefix, &policy.prefixes);
        self.state.retain(|protocol, mapping, session| {
            may_stay(protocol, mapping)
                && (!prefixes_are_others || mapping.inner.ipv4().is_some() || prefix_now(session.prefix).is_some())
                && policy.destination(session.remote.address).is_ok()
                && policy.port(Some((protocol, session.remote.port))).is_ok()
        });
        self.state.retain_static(may_stay);
        if prefixes_are_others {
            self.state.change_prefixes(prefix_now);
        }
        self.state.reconfigure(config);
        self.fragments.iter_mut().for_each(|store| store.reconfigure(config.limits.reassembly));
    }

    /// A peer left: its BIB entries and sessions go, those made by hand too. IPv4 peers are meant by IPv4 prefixes.
    pub fn forget_inside(&mut self, prefix: IpNet) {
        let stays = |mapping: &BibEntry| match (prefix, mapping.inner.ipv4()) {
            (IpNet::V4(prefix), Some(address)) => !prefix.contains(&address),
            (IpNet::V6(prefix), None) => !prefix.contains(&mapping.inner.address),
            (IpNet::V4(_), None) | (IpNet::V6(_), Some(_)) => true,
        };
        self.state.retain(|_, mapping, _| stays(mapping));
        self.state.retain_static(|_, mapping| stays(mapping));
    }

    /// Counters since the engine was made.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How full the tables are.
    pub fn table_sizes(&self) -> TableSizes {
        let [tcp, udp, icmp] = Protocol::ALL.map(|protocol| self.state.size(protocol));
        TableSizes { tcp, udp, icmp }
    }

    fn take_inside(&mut self, now: Tick, packet: &mut Packet<'_>) -> Result<Verdict, Refusal> {
        let arrival = arrival::from_inside(&self.config, &self.policy, packet.bytes())?;
        let way = self.policy.destination(arrival.destination)?;
        if arrival.network.is_fragment {
            return self.take_fragment(now, Side::Inside, packet, &arrival.network);
        }
        match self.send_outside(now, packet, (&arrival, way), None)? {
            Passed::AsItIs => Ok(Verdict::Forward),
            Passed::ToBeCut(cutting) => self.deliver(packet, Side::Outside, fragments(packet, cutting, None)?),
            Passed::Taken => Ok(Verdict::Taken),
        }
    }

    fn take_outside(&mut self, now: Tick, packet: &mut Packet<'_>) -> Result<Verdict, Refusal> {
        let arrival = arrival::from_outside(self.state.pool(), packet.bytes())?;
        if arrival.network.is_fragment {
            return self.take_fragment(now, Side::Outside, packet, &arrival.network);
        }
        match self.send_inside(now, packet, &arrival, None)? {
            Passed::AsItIs => Ok(Verdict::Forward),
            Passed::ToBeCut(cutting) => self.deliver(packet, Side::Inside, fragments(packet, cutting, None)?),
            Passed::Taken => Ok(Verdict::Taken),
        }
    }

    /// Translates a whole packet from inside, which may have come as a train of fragments.
    ///
    /// Inlined, because whole packets must not pay for the second caller.
    #[inline(always)]
    fn send_outside(
        &mut self,
        now: Tick,
        packet: &mut Packet<'_>,
        (arrival, way): (&FromInside, Way),
        train: Option<&Train>,
    ) -> Result<Passed, Refusal> {
        let FromInside { network, destination, .. } = arrival;
        let transport = read_transport(packet, network, train)?;
        self.policy.port(transport.destination())?;
        if way == Way::Hairpin {
            return self.hairpin(now, packet, (arrival, &transport), train);
        }
        if transport == Transport::IcmpError {
            // An error becomes no longer than what may be fragmented.
            let carried = identification::carried(network, None, 0);
            let identification = carried.unwrap_or_else(|| self.identifications.take(*destination, 1));
            let new = (identification, self.pooled_error_source4(arrival.source));
            icmp_error::outgoing(&self.state, (&self.config, &self.policy), packet, arrival, new)?;
            self.stats.outgoing.count(1, packet.len());
            return Ok(Passed::AsItIs);
        }
        let wire_len = size::on_the_wire(packet, network, &transport, Family::V4);
        let mtu = self.config.mtu4;
        let fit = match train {
            None => size::fit(network, wire_len, Family::V4, mtu)?,
            Some(train) => size::fit_train(network, train, Family::V4, mtu)?,
        };
        let outer = self.mapping_for(now, arrival, &transport)?;
        let packets = size::packets(packet, network, &transport);
        let carried = identification::carried(network, train, wire_len);
        let identification = carried.unwrap_or_else(|| self.identifications.take(*destination, packets));
        let addresses = Addresses::V4 { source: outer.address, destination: *destination };
        let new = NewHeader { traffic_class: self.config.traffic_class(network, Family::V4), identification, wire_len };
        translate(packet, network, &transport, (addresses, Port::Source(outer.port)), new)?;
        self.clamp_mss(packet, network, &transport, network.family);
        self.stats.outgoing.count(packets, packet.len());
        Ok(Passed::translated(fit.cutting(mtu, identification)))
    }

    /// Translates a whole packet from outside, as [`send_outside`](Self::send_outside) does one from inside.
    #[inline(always)]
    fn send_inside(
        &mut self,
        now: Tick,
        packet: &mut Packet<'_>,
        arrival: &FromOutside,
        train: Option<&Train>,
    ) -> Result<Passed, Refusal> {
        let FromOutside { network, source, .. } = arrival;
        let transport = read_transport(packet, network, train)?;
        self.policy.source(*source, &transport)?;
        if transport == Transport::IcmpError {
            icmp_error::incoming(&self.state, (&self.config, &self.policy), packet, arrival)?;
            self.stats.incoming.count(1, packet.len());
            return Ok(Passed::AsItIs);
        }
        if !self.policy.may_be_shown(*source) && self.is_for_ipv6(arrival, &transport) {
            return Err(DropReason::IllegalSource.into());
        }
        let Receiver { inner, prefix } = match self.mapped_by(now, arrival, &transport) {
            Ok(receiver) => receiver,
            Err(reason) => return self.unsolicited(now, (Side::Outside, packet), arrival, (&transport, reason)),
        };
        let addresses = match inner.ipv4() {
            Some(peer) => Addresses::V4 { source: *source, destination: peer },
            None => Addresses::V6 { source: self.policy.prefixes.embed(prefix, *source), destination: inner.address },
        };
        self.check_checksum(packet, arrival, &transport, addresses.family())?;
        let wire_len = size::on_the_wire(packet, network, &transport, addresses.family());
        let mtu = size::mtu_inside(&self.config, network, addresses.family());
        let fit = match train {
            None => size::fit(network, wire_len, addresses.family(), mtu)?,
            Some(train) => size::fit_train(network, train, addresses.family(), mtu)?,
        };
        let packets = size::packets(packet, network, &transport);
        let identification = network.identification;
        let traffic_class = self.config.traffic_class(network, addresses.family());
        let new = NewHeader { traffic_class, identification, wire_len };
        translate(packet, network, &transport, (addresses, Port::Destination(inner.port)), new)?;
        self.clamp_mss(packet, network, &transport, addresses.family());
        self.stats.incoming.count(packets, packet.len());
        Ok(Passed::translated(fit.cutting(mtu, identification)))
    }

    /// Whether an outside endpoint is that of a peer that speaks IPv6.
    fn is_for_ipv6(&self, arrival: &FromOutside, transport: &Transport) -> bool {
        let outer = Outer { address: arrival.destination, port: transport.port_outside() };
        let mapping = transport.protocol().and_then(|protocol| self.state.mapping_of(protocol, outer));
        mapping.is_some_and(|mapping| mapping.inner.ipv4().is_none())
    }

    /// Makes what a SYN announces fit the links of both sides. `network` is that of the packet before its translation.
    #[inline(always)]
    fn clamp_mss(&self, packet: &mut Packet<'_>, network: &Network, transport: &Transport, inside: Family) {
        if transport.is_syn() && self.config.clamp_mss == MssClamping::On {
            let transport_at = packet.len() - (network.len - network.transport_at);
            let checksum = packet.offload.checksum;
            let most = mss::largest_segment(&self.config, inside);
            mss::clamp(&mut packet.bytes_mut()[transport_at..], transport, most, checksum);
        }
    }

    /// RFC 6146 §3.5: the outside endpoint of a packet from inside.
    fn mapping_for(&mut self, now: Tick, arrival: &FromInside, transport: &Transport) -> Result<Outer, Refusal> {
        let inner = |port| Inner { address: arrival.source, port };
        let to = |port| SpokenTo { remote: Remote { address: arrival.destination, port }, prefix: arrival.prefix };
        match *transport {
            Transport::Tcp { source, destination, flags, .. } => {
                tcp::outgoing(&mut self.state, now, inner(source), to(destination), flags)
            }
            Transport::Udp { source, destination } => {
                udp::outgoing(&mut self.state, now, inner(source), to(destination))
            }
            Transport::Echo { kind, identifier } => {
                icmp_query::outgoing(&mut self.state, now, inner(identifier), to(0), kind)
            }
            Transport::IcmpError => Err(DropReason::IcmpNotTranslated.into()),
        }
    }

    /// RFC 6146 §3.5: the inside endpoint of a packet from outside.
    fn mapped_by(&mut self, now: Tick, arrival: &FromOutside, transport: &Transport) -> Result<Receiver, DropReason> {
        let outer = |port| Outer { address: arrival.destination, port };
        let remote = |port| Remote { address: arrival.source, port };
        match *transport {
            Transport::Tcp { source, destination, flags, .. } => {
                tcp::incoming(&mut self.state, now, outer(destination), remote(source), flags)
            }
            Transport::Udp { source, destination } => {
                udp::incoming(&mut self.state, now, outer(destination), remote(source))
            }
            Transport::Echo { identifier, .. } => {
                icmp_query::incoming(&mut self.state, now, outer(identifier), remote(0))
            }
            Transport::IcmpError => Err(DropReason::IcmpNotTranslated),
        }
    }
}

/// What became of a packet that nothing refuses.
#[derive(Clone, Copy, Debug)]
enum Passed {
    /// It is what is to be sent.
    AsItIs,
    /// It does not fit the next link, or came in fragments.
    ToBeCut(Cutting),
    /// The engine keeps it, or has queued what it became.
    Taken,
}

impl Passed {
    fn translated(cutting: Option<Cutting>) -> Self {
        cutting.map_or(Self::AsItIs, Self::ToBeCut)
    }
}

/// Reads the transport header, and checks that what the device said of it can be true.
fn read_transport(packet: &Packet<'_>, network: &Network, train: Option<&Train>) -> Result<Transport, Refusal> {
    let bytes = packet.bytes().get(network.transport_at..network.len).unwrap_or_default();
    let transport = Transport::read(network.family, network.protocol, bytes)?;
    // No router sends errors that long.
    if transport == Transport::IcmpError && train.is_some() {
        return Err(DropReason::FragmentNotSupported.into());
    }
    let offload = packet.offload;
    let is_possible = match (offload.segments, transport.segmentation()) {
        (Some(segments), Some((kind, _))) => segments.kind == kind && segments.size_bytes > 0,
        (None, Some(_)) => true,
        (Some(_), None) => false,
        (None, None) => offload.checksum == Checksum::Complete,
    };
    if is_possible { Ok(transport) } else { Err(DropReason::OffloadMismatch.into()) }
}
