//! Reads how translated packets leave a gateway: a mode, and what belongs to that mode and no other.

use ipnet::Ipv4Net;

use crate::fields::{By, Fields};
use crate::place::Invalid;
use crate::{Egress, EgressMode, PortRange};

pub(super) fn egress(fields: &mut Fields) -> Result<Egress, Invalid> {
    let mode = fields.parsed_if_present::<EgressMode>("egress")?.unwrap_or_default();
    let ports = fields.parsed_if_present::<PortRange>("egress_ports")?;
    let pool4 = fields.list_if_present::<By<Ipv4Net>>("pool4", Egress::MOST_ADDRESSES)?;
    let pool4 = pool4.map(|nets| nets.into_iter().map(|By(net)| net).collect());
    let foreign = |key, mode| fields.place().key(key).invalid(format!("belongs to egress {mode}; leave it out"));
    match (mode, ports, pool4) {
        (EgressMode::Masquerade | EgressMode::Routed, Some(_), _) => Err(foreign("egress_ports", EgressMode::Shared)),
        (EgressMode::Masquerade | EgressMode::Shared, _, Some(_)) => Err(foreign("pool4", EgressMode::Routed)),
        (EgressMode::Masquerade, None, None) => Ok(Egress::Masquerade),
        (EgressMode::Shared, ports, None) => Ok(Egress::Shared { ports: ports.unwrap_or_default() }),
        (EgressMode::Routed, None, pool4) => Ok(Egress::Routed { pool4: pool4.unwrap_or_default() }),
    }
}
