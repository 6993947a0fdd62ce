//! Who may be spoken to, and from where: decided before any state exists.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{REGISTRY, Reach, special_purpose};
use ipnet::Ipv4Net;

use crate::config::{ErrorSource4, Hairpinning};
use crate::drop::Refusal;
use crate::prefixes::Prefixes;
use crate::reply::Reply;
use crate::tuple::{Inner, Protocol, Transport};
use crate::{Config, DropReason};

/// Where a packet from inside is to go.
#[must_use = "a packet to pool4 must never go outside"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Outside,
    /// To pool4, and so back inside (RFC 6146 §3.8).
    Hairpin,
}

/// The policy of a configuration, prepared so that most destinations cost one look at a bitmap.
#[derive(Debug)]
pub(crate) struct Policy {
    /// First octets of addresses that need a closer look.
    suspects: [bool; 256],
    /// The same for sources outside.
    suspect_sources: [bool; 256],
    own_addresses: Vec<Ipv4Addr>,
    /// In order, to be searched in.
    pool4: Vec<Ipv4Addr>,
    hairpinning: Hairpinning,
    allow: Vec<Ipv4Net>,
    denied_ports: Vec<(Protocol, u16)>,
    pub(crate) prefixes: Prefixes,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Self {
        let mut own_addresses = config.own_addresses.clone();
        match config.error_source4 {
            ErrorSource4::SpokenTo | ErrorSource4::Pool(_) => own_addresses.push(config.address4),
            // Where errors come from, others may send to, unless `own_addresses` says no.
            ErrorSource4::Address4 => {}
        }
        let mut pool4: Vec<_> = config.pool4.iter().map(|part| part.address).collect();
        pool4.sort_unstable();
        let mut suspects = [false; 256];
        for block in REGISTRY.iter().filter(|block| block.reach != Reach::Global) {
            block.first_octets().for_each(|octet| suspects[usize::from(octet)] = true);
        }
        for address in own_addresses.iter().chain(&pool4) {
            suspects[usize::from(address.octets()[0])] = true;
        }
        Self {
            suspects,
            suspect_sources: std::array::from_fn(|octet| {
                matches!(octet, 0 | 127 | 224..)
                    || pool4.iter().any(|address| usize::from(address.octets()[0]) == octet)
            }),
            own_addresses,
            pool4,
            hairpinning: config.hairpinning,
            allow: config.allow.clone(),
            denied_ports: config.denied_ports.clone(),
            prefixes: Prefixes::new(&config.pool6),
        }
    }

    /// Whether nothing speaks against an address outside, at the first glance.
    #[inline]
    pub(crate) fn is_plain_destination(&self, destination: Ipv4Addr) -> bool {
        !self.suspects[usize::from(destination.octets()[0])]
    }

    /// The same of where a packet from outside comes from.
    #[inline]
    pub(crate) fn is_plain_source(&self, source: Ipv4Addr) -> bool {
        !self.suspect_sources[usize::from(source.octets()[0])]
    }

    /// Whether a peer may send to `destination`, and where that is.
    pub(crate) fn destination(&self, destination: Ipv4Addr) -> Result<Way, Refusal> {
        if self.is_plain_destination(destination) {
            return Ok(Way::Outside);
        }
        self.closer_look(destination).map_err(|reason| Refusal::with(reason, Reply::Prohibited))
    }

    /// Whether a peer may send to a port.
    pub(crate) fn port(&self, destination: Option<(Protocol, u16)>) -> Result<(), Refusal> {
        let is_denied = destination.is_some_and(|(protocol, port)| !self.is_open(protocol, port));
        if is_denied { Err(Refusal::with(DropReason::DestinationPortDenied, Reply::Prohibited)) } else { Ok(()) }
    }

    /// The same of a port that may be an echo's, which has none.
    #[inline]
    pub(crate) fn is_open(&self, protocol: Protocol, port: u16) -> bool {
        self.denied_ports.iter().all(|denied| *denied != (protocol, port))
    }

    /// Whether an inside IPv6 host may have this address (RFC 7915 §5.1, RFC 6146 §3.5).
    pub(crate) fn source6(&self, source: Ipv6Addr) -> Result<(), DropReason> {
        let bits = source.to_bits();
        // ::/80 holds the unspecified address, loopback, mapped addresses, and the compatible ones that nobody has any
        // more.
        let is_low = bits >> 48 == 0;
        if is_low || source.is_multicast() || source.is_unicast_link_local() {
            return Err(DropReason::IllegalSource);
        }
        if self.prefixes.contain(source) { Err(DropReason::SourceInPool6) } else { Ok(()) }
    }

    /// Whether an inside host may have this address, of whatever family it is.
    pub(crate) fn may_be_inside(&self, config: &Config, inner: Inner) -> bool {
        match inner.ipv4() {
            Some(address) => source4(config, address).is_ok(),
            None => self.source6(inner.address).is_ok(),
        }
    }

    /// Whether a packet may come from this outside address (RFC 7915 §4.1).
    ///
    /// Routers report errors from addresses that nobody can be reached at; those are let through.
    pub(crate) fn source(&self, source: Ipv4Addr, transport: &Transport) -> Result<(), DropReason> {
        let is_impossible = source.octets()[0] >= 224 || self.is_pool4(source);
        let is_unreachable = matches!(source.octets()[0], 0 | 127);
        if is_impossible || (is_unreachable && *transport != Transport::IcmpError) {
            Err(DropReason::IllegalSource)
        } else {
            Ok(())
        }
    }

    /// Whether an IPv6 peer may be shown this address of somebody it has not spoken to: RFC 6052 §3.1 has none inside the
    /// well-known prefix that is not global. Errors, and the routers they come from, are not asked about.
    pub(crate) fn may_be_shown(&self, source: Ipv4Addr) -> bool {
        !self.prefixes.first_is_well_known() || !self.is_refused(source)
    }

    fn is_pool4(&self, address: Ipv4Addr) -> bool {
        self.pool4.binary_search(&address).is_ok()
    }

    fn closer_look(&self, destination: Ipv4Addr) -> Result<Way, DropReason> {
        if self.is_pool4(destination) {
            return match self.hairpinning {
                Hairpinning::On => Ok(Way::Hairpin),
                Hairpinning::Off => Err(DropReason::HairpinningOff),
            };
        }
        if self.own_addresses.contains(&destination) {
            return Err(DropReason::DestinationOwnAddress);
        }
        if self.is_refused(destination) { Err(DropReason::DestinationNotGlobal) } else { Ok(Way::Outside) }
    }

    /// Whether an address has a special purpose (RFC 6890), and no exception is made for it.
    fn is_refused(&self, address: Ipv4Addr) -> bool {
        match special_purpose(address).map(|block| block.reach) {
            None | Some(Reach::Global) => false,
            Some(Reach::Restricted) => !self.allow.iter().any(|allowed| allowed.contains(&address)),
            Some(Reach::Never) => true,
        }
    }
}

/// Whether an inside IPv4 host may have this address.
pub(crate) fn source4(config: &Config, source: Ipv4Addr) -> Result<(), DropReason> {
    let is_ours = source == config.address4 || config.pool4.iter().any(|part| part.address == source);
    if is_ours || !config.ipv4_peers.contains(&source) { Err(DropReason::IllegalSource) } else { Ok(()) }
}
