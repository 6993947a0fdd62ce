//! Who may be spoken to, and from where: decided before any state exists.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use crate::drop::Refusal;
use crate::reply::Reply;
use crate::special_purpose::{REGISTRY, Reach, special_purpose};
use crate::tuple::Transport;
use crate::{Config, DropReason};

/// The policy of a configuration, prepared so that most destinations cost one look at a bitmap.
#[derive(Debug)]
pub(crate) struct Policy {
    /// First octets of addresses that need a closer look.
    suspects: [bool; 256],
    own_addresses: Vec<Ipv4Addr>,
    pool4: Vec<Ipv4Addr>,
    allow: Vec<Ipv4Net>,
    /// The bits of pool6, and which of an address's they are.
    pool6: (u128, u128),
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Self {
        let mut own_addresses = config.own_addresses.clone();
        own_addresses.push(config.address4);
        let pool4: Vec<_> = config.pool4.iter().map(|part| part.address).collect();
        let mut suspects = [false; 256];
        for block in REGISTRY.iter().filter(|block| block.reach != Reach::Global) {
            block.first_octets().for_each(|octet| suspects[usize::from(octet)] = true);
        }
        for address in own_addresses.iter().chain(&pool4) {
            suspects[usize::from(address.octets()[0])] = true;
        }
        let net = config.pool6.net();
        Self {
            suspects,
            own_addresses,
            pool4,
            allow: config.allow.clone(),
            pool6: (net.network().to_bits(), net.netmask().to_bits()),
        }
    }

    /// Whether a peer may send to `destination`.
    pub(crate) fn destination(&self, destination: Ipv4Addr) -> Result<(), Refusal> {
        if !self.suspects[usize::from(destination.octets()[0])] {
            return Ok(());
        }
        match self.closer_look(destination) {
            None => Ok(()),
            Some(reason) => Err(Refusal::with(reason, Reply::Prohibited)),
        }
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
        if bits & self.pool6.1 == self.pool6.0 { Err(DropReason::SourceInPool6) } else { Ok(()) }
    }

    /// Whether a packet may come from this outside address (RFC 7915 §4.1).
    ///
    /// Routers report errors from addresses that nobody can be reached at; those are let through.
    pub(crate) fn source(&self, source: Ipv4Addr, transport: &Transport) -> Result<(), DropReason> {
        let is_impossible = source.octets()[0] >= 224 || self.pool4.contains(&source);
        let is_unreachable = matches!(source.octets()[0], 0 | 127);
        if is_impossible || (is_unreachable && *transport != Transport::IcmpError) {
            Err(DropReason::IllegalSource)
        } else {
            Ok(())
        }
    }

    fn closer_look(&self, destination: Ipv4Addr) -> Option<DropReason> {
        if self.pool4.contains(&destination) {
            return Some(DropReason::HairpinningOff);
        }
        if self.own_addresses.contains(&destination) {
            return Some(DropReason::DestinationOwnAddress);
        }
        let is_refused = match special_purpose(destination)?.reach {
            Reach::Global => false,
            Reach::Restricted => !self.allow.iter().any(|allowed| allowed.contains(&destination)),
            Reach::Never => true,
        };
        is_refused.then_some(DropReason::DestinationNotGlobal)
    }
}

/// Whether an inside IPv4 host may have this address.
pub(crate) fn source4(config: &Config, source: Ipv4Addr) -> Result<(), DropReason> {
    let is_ours = source == config.address4 || config.pool4.iter().any(|part| part.address == source);
    if is_ours || !config.ipv4_peers.contains(&source) { Err(DropReason::IllegalSource) } else { Ok(()) }
}
