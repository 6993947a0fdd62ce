//! How large a packet the next hops take, from the kernel's routes and links.
//!
//! Towards IPv4 the default routes count, or all routes where there is no default. Towards IPv6 all routes count, for
//! hosts inside may be behind any of them. The smallest MTU is never too large; a packet that another link would have
//! carried whole costs its sender one packet too big.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::netlink;
use crate::error::Error;

/// Of Ethernet, for a machine that has no route yet.
const UNKNOWN_MTU: u16 = 1500;

/// Largest packets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextHops {
    pub(crate) mtu4: u16,
    pub(crate) mtu6: u16,
}

/// Reads the kernel's tables; the translator's own interface does not count.
///
/// # Errors
/// [`Error::Netlink`].
pub(super) async fn next_hops(handle: &Handle, own_index: u32) -> Result<NextHops, Error> {
    let links = handle.link().get().execute().try_collect::<Vec<_>>().await.map_err(netlink::refused("list links"))?;
    let mtus = links.iter().filter(|link| link.header.index != own_index).filter_map(mtu_of).collect();
    let routes4 = routes(handle, RouteMessageBuilder::<std::net::Ipv4Addr>::new().build()).await?;
    let routes6 = routes(handle, RouteMessageBuilder::<std::net::Ipv6Addr>::new().build()).await?;
    let defaults = routes4.iter().filter(|route| route.header.destination_prefix_length == 0);
    let mtu4 = smallest(defaults, &mtus).or_else(|| smallest(routes4.iter(), &mtus));
    let mtu6 = smallest(routes6.iter().filter(|route| !is_link_local(route)), &mtus);
    Ok(NextHops { mtu4: mtu4.unwrap_or(UNKNOWN_MTU), mtu6: mtu6.unwrap_or(UNKNOWN_MTU) })
}

/// MTUs of links by index.
type Mtus = BTreeMap<u32, u32>;

fn mtu_of(link: &LinkMessage) -> Option<(u32, u32)> {
    if link.header.flags.contains(LinkFlags::Loopback) {
        return None;
    }
    let mtu = |attribute: &LinkAttribute| if let LinkAttribute::Mtu(mtu) = attribute { Some(*mtu) } else { None };
    link.attributes.iter().find_map(mtu).map(|mtu| (link.header.index, mtu))
}

async fn routes(handle: &Handle, query: RouteMessage) -> Result<Vec<RouteMessage>, Error> {
    let all: Vec<RouteMessage> =
        handle.route().get(query).execute().try_collect().await.map_err(netlink::refused("list routes"))?;
    Ok(all.into_iter().filter(leads_somewhere).collect())
}

fn leads_somewhere(route: &RouteMessage) -> bool {
    let in_main = |attribute: &RouteAttribute| *attribute == RouteAttribute::Table(RouteHeader::RT_TABLE_MAIN.into());
    route.header.kind == RouteType::Unicast
        && (route.header.table == RouteHeader::RT_TABLE_MAIN || route.attributes.iter().any(in_main))
}

fn is_link_local(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| {
        if let RouteAttribute::Destination(RouteAddress::Inet6(address)) = attribute {
            address.is_unicast_link_local() || address.is_multicast()
        } else {
            false
        }
    })
}

/// Of the routes through links that count; a route may have an MTU of its own.
fn smallest<'a>(routes: impl Iterator<Item = &'a RouteMessage>, mtus: &Mtus) -> Option<u16> {
    let of_route = |route: &RouteMessage| {
        let links = interfaces(&route.attributes).filter_map(|index| mtus.get(&index).copied());
        let own = route.attributes.iter().find_map(mtu_metric);
        links.min().map(|of_links| own.map_or(of_links, |own| own.min(of_links)))
    };
    routes.filter_map(of_route).min().map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX))
}

fn interfaces(attributes: &[RouteAttribute]) -> impl Iterator<Item = u32> + '_ {
    attributes.iter().flat_map(|attribute| {
        if let RouteAttribute::Oif(index) = attribute {
            vec![*index]
        } else if let RouteAttribute::MultiPath(hops) = attribute {
            hops.iter().map(|hop| hop.interface_index).collect()
        } else {
            Vec::new()
        }
    })
}

fn mtu_metric(attribute: &RouteAttribute) -> Option<u32> {
    let RouteAttribute::Metrics(metrics) = attribute else { return None };
    metrics.iter().find_map(|metric| if let RouteMetric::Mtu(mtu) = metric { Some(*mtu) } else { None })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rtnetlink::packet_route::route::RouteNextHop;

    use super::*;

    fn route(index: u32, mtu: Option<u32>) -> RouteMessage {
        let mut route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index).build();
        route.attributes.extend(mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
        route
    }

    #[track_caller]
    fn check(routes: &[RouteMessage], expected: Option<u16>) {
        let mtus = Mtus::from([(2, 1500), (3, 1492), (4, 100_000)]);
        assert_eq!(smallest(routes.iter(), &mtus), expected);
    }

    #[test]
    fn the_smallest_link_counts_and_a_route_may_be_smaller_still() {
        check(&[route(2, None), route(3, None)], Some(1492));
        check(&[route(2, Some(1400)), route(3, None)], Some(1400));
        check(&[route(2, Some(9000))], Some(1500));
    }

    #[test]
    fn every_path_of_a_route_counts() {
        let hop = |index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = index;
            hop
        };
        let mut paths = RouteMessageBuilder::<Ipv4Addr>::new().build();
        paths.attributes.push(RouteAttribute::MultiPath(vec![hop(2), hop(3)]));

        check(&[paths], Some(1492));
    }

    #[test]
    fn what_leads_into_no_known_link_says_nothing() {
        check(&[], None);
        check(&[route(1, Some(1300))], None);
        check(&[route(4, None)], Some(u16::MAX));
    }
}
