//! Addresses of the TUN interface, routes into it, and the policy rule that brings the gateway's own answers to it.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt as _;
use ipnet::Ipv4Net;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteScope};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{AddressMessageBuilder, Handle, IpVersion, LinkUnspec, RouteMessageBuilder};

use super::own_source::{self, OwnSource};
use super::{Plan, netlink};
use crate::egress::Outside;
use crate::error::Error;

/// The routing table of the policy rule, and the mark by which a successor recognises a killed translator's rule.
pub(super) const TABLE: u32 = 46_464;
/// Before the rules of VPN software that routes everything (Tailscale's begin at 5210).
const RULE_PRIORITY: u32 = 4_646;

/// The TUN interface's place in the kernel's tables; dropping it takes it out again.
#[derive(Debug)]
pub(super) struct Link {
    plan: Plan,
}

impl Link {
    pub(super) async fn set_up(handle: &Handle, plan: &Plan) -> Result<Self, Error> {
        remove_stale_rules(handle).await?;
        // From here on a failure drops the guard, which removes whatever of it is there.
        let link = Self { plan: plan.clone() };
        link.bring_up(handle).await?;
        link.accept_own_source(handle).await?;
        link.add_addresses(handle).await?;
        link.add_routes(handle).await?;
        link.add_pool(handle, plan.routed()).await?;
        link.add_rule(handle).await?;
        Ok(link)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Follows a plan in which the tunnels' MTU or the way out is another.
    pub(super) async fn follow(&mut self, handle: &Handle, plan: &Plan) -> Result<(), Error> {
        let old = std::mem::replace(&mut self.plan, plan.clone());
        if old.mtu != plan.mtu {
            for route in [self.peers_route(), self.answers_route()] {
                let refused = netlink::refused("change the MTU of a route");
                handle.route().add(route).replace().execute().await.map_err(refused)?;
            }
        }
        if old.outside == plan.outside {
            return Ok(());
        }
        self.accept_own_source(handle).await?;
        for net in old.routed().iter().filter(|net| !plan.routed().contains(net)) {
            // Somebody may have taken it away already.
            let _ = handle.route().del(self.route4(*net).build()).execute().await;
        }
        let new: Vec<Ipv4Net> = plan.routed().iter().filter(|net| !old.routed().contains(net)).copied().collect();
        self.add_pool(handle, &new).await
    }

    async fn accept_own_source(&self, handle: &Handle) -> Result<(), Error> {
        let own_source = match self.plan.outside {
            Outside::Shared { .. } => OwnSource::Accepted,
            Outside::Masquerade { .. } | Outside::Routed { .. } => OwnSource::Refused,
        };
        own_source::set(handle, self.plan.index, own_source).await
    }

    /// Leads what is routed to this machine on to the engine.
    async fn add_pool(&self, handle: &Handle, nets: &[Ipv4Net]) -> Result<(), Error> {
        for net in nets {
            let added = handle.route().add(self.route4(*net).build()).execute().await;
            added.map_err(|error| match netlink::errno(&error) {
                Some(libc::EEXIST) => Error::PoolTaken { prefix: *net },
                Some(_) | None => netlink::refused("route pool4 into the interface")(error),
            })?;
        }
        Ok(())
    }

    async fn bring_up(&self, handle: &Handle) -> Result<(), Error> {
        // A link-local address of its own would be one more local address that peers could aim at.
        let no_link_local = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let message = LinkUnspec::new_with_index(self.plan.index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_link_local]))
            .build();
        handle.link().set(message).execute().await.map_err(|_refused| Error::NoIpv6)?;
        let message = LinkUnspec::new_with_index(self.plan.index).up().build();
        handle.link().set(message).execute().await.map_err(netlink::refused("bring the interface up"))
    }

    async fn add_addresses(&self, handle: &Handle) -> Result<(), Error> {
        let plan = &self.plan;
        let add4 = handle.address().add(plan.index, plan.address4.into(), 32).replace();
        add4.execute().await.map_err(netlink::refused("add the gateway's IPv4 address"))?;
        let mut add6 = handle.address().add(plan.index, plan.address6.into(), 128).replace();
        // Nobody else is on a point-to-point link, and an address under examination (RFC 4862 §5.4) is not usable yet.
        add6.message_mut().header.flags = AddressHeaderFlags::Nodad;
        add6.execute().await.map_err(|error| match netlink::errno(&error) {
            // What the kernel says when net.ipv6.conf.*.disable_ipv6 is set.
            Some(libc::EACCES | libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => Error::NoIpv6,
            Some(_) | None => netlink::refused("add the gateway's IPv6 address")(error),
        })
    }

    async fn add_routes(&self, handle: &Handle) -> Result<(), Error> {
        let plan = &self.plan;
        let pool4 = Ipv4Net::from(plan.inner_pool4);
        for (route, destination) in [(self.peers_route(), plan.ipv4_prefix), (self.pool4_route(), pool4)] {
            handle.route().add(route).execute().await.map_err(|error| match netlink::errno(&error) {
                Some(libc::EEXIST) => Error::RouteTaken { prefix: plan.ipv4_prefix, taken: destination },
                Some(_) | None => netlink::refused("route ipv4_prefix into the interface")(error),
            })?;
        }
        let answers = handle.route().add(self.answers_route()).replace().execute().await;
        answers.map_err(netlink::refused("route the gateway's answers into the interface"))
    }

    async fn add_rule(&self, handle: &Handle) -> Result<(), Error> {
        let mut request = handle.rule().add().v6().source_prefix(self.plan.address6, 128).table_id(TABLE);
        request = request.priority(RULE_PRIORITY).action(RuleAction::ToTable);
        // `table_id` leaves the main table's number in the header, where a number this large has no room.
        request.message_mut().header.table = RouteHeader::RT_TABLE_UNSPEC;
        request.execute().await.map_err(netlink::refused("add the policy rule for the gateway's answers"))
    }

    /// To the peers themselves; the gateway's own packets must fit into a tunnel.
    fn peers_route(&self) -> RouteMessage {
        with_mtu(self.route4(self.plan.ipv4_prefix).build(), self.plan.mtu)
    }

    /// To the engine, which knows better than the kernel what is too large, and for whom.
    fn pool4_route(&self) -> RouteMessage {
        self.route4(self.plan.inner_pool4.into()).build()
    }

    /// To every peer's IPv6 addresses, but only for what the gateway's own address says.
    fn answers_route(&self) -> RouteMessage {
        let builder = RouteMessageBuilder::<Ipv6Addr>::new().output_interface(self.plan.index).table_id(TABLE);
        with_mtu(builder.build(), self.plan.mtu)
    }

    fn route4(&self, destination: Ipv4Net) -> RouteMessageBuilder<Ipv4Addr> {
        RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(self.plan.index)
            .scope(RouteScope::Link)
            .destination_prefix(destination.network(), destination.prefix_len())
    }

    /// What closing the TUN removed already is gone; that is no error.
    async fn remove(&self, handle: &Handle) {
        if let Err(error) = remove_stale_rules(handle).await {
            tracing::error!("the policy rule stays behind: {}", error.line());
        }
        let routed = self.plan.routed().iter().map(|net| self.route4(*net).build());
        for route in routed.chain([self.answers_route(), self.pool4_route(), self.peers_route()]) {
            let _ = handle.route().del(route).execute().await;
        }
        let address6 = AddressMessageBuilder::<Ipv6Addr>::new().index(self.plan.index).address(self.plan.address6, 128);
        let address4 = AddressMessageBuilder::<Ipv4Addr>::new().index(self.plan.index).address(self.plan.address4, 32);
        for address in [address6.build(), address4.build()] {
            let _ = handle.address().del(address).execute().await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let link = &*self;
        netlink::blocking(async move |handle| link.remove(&handle).await);
    }
}

fn with_mtu(mut route: RouteMessage, mtu: u16) -> RouteMessage {
    route.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu.into())]));
    route
}

/// A killed translator's routes vanish with its interface, so a route through another one has a living owner.
pub(super) async fn refuse_second_instance(handle: &Handle, index: u32) -> Result<(), Error> {
    let action = "list routes";
    let query = RouteMessageBuilder::<Ipv6Addr>::new().build();
    let routes: Vec<RouteMessage> =
        handle.route().get(query).execute().try_collect().await.map_err(netlink::refused(action))?;
    let ours = routes.iter().filter(|route| route.attributes.contains(&RouteAttribute::Table(TABLE)));
    match ours.filter_map(interface_of).find(|interface| *interface != index) {
        Some(index) => Err(Error::OtherInstance { table: TABLE, index }),
        None => Ok(()),
    }
}

fn interface_of(route: &RouteMessage) -> Option<u32> {
    route
        .attributes
        .iter()
        .find_map(|attribute| if let RouteAttribute::Oif(interface) = attribute { Some(*interface) } else { None })
}

/// Our rules outlive a killed translator; nobody else uses the table.
async fn remove_stale_rules(handle: &Handle) -> Result<(), Error> {
    let action = "list policy rules";
    let rules: Vec<RuleMessage> =
        handle.rule().get(IpVersion::V6).execute().try_collect().await.map_err(netlink::refused(action))?;
    for rule in rules.into_iter().filter(|rule| rule.attributes.contains(&RuleAttribute::Table(TABLE))) {
        handle.rule().del(rule).execute().await.map_err(netlink::refused("remove a stale policy rule"))?;
    }
    Ok(())
}
