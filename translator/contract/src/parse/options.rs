//! Reads what a gateway may have: DNS64, discovery and a policy.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use crate::fields::{By, Fields};
use crate::place::Invalid;
use crate::text::quote;
use crate::{Discovery, Dns64, Dns64Policy, Dns64Prefix, Group, Health, Match, Place, Policy, Pool6};

pub(super) fn dns64(mut fields: Fields) -> Result<Dns64, Invalid> {
    let clients = fields.list::<By<IpNet>>("clients", Dns64::MOST_ELEMENTS)?;
    Ok(Dns64 {
        upstreams: fields.list("upstreams", Dns64::MOST_SERVERS)?,
        listen: fields.list("listen", Dns64::MOST_SERVERS)?,
        clients: clients.into_iter().map(|By(net)| net).collect(),
        trust_anchors: fields.list("trust_anchors", Dns64::MOST_SERVERS)?,
        policy: fields.object_if_present("policy")?.map(dns64_policy).transpose()?.unwrap_or_default(),
        other: fields.rest(),
    })
}

fn dns64_policy(mut fields: Fields) -> Result<Dns64Policy, Invalid> {
    let prefixes = fields.objects("prefixes", Dns64::MOST_PREFIXES)?;
    Ok(Dns64Policy {
        prefixes: prefixes.into_iter().map(dns64_prefix).collect::<Result<_, _>>()?,
        exclude: matches(&mut fields, "exclude")?,
        mapped: matches(&mut fields, "mapped")?,
        clients: matches(&mut fields, "clients")?,
        translate_all: fields.flag_if_present("translate_all")?,
        ignore_aaaa: fields.list("ignore_aaaa", Dns64::MOST_ELEMENTS)?,
        no_synth: fields.list("no_synth", Dns64::MOST_ELEMENTS)?,
        allow_ipv4: fields.flag_if_present("allow_ipv4")?,
        validate: fields.flag_if_present("validate")?,
        break_dnssec: fields.flag_if_present("break_dnssec")?,
        cache: fields.flag_if_present("cache")?,
        other: fields.rest(),
    })
}

fn dns64_prefix(mut fields: Fields) -> Result<Dns64Prefix, Invalid> {
    Ok(Dns64Prefix {
        prefix: fields.parsed("prefix")?,
        suffix: fields.parsed_if_present("suffix")?.map(|By(suffix)| suffix),
        mapped: matches(&mut fields, "mapped")?,
        clients: matches(&mut fields, "clients")?,
        exclude: matches(&mut fields, "exclude")?,
        recursive_only: fields.flag_if_present("recursive_only")?,
        health: fields.object_if_present("health")?.map(health).transpose()?,
        other: fields.rest(),
    })
}

fn health(mut fields: Fields) -> Result<Health, Invalid> {
    Ok(Health {
        target: fields.parsed("target")?,
        kind: fields.parsed_if_present("kind")?,
        interval_ms: bound(&mut fields, "interval_ms")?,
        timeout_ms: bound(&mut fields, "timeout_ms")?,
        fall: bound(&mut fields, "fall")?,
        rise: bound(&mut fields, "rise")?,
        other: fields.rest(),
    })
}

impl Health {
    /// Reads the same object of `prefix` where somebody wrote it by hand: a key that this version does not know is a mistake
    /// then.
    ///
    /// # Errors
    /// The first value that is wrong, at `health`.
    pub fn parse(value: Value, prefix: Pool6) -> Result<Self, Invalid> {
        let place = Place::default().key("health");
        let health = health(Fields::new(value, place.clone())?)?;
        if let Some(key) = health.other.keys().next() {
            return Err(place.invalid(format!("{} is no key that this version knows", quote(key))));
        }
        health.check(prefix, &place)?;
        Ok(health)
    }
}

fn matches(fields: &mut Fields, key: &'static str) -> Result<Option<Vec<Match>>, Invalid> {
    fields.list_if_present(key, Dns64::MOST_ELEMENTS)
}

pub(super) fn discovery(mut fields: Fields) -> Result<Discovery, Invalid> {
    Ok(Discovery { label_selector: fields.parsed("label_selector")?, other: fields.rest() })
}

pub(super) fn group(mut fields: Fields) -> Result<Group, Invalid> {
    Ok(Group {
        secret: fields.parsed("secret")?,
        previous_secret: fields.parsed_if_present("previous_secret")?,
        label_selector: fields.parsed("label_selector")?,
        owner: fields.parsed_if_present("owner")?.unwrap_or_default(),
        other: fields.rest(),
    })
}

pub(super) fn policy(mut fields: Fields) -> Result<Policy, Invalid> {
    let most = Policy::MOST_ELEMENTS;
    let allow = fields.list::<By<Ipv4Net>>("allow", most)?;
    let denied_ports = fields.list_if_present("denied_ports", most)?;
    let home_addresses = fields.list::<By<Ipv4Addr>>("home_addresses", most)?;
    let new_flows_per_second = bound(&mut fields, "new_flows_per_second")?;
    let flows_per_peer = bound(&mut fields, "flows_per_peer")?;
    Ok(Policy {
        allow: allow.into_iter().map(|By(net)| net).collect(),
        denied_ports: denied_ports.unwrap_or_else(|| Policy::default().denied_ports),
        home_addresses: home_addresses.into_iter().map(|By(address)| address).collect(),
        new_flows_per_second,
        flows_per_peer,
        other: fields.rest(),
    })
}

fn bound(fields: &mut Fields, key: &'static str) -> Result<Option<u32>, Invalid> {
    let number = fields.integer_if_present(key, 0, u32::MAX.into())?;
    Ok(number.map(|number| u32::try_from(number).expect("the range ends at u32::MAX")))
}
