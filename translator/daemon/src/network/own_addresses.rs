//! This machine's own IPv4 addresses: destinations that no peer may reach.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use super::netlink;
use crate::error::Error;

/// Every IPv4 address of this machine but those of the TUN interface, sorted.
///
/// # Errors
/// [`Error::Netlink`].
pub(crate) async fn own_addresses(tun_index: u32) -> Result<Vec<Ipv4Addr>, Error> {
    let handle = netlink::connect()?;
    let messages: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(netlink::refused("list addresses"))?;
    let others = messages.iter().filter(|message| message.header.index != tun_index);
    let mut addresses: Vec<Ipv4Addr> = others.filter_map(local).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// On a point-to-point link `Address` is the other end; `Local` is there whenever it differs.
fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    let mut of_link = None;
    for attribute in &message.attributes {
        if let AddressAttribute::Local(IpAddr::V4(address)) = attribute {
            return Some(*address);
        }
        if let AddressAttribute::Address(IpAddr::V4(address)) = attribute {
            of_link = Some(*address);
        }
    }
    of_link
}
