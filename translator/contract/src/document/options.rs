//! The written form of what a gateway may have.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{serialize_other, serialize_owner, serialize_some};
use crate::{Discovery, Dns64, Dns64Policy, Dns64Prefix, Group, Health, Policy};

impl Dns64 {
    const KEYS: &[&str] = &["upstreams", "listen", "clients", "trust_anchors", "policy"];
}

impl Serialize for Dns64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("upstreams", &self.upstreams)?;
        serialize_list(&mut map, "listen", &self.listen)?;
        serialize_list(&mut map, "clients", &self.clients)?;
        serialize_list(&mut map, "trust_anchors", &self.trust_anchors)?;
        map.serialize_entry("policy", &self.policy)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Dns64Policy {
    const KEYS: &[&str] = &[
        "prefixes",
        "exclude",
        "mapped",
        "clients",
        "translate_all",
        "ignore_aaaa",
        "no_synth",
        "allow_ipv4",
        "validate",
        "break_dnssec",
        "cache",
    ];
}

impl Serialize for Dns64Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_list(&mut map, "prefixes", &self.prefixes)?;
        serialize_some(&mut map, "exclude", &self.exclude)?;
        serialize_some(&mut map, "mapped", &self.mapped)?;
        serialize_some(&mut map, "clients", &self.clients)?;
        serialize_some(&mut map, "translate_all", &self.translate_all)?;
        serialize_list(&mut map, "ignore_aaaa", &self.ignore_aaaa)?;
        serialize_list(&mut map, "no_synth", &self.no_synth)?;
        serialize_some(&mut map, "allow_ipv4", &self.allow_ipv4)?;
        serialize_some(&mut map, "validate", &self.validate)?;
        serialize_some(&mut map, "break_dnssec", &self.break_dnssec)?;
        serialize_some(&mut map, "cache", &self.cache)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Dns64Prefix {
    const KEYS: &[&str] = &["prefix", "suffix", "mapped", "clients", "exclude", "recursive_only", "health"];
}

impl Serialize for Dns64Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("prefix", &self.prefix)?;
        serialize_some(&mut map, "suffix", &self.suffix)?;
        serialize_some(&mut map, "mapped", &self.mapped)?;
        serialize_some(&mut map, "clients", &self.clients)?;
        serialize_some(&mut map, "exclude", &self.exclude)?;
        serialize_some(&mut map, "recursive_only", &self.recursive_only)?;
        serialize_some(&mut map, "health", &self.health)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Health {
    const KEYS: &[&str] = &["target", "kind", "interval_ms", "timeout_ms", "fall", "rise"];
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("target", &self.target)?;
        serialize_some(&mut map, "kind", &self.kind)?;
        serialize_some(&mut map, "interval_ms", &self.interval_ms)?;
        serialize_some(&mut map, "timeout_ms", &self.timeout_ms)?;
        serialize_some(&mut map, "fall", &self.fall)?;
        serialize_some(&mut map, "rise", &self.rise)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Discovery {
    const KEYS: &[&str] = &["label_selector"];
}

impl Serialize for Discovery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("label_selector", &self.label_selector)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Group {
    const KEYS: &[&str] = &["secret", "previous_secret", "label_selector", "owner"];
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("secret", self.secret.to_base64().as_str())?;
        if let Some(previous) = &self.previous_secret {
            map.serialize_entry("previous_secret", previous.to_base64().as_str())?;
        }
        map.serialize_entry("label_selector", &self.label_selector)?;
        serialize_owner(&mut map, &self.owner)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

impl Policy {
    const KEYS: &[&str] = &["allow", "denied_ports", "home_addresses", "new_flows_per_second", "flows_per_peer"];
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_list(&mut map, "allow", &self.allow)?;
        // None denied is not the default, so it must be told apart from a list that is not there.
        map.serialize_entry("denied_ports", &self.denied_ports)?;
        serialize_list(&mut map, "home_addresses", &self.home_addresses)?;
        serialize_some(&mut map, "new_flows_per_second", &self.new_flows_per_second)?;
        serialize_some(&mut map, "flows_per_peer", &self.flows_per_peer)?;
        serialize_other(&mut map, &self.other, Self::KEYS)?;
        map.end()
    }
}

/// An empty list is one that is not there.
fn serialize_list<M: SerializeMap, T: Serialize>(map: &mut M, key: &'static str, list: &[T]) -> Result<(), M::Error> {
    if list.is_empty() { Ok(()) } else { map.serialize_entry(key, list) }
}
