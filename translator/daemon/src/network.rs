//! What a translator puts into the kernel's network besides its TUN interface: nftables rules, IPv4 forwarding, addresses,
//! routes and one policy rule.
//!
//! Invariant: every piece is a guard whose drop takes it away, and the fence (nft) stands before anything can flow and falls
//! after it. The uplink's own routes are never touched; IPv6 forwarding stays off.

mod forwarding;
mod link;
mod machine;
mod monitor;
mod netlink;
mod next_hops;
mod nft;
mod own_addresses;
mod own_source;
mod pools;
mod port_holders;
mod requirements;
mod reserved_ports;
mod surroundings;

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{Gateway, PortRange};
use ipnet::Ipv4Net;

use crate::egress::Outside;
use crate::error::Error;
use forwarding::Forwarding;
use link::Link;
use nft::Table;
use reserved_ports::ReservedPorts;

pub(crate) use machine::Machine;
pub(crate) use monitor::Monitor;
pub(crate) use next_hops::NextHops;
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
    /// An address that nobody has: what the engine translates to where the kernel masquerades, and through which it is
    /// spoken to where it shares the uplink's address.
    pub(crate) inner_pool4: Ipv4Addr,
    /// The peers' addresses, `address4` and `inner_pool4`.
    pub(crate) ipv4_prefix: Ipv4Net,
    /// How translated packets leave.
    pub(crate) outside: Outside,
    /// Private destinations that peers may reach.
    pub(crate) allow: Vec<Ipv4Net>,
    /// Destinations that they may not.
    pub(crate) home_addresses: Vec<Ipv4Addr>,
    /// Of the tunnels, in bytes: what the gateway's own packets to a peer may have.
    pub(crate) mtu: u16,
}

impl Plan {
    /// The plan for a gateway behind a TUN interface.
    pub(crate) fn new(name: &str, index: u32, gateway: &Gateway, machine: &Machine) -> Self {
        let policy = gateway.policy.clone().unwrap_or_default();
        Self {
            name: name.to_owned(),
            index,
            address6: gateway.address6,
            address4: gateway.address4(),
            inner_pool4: gateway.pool4(),
            ipv4_prefix: gateway.ipv4_prefix,
            outside: Outside::of(gateway, machine.uplink),
            allow: policy.allow,
            home_addresses: policy.home_addresses,
            mtu: gateway.mtu,
        }
    }

    /// Prefixes that are routed to the interface because others route them to this machine.
    fn routed(&self) -> &[Ipv4Net] {
        match &self.outside {
            Outside::Masquerade { .. } | Outside::Shared { .. } => &[],
            Outside::Routed { pool4 } => pool4,
        }
    }

    /// Ports of this machine that are the engine's.
    fn taken_ports(&self) -> Option<PortRange> {
        match &self.outside {
            Outside::Masquerade { .. } | Outside::Routed { .. } => None,
            Outside::Shared { ports, .. } => Some(*ports),
        }
    }
}

/// A set-up network; dropping it restores what was there before.
// Fields drop in this order: nothing may flow once the fence is gone.
#[derive(Debug)]
pub(crate) struct Network {
    link: Link,
    reserved_ports: Option<ReservedPorts>,
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
        if let Some(list) = nft::left_reserved_ports() {
            reserved_ports::give_back_list(&list);
        }
        let reserved_ports = plan.taken_ports().and_then(ReservedPorts::reserve);
        let table = Table::install(plan, &own_ports(reserved_ports.as_ref()))?;
        let forwarding = Forwarding::switch_on()?;
        let link = Link::set_up(&handle, plan).await?;
        Ok(Self { link, reserved_ports, _forwarding: forwarding, table })
    }

    /// Follows a changed plan for the same interface and the same addresses, without disturbing anything else.
    ///
    /// # Errors
    /// What could not be done; then everything is as the old plan has it.
    pub(crate) async fn follow(&mut self, plan: &Plan) -> Result<(), Error> {
        let old = self.link.plan().clone();
        let outcome = self.change(plan).await;
        if outcome.is_err()
            && let Err(error) = self.change(&old).await
        {
            tracing::error!("the network is neither as it was nor as it should be: {}", error.line());
        }
        outcome
    }

    async fn change(&mut self, plan: &Plan) -> Result<(), Error> {
        if plan.taken_ports() != self.reserved_ports.as_ref().map(ReservedPorts::ports) {
            // What was reserved goes first: the new guard must not take it for somebody else's.
            self.reserved_ports = None;
            self.reserved_ports = plan.taken_ports().and_then(ReservedPorts::reserve);
        }
        self.table.replace(plan, &own_ports(self.reserved_ports.as_ref()))?;
        self.link.follow(&netlink::connect()?, plan).await
    }

    /// Puts back what others may have taken away by accident: the fence.
    ///
    /// # Errors
    /// Why nft refuses the rules now.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        self.table.keep()
    }
}

/// What the next translator gives back if this one is killed, as a list.
fn own_ports(reserved: Option<&ReservedPorts>) -> String {
    reserved.map(ReservedPorts::own).unwrap_or_default()
}
