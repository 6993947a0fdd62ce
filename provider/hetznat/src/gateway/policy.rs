//! The block `policy` of a gateway: what peers may reach, and how much of it.

use std::net::Ipv4Addr;

use contract::DeniedPort;
use tfplugin5::{Attr, Diagnostics, Path, Spelled, Value, model, optional};

use crate::attributes::Net4;
use crate::list::{List, given, meanings, spelled};

model! {
    /// What peers may reach.
    pub(crate) struct Policy {
        /// Private and special-purpose prefixes that peers may reach all the same, like a machine in the home's LAN. None is
        /// without this.
        allow: List<Net4> = optional(),
        /// Where peers may send to at no address, as `tcp/25` or `udp/53`. Default: `tcp/25`, so that no mail leaves from the
        /// home's address.
        denied_ports: List<DeniedPort> = optional().default(Value::List(vec!["tcp/25".into()])),
        /// The home's public IPv4 addresses, which peers could otherwise reach from inside.
        home_addresses: List<Ipv4Addr> = optional(),
        /// How many flows one peer may start in a second. Default: the gateway's own bound.
        new_flows_per_second: u32 = optional(),
        /// How many flows one peer may have at a time. Default: the gateway's own bound.
        flows_per_peer: u32 = optional(),
    }
}

impl Policy {
    /// What the document says of it.
    ///
    /// # Errors
    /// Elements that are null, each at its place.
    pub(super) fn to_entry(&self, path: &Path) -> Result<contract::Policy, Diagnostics> {
        let allow = meanings(&self.allow, &path.attribute_of("allow"))?;
        Ok(contract::Policy {
            allow: allow.into_iter().map(|Net4(net)| net).collect(),
            denied_ports: meanings(&self.denied_ports, &path.attribute_of("denied_ports"))?,
            home_addresses: meanings(&self.home_addresses, &path.attribute_of("home_addresses"))?,
            new_flows_per_second: self.new_flows_per_second.known().copied(),
            flows_per_peer: self.flows_per_peer.known().copied(),
            other: Default::default(),
        })
    }

    pub(super) fn from_entry(entry: &contract::Policy) -> Self {
        Self {
            allow: spelled(entry.allow.iter().copied().map(Net4)),
            denied_ports: Attr::Known(entry.denied_ports.iter().map(|port| Spelled::from(*port).into()).collect()),
            home_addresses: spelled(entry.home_addresses.iter().copied()),
            new_flows_per_second: given(entry.new_flows_per_second),
            flows_per_peer: given(entry.flows_per_peer),
        }
    }
}
