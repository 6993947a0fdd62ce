//! A packet as it arrives: its header read, its addresses found to be possible ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use packet::Family;
use packet::ipv4::Ipv4;
use packet::ipv6::Ipv6;

use crate::drop::Refusal;
use crate::network::{self, Network};
use crate::policy::{self, Policy};
use crate::pool4::PortPool;
use crate::prefixes::PrefixIndex;
use crate::{Config, DropReason};

/// A packet from inside, on its way to `destination`. The source of an IPv4 peer is a mapped address.
#[derive(Debug)]
pub(crate) struct FromInside {
    pub(crate) network: Network,
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv4Addr,
    /// What the destination was embedded in; means nothing to an IPv4 peer.
    pub(crate) prefix: PrefixIndex,
}

/// A packet from outside, to an address of pool4.
#[derive(Debug)]
pub(crate) struct FromOutside {
    pub(crate) network: Network,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
}

/// Reads a packet from a peer. What is not ours is never answered, so addresses come first.
pub(crate) fn from_inside(config: &Config, policy: &Policy, bytes: &[u8]) -> Result<FromInside, Refusal> {
    match Family::of(bytes).ok_or(DropReason::Malformed)? {
        Family::V6 => {
            let ip = Ipv6::parse(bytes)?;
            policy.source6(ip.source())?;
            let destination = policy.prefixes.extract(ip.destination());
            let (destination, prefix) = destination.ok_or(DropReason::DestinationOutsidePool6)?;
            Ok(FromInside { network: network::read6(ip)?, source: ip.source(), destination, prefix })
        }
        Family::V4 => {
            let ip = Ipv4::parse(bytes)?;
            policy::source4(config, ip.source())?;
            let source = ip.source().to_ipv6_mapped();
            let (destination, prefix) = (ip.destination(), PrefixIndex::FIRST);
            Ok(FromInside { network: network::read4(ip)?, source, destination, prefix })
        }
    }
}

/// Reads a packet from the IPv4 internet.
pub(crate) fn from_outside(pool: &PortPool, bytes: &[u8]) -> Result<FromOutside, Refusal> {
    let ip = Ipv4::parse(bytes)?;
    if !pool.has_address(ip.destination()) {
        return Err(DropReason::DestinationOutsidePool4.into());
    }
    Ok(FromOutside { network: network::read4(ip)?, source: ip.source(), destination: ip.destination() })
}
