//! How a gateway's options must relate to the rest of it.

use ipnet::Ipv4Net;

use super::overlapped_special;
use crate::place::{Invalid, Place};
use crate::{Egress, Gateway, Policy, addresses};

pub(super) fn check(gateway: &Gateway, place: &Place) -> Result<(), Invalid> {
    match &gateway.egress {
        Egress::Masquerade | Egress::Shared { .. } => {}
        Egress::Routed { pool4 } => check_pool4(pool4, gateway.ipv4_prefix, &place.key("pool4"))?,
    }
    if let Some(dns64) = &gateway.dns64 {
        dns64.check(&place.key("dns64"))?;
    }
    gateway.policy.as_ref().map_or(Ok(()), |policy| check_policy(policy, &place.key("policy")))
}

fn check_pool4(pool4: &[Ipv4Net], ipv4_prefix: Ipv4Net, place: &Place) -> Result<(), Invalid> {
    if pool4.is_empty() {
        return Err(place.invalid("is empty; name the prefixes that are routed to this gateway, like 203.0.113.8/29"));
    }
    for (index, net) in pool4.iter().enumerate() {
        let place = place.index(index);
        check_no_host_bits(*net, &place)?;
        if let Some(special) = overlapped_special(*net) {
            return Err(place.invalid(format!("{net} overlaps {special}, which has a meaning of its own")));
        }
        let others = pool4[..index].iter().chain([&ipv4_prefix]);
        if let Some(other) = others.into_iter().find(|other| other.contains(net) || net.contains(*other)) {
            return Err(place.invalid(format!("{net} overlaps {other}; choose prefixes apart")));
        }
    }
    if addresses(pool4).take(Egress::MOST_ADDRESSES + 1).count() > Egress::MOST_ADDRESSES {
        return Err(place.invalid(format!("has more than {} addresses; name fewer", Egress::MOST_ADDRESSES)));
    }
    Ok(())
}

fn check_policy(policy: &Policy, place: &Place) -> Result<(), Invalid> {
    let bounds = [("new_flows_per_second", policy.new_flows_per_second), ("flows_per_peer", policy.flows_per_peer)];
    if let Some((key, _)) = bounds.into_iter().find(|(_, bound)| *bound == Some(0)) {
        return Err(place.key(key).invalid("is 0, so that no peer could do anything; leave it out for the default"));
    }
    let allow = place.key("allow");
    policy.allow.iter().enumerate().try_for_each(|(index, net)| check_no_host_bits(*net, &allow.index(index)))
}

fn check_no_host_bits(net: Ipv4Net, place: &Place) -> Result<(), Invalid> {
    if net.trunc() == net {
        return Ok(());
    }
    Err(place.invalid(format!("{net} has bits set behind its prefix; did you mean {}?", net.trunc())))
}
