//! What a translator puts into the kernel's network besides its TUN interface: nftables rules, IPv4 forwarding, addresses,
//! routes and one policy rule.
//!
//! Invariant: every piece is a guard whose drop takes it away, and the fence (nft) stands before anything can flow and falls
//! after it. The uplink's own routes are never touched; IPv6 forwarding stays off.

mod forwarding;
mod link;
mod monitor;
mod netlink;
mod next_hops;
mod nft;
mod own_addresses;
mod pools;
mod requirements;
mod surroundings;

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Gateway;
use ipnet::Ipv4Net;

use crate::error::Error;
use forwarding::Forwarding;
use link::Link;
use nft::Table;

pub(crate) use monitor::Monitor;
pub(crate) use next_hops::NextHops;
pub(crate) use own_addresses::own_addresses;
pub(crate) use pools::{accept_own_source, route_pools};
pub(crate) use requirements::{Needs, check_requirements};
pub(crate) use surroundings::Surroundings;

/// What the kernel must know about a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The TUN interface.
    pub(crate) name: String,
    pub(crate) index: u32,
    /// The gateway itself inside the tunnels.
    pub(crate) address6: Ipv6Addr,
    pub(crate) address4: Ipv4Addr,
    /// What the engine translates to; masqueraded on its way out.
    pub(crate) pool4: Ipv4Addr,
    /// The peers' addresses, `address4` and `pool4`.
    pub(crate) ipv4_prefix: Ipv4Net,
    /// Of the tunnels, in bytes: what the gateway's own packets to a peer may have.
    pub(crate) mtu: u16,
}

impl Plan {
    /// The plan for a gateway behind a TUN interface.
    pub(crate) fn new(name: &str, index: u32, gateway: &Gateway) -> Self {
        Self {
            name: name.to_owned(),
            index,
            address6: gateway.address6,
            address4: gateway.address4(),
            pool4: gateway.pool4(),
            ipv4_prefix: gateway.ipv4_prefix,
            mtu: gateway.mtu,
        }
    }
}

/// A set-up network; dropping it restores what was there before.
// Fields drop in this order: nothing may flow once the fence is gone.
#[derive(Debug)]
pub(crate) struct Network {
    link: Link,
    _forwarding: Forwarding,
    table: Table,
}

impl Network {
    /// Sets everything up. What a killed predecessor left behind is replaced.
    ///
    /// # Errors
    /// The first thing that could not be done; what was done before it is undone.
    pub(crate) async fn set_up(plan: &Plan) -> Result<Self, Error> {
        let handle = netlink::connect()?;
        link::refuse_second_instance(&handle, plan.index).await?;
        let table = Table::install(plan)?;
        let forwarding = Forwarding::switch_on()?;
        let link = Link::set_up(&handle, plan).await?;
        Ok(Self { link, _forwarding: forwarding, table })
    }

    /// Follows a changed tunnel MTU (bytes) without disturbing anything.
    ///
    /// # Errors
    /// [`Error::Netlink`].
    pub(crate) async fn set_mtu(&mut self, mtu: u16) -> Result<(), Error> {
        self.link.set_mtu(&netlink::connect()?, mtu).await
    }

    /// Puts back what others may have taken away by accident: the fence.
    ///
    /// # Errors
    /// Why nft refuses the rules now.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        self.table.keep()
    }
}
