//! What the stand-alone mode must know of the machine it runs on, all of it others' to change.

use std::net::Ipv4Addr;

use super::netlink;
use super::next_hops::{NextHops, next_hops};
use super::own_addresses::own_addresses;
use crate::error::Error;

/// A machine's network at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) next_hops: NextHops,
    /// The machine's IPv4 addresses, sorted.
    pub(crate) own_addresses: Vec<Ipv4Addr>,
    /// What keeps the kernel from forwarding, by the name of the setting.
    pub(crate) forwarding_off: Vec<&'static str>,
}

impl Surroundings {
    /// Looks around; the translator's own interface does not count.
    ///
    /// # Errors
    /// [`Error::Netlink`].
    pub(crate) async fn read(own_index: u32) -> Result<Self, Error> {
        let handle = netlink::connect()?;
        Ok(Self {
            next_hops: next_hops(&handle, own_index).await?,
            own_addresses: own_addresses(own_index).await?,
            forwarding_off: forwarding_off(),
        })
    }
}

fn forwarding_off() -> Vec<&'static str> {
    let is_off = |name: &&str| {
        let setting = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")));
        setting.is_ok_and(|value| value.trim() == "0")
    };
    ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"].into_iter().filter(is_off).collect()
}
