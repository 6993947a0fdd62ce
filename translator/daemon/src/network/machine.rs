//! What a gateway must know of the machine it runs on, all of it others' to change.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::own_addresses::own_addresses;
use crate::error::Error;

/// Somewhere on the IPv4 internet. Nothing is sent there.
const SOMEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 41, 0, 4), 53);

/// A machine's IPv4 at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its addresses but those of the TUN interface, sorted: no peer may reach them.
    pub(crate) own_addresses: Vec<Ipv4Addr>,
    /// The address it has on the IPv4 internet's side.
    pub(crate) uplink: Option<Ipv4Addr>,
}

impl Machine {
    /// Looks around; the translator's own interface does not count.
    ///
    /// # Errors
    /// [`Error::Netlink`].
    pub(crate) async fn read(tun_index: u32) -> Result<Self, Error> {
        let own_addresses = own_addresses(tun_index).await?;
        // A route of somebody's VPN may lead out from an address that is not this machine's.
        let uplink = uplink().filter(|address| own_addresses.contains(address));
        Ok(Self { own_addresses, uplink })
    }
}

/// The source that the kernel chooses for the IPv4 internet, which is what connecting a UDP socket asks it for.
fn uplink() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEWHERE).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}
