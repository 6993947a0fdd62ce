//! The way of most packets: whole, without options, small enough, of a session that is there.
//!
//! Whatever is asked here the general path asks too, and answers with a reason; a packet that does not pass is left as
//! it came, for that path. Some of its questions need no asking: whoever has a session has an address that may be, and
//! an outside endpoint that is ours. That both ways lead to the same is a law (tests/it/hits.rs).

use std::net::Ipv4Addr;

use packet::checksum;
use packet::ipv4::{self, Fragmentation};
use packet::{Family, Packet, ipv6, protocol};

use super::Engine;
use super::plain::{Part, Plain4, Plain6, Side};
use crate::prefixes::PrefixIndex;
use crate::timers::Tick;
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote, SpokenTo};
use crate::xlat::transport::Port;

impl Engine {
    /// Translates a packet of a known session from a peer, or leaves it as it is.
    #[inline]
    pub(super) fn hit_inside(&mut self, now: Tick, packet: &mut Packet<'_>) -> Option<()> {
        match Family::of(packet.bytes())? {
            Family::V6 => self.hit_inside6(now, packet),
            Family::V4 => self.hit_inside4(now, packet),
        }
    }

    #[inline]
    fn hit_inside6(&mut self, now: Tick, packet: &mut Packet<'_>) -> Option<()> {
        let (ip, transport) = Plain6::read(packet.bytes())?;
        // One way for each protocol: most of what follows is decided when it is compiled.
        match ip.protocol {
            protocol::UDP => self.send6(now, packet, &ip, Part::udp(transport, packet.offload)?),
            protocol::TCP => self.send6(now, packet, &ip, Part::tcp(transport, packet.offload)?),
            protocol::ICMPV6 => self.send6(now, packet, &ip, Part::echo(Family::V6, transport, packet.offload)?),
            _ => None,
        }
    }

    #[inline(always)]
    fn send6(&mut self, now: Tick, packet: &mut Packet<'_>, ip: &Plain6, part: Part) -> Option<()> {
        let (destination, prefix) = self.policy.prefixes.extract(ip.destination)?;
        let wire_len = ipv4::HEADER_LEN + part.longest;
        let inner = Inner { address: ip.source, port: part.source };
        let remote = self.welcome(&part, destination, wire_len)?;
        let outer = self.state.hit_from_inside(now, part.protocol, &inner, SpokenTo { remote, prefix })?;
        let fragmentation = Fragmentation::for_translated(wire_len);
        let header = ipv4::Header {
            traffic_class: self.config.tos.of(ip.traffic_class),
            total_len: (packet.len() - (ipv6::HEADER_LEN - ipv4::HEADER_LEN)) as u16,
            identification: match fragmentation {
                Fragmentation::Never => 0,
                Fragmentation::Allowed | Fragmentation::Part { .. } => {
                    self.identifications.take(destination, part.packets)
                }
            },
            fragmentation,
            ttl: ip.hop_limit - 1,
            protocol: if part.protocol == Protocol::Icmp { protocol::ICMPV4 } else { ip.protocol },
            source: outer.address,
            destination,
        };
        let after = Side { family: Family::V4, addresses: checksum::addresses4(outer.address, destination) };
        packet.shrink_front(ipv6::HEADER_LEN - ipv4::HEADER_LEN);
        let (checksum, len) = (packet.offload.checksum, packet.len());
        let (place, transport) = packet.bytes_mut().split_first_chunk_mut()?;
        *place = header.to_bytes();
        part.rewrite(transport, checksum, Port::Source(outer.port), (ip.side, after));
        self.stats.outgoing.count(part.packets, len);
        Some(())
    }

    #[inline]
    fn hit_inside4(&mut self, now: Tick, packet: &mut Packet<'_>) -> Option<()> {
        let (ip, transport) = Plain4::read(packet.bytes())?;
        match ip.protocol {
            protocol::UDP => self.send4(now, packet, &ip, Part::udp(transport, packet.offload)?),
            protocol::TCP => self.send4(now, packet, &ip, Part::tcp(transport, packet.offload)?),
            protocol::ICMPV4 => self.send4(now, packet, &ip, Part::echo(Family::V4, transport, packet.offload)?),
            _ => None,
        }
    }

    #[inline(always)]
    fn send4(&mut self, now: Tick, packet: &mut Packet<'_>, ip: &Plain4, part: Part) -> Option<()> {
        let inner = Inner { address: ip.source.to_ipv6_mapped(), port: part.source };
        let remote = self.welcome(&part, ip.destination, ipv4::HEADER_LEN + part.longest)?;
        let to = SpokenTo { remote, prefix: PrefixIndex::FIRST };
        let outer = self.state.hit_from_inside(now, part.protocol, &inner, to)?;
        let identification = match ip.dont_fragment {
            true => ip.identification,
            false => self.identifications.take(ip.destination, part.packets),
        };
        let (checksum, len) = (packet.offload.checksum, packet.len());
        let (place, transport) = packet.bytes_mut().split_first_chunk_mut()?;
        let after = ip.readdress(place, (outer.address, ip.destination), identification);
        part.rewrite(transport, checksum, Port::Source(outer.port), (ip.side, after));
        self.stats.outgoing.count(part.packets, len);
        Some(())
    }

    /// The remote of a packet from inside, if nothing speaks against sending to it.
    #[inline(always)]
    fn welcome(&self, part: &Part, destination: Ipv4Addr, wire_len: usize) -> Option<Remote> {
        let port = if part.protocol == Protocol::Icmp { 0 } else { part.destination };
        let is_welcome = self.policy.is_plain_destination(destination)
            && self.policy.is_open(part.protocol, port)
            && wire_len <= usize::from(self.config.mtu4);
        is_welcome.then_some(Remote { address: destination, port })
    }

    /// Translates a packet of a known session from outside, or leaves it as it is.
    #[inline]
    pub(super) fn hit_outside(&mut self, now: Tick, packet: &mut Packet<'_>) -> Option<()> {
        let has_room = packet.headroom() >= ipv6::HEADER_LEN - ipv4::HEADER_LEN;
        let (ip, transport) = Plain4::read(packet.bytes())?;
        if !has_room || !self.policy.is_plain_source(ip.source) {
            return None;
        }
        match ip.protocol {
            protocol::UDP => self.admit(now, packet, &ip, Part::udp(transport, packet.offload)?),
            protocol::TCP => self.admit(now, packet, &ip, Part::tcp(transport, packet.offload)?),
            protocol::ICMPV4 => self.admit(now, packet, &ip, Part::echo(Family::V4, transport, packet.offload)?),
            _ => None,
        }
    }

    #[inline(always)]
    fn admit(&mut self, now: Tick, packet: &mut Packet<'_>, ip: &Plain4, part: Part) -> Option<()> {
        let outer = Outer { address: ip.destination, port: part.destination };
        let remote = Remote { address: ip.source, port: if part.protocol == Protocol::Icmp { 0 } else { part.source } };
        let hit = self.state.known_from_outside(part.protocol, outer, remote)?;
        let receiver = hit.receiver;
        let peer = receiver.inner.ipv4();
        if !self.fits_inside(peer, ip, &part) {
            return None;
        }
        self.state.keep_from_outside(now, part.protocol, &hit);
        let len = match peer {
            None => self.write6(packet, receiver, (ip, &part))?,
            Some(peer) => {
                let (checksum, len) = (packet.offload.checksum, packet.len());
                let (place, transport) = packet.bytes_mut().split_first_chunk_mut()?;
                let after = ip.readdress(place, (ip.source, peer), ip.identification);
                let port = Port::Destination(receiver.inner.port);
                part.rewrite(transport, checksum, port, (ip.side, after));
                len
            }
        };
        self.stats.incoming.count(part.packets, len);
        Some(())
    }

    #[inline(always)]
    fn write6(&self, packet: &mut Packet<'_>, to: Receiver, (ip, part): (&Plain4, &Part)) -> Option<usize> {
        let source = self.policy.prefixes.embed(to.prefix, ip.source);
        let header = ipv6::Header {
            traffic_class: self.config.traffic_class.of(ip.traffic_class),
            payload_len: (packet.len() - ipv4::HEADER_LEN) as u16,
            next_header: if part.protocol == Protocol::Icmp { protocol::ICMPV6 } else { ip.protocol },
            hop_limit: ip.hop_limit - 1,
            source,
            destination: to.inner.address,
        };
        let after = Side { family: Family::V6, addresses: checksum::addresses6(source, to.inner.address) };
        packet.grow_front(ipv6::HEADER_LEN - ipv4::HEADER_LEN).ok()?;
        let (checksum, len) = (packet.offload.checksum, packet.len());
        let (place, transport) = packet.bytes_mut().split_first_chunk_mut()?;
        *place = header.to_bytes();
        part.rewrite(transport, checksum, Port::Destination(to.inner.port), (ip.side, after));
        Some(len)
    }

    /// Whether a packet is small enough for the link to a peer that speaks IPv4, or to one that does not.
    #[inline(always)]
    fn fits_inside(&self, peer: Option<Ipv4Addr>, ip: &Plain4, part: &Part) -> bool {
        let (header_len, mtu) = match peer {
            Some(_) => (ipv4::HEADER_LEN, self.config.mtu6),
            None if ip.dont_fragment => (ipv6::HEADER_LEN, self.config.mtu6),
            None => (ipv6::HEADER_LEN, self.config.lowest_ipv6_mtu),
        };
        header_len + part.longest <= usize::from(mtu)
    }
}
