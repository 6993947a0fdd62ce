//! What an update leaves alone in a gateway's entry: its peers and groups, and the keys of later versions wherever they are.

use contract::{Discovery, Dns64, Gateway, Policy};

/// `entry` with what `found` has that is not this resource's to say.
pub(super) fn with_what_is_not_ours(mut entry: Gateway, found: Gateway) -> Gateway {
    (entry.groups, entry.peers, entry.other) = (found.groups, found.peers, found.other);
    if let (Some(policy), Some(found)) = (&mut entry.policy, found.policy) {
        policy.other = found.other;
    }
    if let (Some(discovery), Some(found)) = (&mut entry.discovery, found.discovery) {
        discovery.other = found.other;
    }
    if let (Some(dns64), Some(found)) = (&mut entry.dns64, found.dns64) {
        (dns64.other, dns64.policy.other) = (found.other, found.policy.other);
        for prefix in &mut dns64.policy.prefixes {
            let before = found.policy.prefixes.iter().find(|before| before.prefix == prefix.prefix);
            prefix.other = before.map(|before| before.other.clone()).unwrap_or_default();
            if let (Some(health), Some(found)) = (&mut prefix.health, before.and_then(|before| before.health.as_ref()))
            {
                health.other = found.other.clone();
            }
        }
    }
    entry
}

/// A policy without keys of later versions.
pub(super) fn known_policy(found: Option<&Policy>) -> Option<Policy> {
    found.map(|policy| Policy { other: Default::default(), ..policy.clone() })
}

/// Discovery without keys of later versions.
pub(super) fn known_discovery(found: Option<&Discovery>) -> Option<Discovery> {
    found.map(|discovery| Discovery { other: Default::default(), ..discovery.clone() })
}

/// DNS64 without keys of later versions.
pub(super) fn known_dns64(found: Option<&Dns64>) -> Option<Dns64> {
    let mut known = found.cloned()?;
    known.other.clear();
    known.policy.other.clear();
    for prefix in &mut known.policy.prefixes {
        prefix.other.clear();
        prefix.health.iter_mut().for_each(|health| health.other.clear());
    }
    Some(known)
}
