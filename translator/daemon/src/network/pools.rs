//! The stand-alone mode's place in the kernel's tables: its interface is up, and pool6 and pool4 are routed into it.
//!
//! Invariant: everything hangs on the interface, and the interface on its descriptor: closing that takes all of it away,
//! even if the process is killed. Nothing else of the machine is touched.

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Pool6;
use ipnet::{IpNet, Ipv4Subnets};
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use super::netlink;
use crate::error::{Error, Reason};
use crate::pools::Addresses;

/// Brings the interface up and routes both pools into it.
///
/// # Errors
/// [`Error::NoIpv6`], [`Error::PoolRouted`], [`Error::Netlink`].
pub(crate) async fn route_pools(index: u32, pool6: &[Pool6], pool4: &[Addresses]) -> Result<(), Error> {
    let handle = netlink::connect()?;
    bring_up(&handle, index).await?;
    for net in pool6.iter().map(Pool6::net) {
        let route6 = RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(index)
            .destination_prefix(net.network(), net.prefix_len());
        add(&handle, route6.build(), "--pool6", net.into()).await?;
    }
    for net in pool4.iter().flat_map(|pool| Ipv4Subnets::new(pool.first, pool.last, 0)) {
        let route4 = RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(index)
            .scope(RouteScope::Link)
            .destination_prefix(net.network(), net.prefix_len());
        add(&handle, route4.build(), "--pool4", net.into()).await?;
    }
    Ok(())
}

async fn bring_up(handle: &Handle, index: u32) -> Result<(), Error> {
    // Without an address of its own the interface is nobody's source, and hosts inside cannot aim at it.
    let no_link_local = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let message = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_link_local]))
        .build();
    handle.link().set(message).execute().await.map_err(|_refused| Error::NoIpv6)?;
    let message = LinkUnspec::new_with_index(index).up().build();
    handle.link().set(message).execute().await.map_err(netlink::refused("bring the interface up"))
}

async fn add(handle: &Handle, route: RouteMessage, what: &'static str, prefix: IpNet) -> Result<(), Error> {
    handle.route().add(route).execute().await.map_err(|error| match (netlink::errno(&error), prefix) {
        (Some(libc::EEXIST), _) => Error::PoolRouted { what, prefix },
        // What the kernel says when net.ipv6.conf.*.disable_ipv6 is set.
        (Some(libc::EACCES | libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::ENODEV), IpNet::V6(_)) => Error::NoIpv6,
        _ => netlink::refused("route pool6 and pool4 into the interface")(error),
    })
}

/// Lets packets in through the interface although their source is this machine's own address: ICMP errors of `--address4`
/// or `--error-source4`.
///
/// The setting is the interface's, and goes with it. Where it cannot be written, the kernel drops these errors as martians.
pub(crate) fn accept_own_source(interface: &str) {
    if let Err(error) = std::fs::write(format!("/proc/sys/net/ipv4/conf/{interface}/accept_local"), "1") {
        tracing::warn!(
            "net.ipv4.conf.{interface}.accept_local cannot be set ({}), so ICMP errors from --address4, which is this \
             machine's own, are lost; choose an address that is not",
            Reason(&error)
        );
    }
}
