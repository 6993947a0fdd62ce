//! ICMP errors (RFC 6146 §3.4, §3.6.1): they pass if they quote a packet of a mapping, from whom may answer to it, and
//! change nothing (RFC 5382 REQ-10).

use std::net::Ipv4Addr;

use packet::icmp::Icmp;
use packet::{Checksum, Family, Packet};

use crate::arrival::{FromInside, FromOutside};
use crate::bib::BibIndex;
use crate::network::Network;
use crate::policy::Policy;
use crate::reply::{LONGEST_ERROR4, LONGEST_ERROR6};
use crate::state::{Found, State};
use crate::tuple::{Inner, Outer, Protocol, Receiver, Remote};
use crate::xlat::Addresses;
use crate::xlat::icmp::Mtus;
use crate::xlat::icmp_error::{NewError, Quote, translate};
use crate::xlat::transport::{Port, icmp_checksum_is_right};
use crate::{Config, DropReason};

/// Turns an error from a peer, or from any router on the way to it, into one from pool4 to the remote.
///
/// What a router says may be given another source (RFC 6791); then its own address goes with it.
pub(crate) fn outgoing(
    state: &State,
    (config, policy): (&Config, &Policy),
    packet: &mut Packet<'_>,
    arrival: &FromInside,
    (identification, router4): (u16, Option<Ipv4Addr>),
) -> Result<(), DropReason> {
    let (message, quote) = read(packet, &arrival.network)?;
    let (source, inner) = match quote.addresses {
        Addresses::V4 { source, destination } => (Some(source), destination.to_ipv6_mapped()),
        Addresses::V6 { source, destination } => {
            (policy.prefixes.extract(source).map(|(source, _)| source), destination)
        }
    };
    // An error goes to whom it is about.
    let source = source.filter(|source| *source == arrival.destination).ok_or(DropReason::IcmpErrorWithoutSession)?;
    let inner = Inner { address: inner, port: quote.ports.1 };
    let remote = remote_of(&quote, Remote { address: source, port: quote.ports.0 });
    let found = state.search_outgoing(quote.protocol, inner, remote);
    let bib = mapping((state, policy), quote.protocol, remote, found)?;
    let outer = state.mapping(quote.protocol, bib).outer;
    // A peer has an address outside, and an IPv4 router one that NAT44 hides.
    let router4 = router4.filter(|_| arrival.source != inner.address && inner.ipv4().is_none());
    let new = NewError {
        addresses: Addresses::V4 { source: router4.unwrap_or(outer.address), destination: source },
        router: router4.map(|_| arrival.source),
        traffic_class: config.traffic_class(&arrival.network, Family::V4),
        hop_limit: arrival.network.next_hop_limit(),
        quoted: Addresses::V4 { source, destination: outer.address },
        port: Port::Destination(outer.port),
        // RFC 7915 §5.1: an ICMPv4 error is never so long that DF would be set for it.
        identification: Some(identification),
        longest: LONGEST_ERROR4.min(packet.capacity()),
    };
    let bytes = translate(message, &quote, &new, mtus(config))?;
    packet.replace(&bytes).map_err(|_| DropReason::NoHeadroom)
}

/// Turns an error from the IPv4 internet into one to the peer whose packet it quotes.
pub(crate) fn incoming(
    state: &State,
    (config, policy): (&Config, &Policy),
    packet: &mut Packet<'_>,
    arrival: &FromOutside,
) -> Result<(), DropReason> {
    let (message, quote) = read(packet, &arrival.network)?;
    let Addresses::V4 { source, destination } = quote.addresses else { return Err(DropReason::Malformed) };
    if source != arrival.destination {
        return Err(DropReason::IcmpErrorWithoutSession);
    }
    let outer = Outer { address: source, port: quote.ports.0 };
    let remote = remote_of(&quote, Remote { address: destination, port: quote.ports.1 });
    let found = state.search_incoming(quote.protocol, outer, remote);
    let bib = mapping((state, policy), quote.protocol, remote, found)?;
    let Receiver { inner, prefix } = state.receiver(quote.protocol, bib, found.session);
    let (addresses, quoted, longest) = match inner.ipv4() {
        Some(peer) => (
            Addresses::V4 { source: arrival.source, destination: peer },
            Addresses::V4 { source: peer, destination },
            LONGEST_ERROR4,
        ),
        None => (
            Addresses::V6 { source: policy.prefixes.embed(prefix, arrival.source), destination: inner.address },
            Addresses::V6 { source: inner.address, destination: policy.prefixes.embed(prefix, destination) },
            LONGEST_ERROR6,
        ),
    };
    let new = NewError {
        addresses,
        traffic_class: config.traffic_class(&arrival.network, addresses.family()),
        hop_limit: arrival.network.next_hop_limit(),
        quoted,
        router: None,
        port: Port::Source(inner.port),
        identification: (!arrival.network.dont_fragment).then_some(arrival.network.identification),
        longest: longest.min(packet.capacity()),
    };
    let bytes = translate(message, &quote, &new, mtus(config))?;
    packet.replace(&bytes).map_err(|_| DropReason::NoHeadroom)
}

/// The mapping that a quoted packet used. RFC 6146 §3.6.1 asks for no session: a segment without one passes too, and what
/// it meets should be heard of. Filtering and policy hold all the same.
fn mapping(
    (state, policy): (&State, &Policy),
    protocol: Protocol,
    remote: Remote,
    found: Found,
) -> Result<BibIndex, DropReason> {
    let bib = found.bib.ok_or(DropReason::IcmpErrorWithoutSession)?;
    let may_have_passed = || policy.destination(remote.address).is_ok() && state.filter_admits(protocol, bib, remote);
    let passes = found.session.is_some() || may_have_passed();
    if passes { Ok(bib) } else { Err(DropReason::IcmpErrorWithoutSession) }
}

/// Reads an error and what it quotes.
fn read<'p>(packet: &'p Packet<'_>, network: &Network) -> Result<(Icmp<'p>, Quote<'p>), DropReason> {
    let bytes = packet.bytes().get(network.transport_at..network.len).unwrap_or_default();
    let is_right = icmp_checksum_is_right(bytes, Addresses::of(packet.bytes(), network.family)?);
    // The new error gets a new checksum, which must not cover up a wrong one.
    if !is_right || packet.offload.checksum == Checksum::Partial {
        return Err(DropReason::IcmpChecksum);
    }
    let message = Icmp::parse(bytes).map_err(|_| DropReason::Malformed)?;
    let quote = Quote::read(network.family, &message)?;
    Ok((message, quote))
}

/// RFC 6146 §3.2: sessions of ICMP queries know no remote identifier.
fn remote_of(quote: &Quote<'_>, remote: Remote) -> Remote {
    match quote.protocol {
        Protocol::Tcp | Protocol::Udp => remote,
        Protocol::Icmp => Remote { port: 0, ..remote },
    }
}

const fn mtus(config: &Config) -> Mtus {
    Mtus { mtu6: config.mtu6, mtu4: config.mtu4 }
}
