//! How the fields of a document must relate, so that every packet has one peer and no address two owners.

mod options;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use crate::place::{Invalid, Place};
use crate::{Document, Gateway, Group, Name, Peer};

impl Document {
    /// Checks what the types alone cannot promise. [`Document::parse`] does this; whoever edits a document does it
    /// again.
    ///
    /// # Errors
    /// The first thing that is wrong, with its gateway, peer and key.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.gateways.iter().try_for_each(|(name, gateway)| check_gateway(gateway, &Place::gateway(name)))
    }
}

fn check_gateway(gateway: &Gateway, place: &Place) -> Result<(), Invalid> {
    if gateway.mtu < 1280 {
        // RFC 8200 §5: every IPv6 link carries 1280 bytes.
        return Err(place.key("mtu").invalid(format!("must be at least 1280, not {}", gateway.mtu)));
    }
    if gateway.private_key.as_ref().is_some_and(|private| private.public_key() != gateway.public_key) {
        return Err(place
            .key("private_key")
            .invalid("does not belong to public_key; run terraform apply to write the pair again"));
    }
    check_address6(gateway, &place.key("address6"))?;
    check_ipv4_prefix(gateway.ipv4_prefix, &place.key("ipv4_prefix"))?;
    options::check(gateway, place)?;

    for name in gateway.groups.keys() {
        if let Some(problem) = Group::name_problem(name) {
            return Err(place.group(name).invalid(format!("the name {problem}")));
        }
    }
    let mut seen = Seen::of(gateway);
    gateway.peers.iter().try_for_each(|(name, peer)| seen.admit(gateway, name, peer, &place.peer(name)))
}

impl Gateway {
    /// Which of its peers cannot be peers beside those before them, in this order, and why not; each after the first that
    /// has the same key, prefix or address is one.
    pub fn refused<'a>(&'a self, order: impl Iterator<Item = &'a Name>) -> Vec<(Name, Invalid)> {
        let mut seen = Seen::of(self);
        let peers = order.filter_map(|name| Some((name, self.peers.get(name)?)));
        peers
            .filter_map(|(name, peer)| {
                let place = Place::default().peer(name);
                seen.admit(self, name, peer, &place).err().map(|invalid| (name.clone(), invalid))
            })
            .collect()
    }
}

fn check_address6(gateway: &Gateway, place: &Place) -> Result<(), Invalid> {
    let address = gateway.address6;
    if !is_unicast(address) {
        return Err(
            place.invalid(format!("{address} is no unicast address; use fd64:ff9b::1 or another address of your own"))
        );
    }
    if gateway.pool6.net().contains(&address) {
        return Err(place.invalid(format!("{address} lies inside pool6 {}; choose one outside it", gateway.pool6)));
    }
    Ok(())
}

/// Neither special nor link-local; ::/16 holds the unspecified, loopback and IPv4-mapped addresses.
fn is_unicast(address: Ipv6Addr) -> bool {
    address.segments()[0] != 0 && !address.is_multicast() && !address.is_unicast_link_local()
}

fn check_ipv4_prefix(prefix: Ipv4Net, place: &Place) -> Result<(), Invalid> {
    if !(8..=29).contains(&prefix.prefix_len()) {
        return Err(place
            .invalid(format!("{prefix} must have a length from 8 to 29, to have room for the gateway and its peers")));
    }
    if prefix.trunc() != prefix {
        return Err(place.invalid(format!("{prefix} has bits set behind its prefix; did you mean {}?", prefix.trunc())));
    }
    match overlapped_special(prefix) {
        Some(net) => {
            Err(place.invalid(format!("{prefix} overlaps {net}, which has a meaning of its own; use 198.18.0.0/16")))
        }
        None => Ok(()),
    }
}

/// RFC 6890: "this network", loopback, link-local (the metadata service lives there), multicast and reserved.
fn overlapped_special(prefix: Ipv4Net) -> Option<Ipv4Net> {
    let special = [([0, 0, 0, 0], 8), ([127, 0, 0, 0], 8), ([169, 254, 0, 0], 16), ([224, 0, 0, 0], 3)];
    let special = special.map(|(address, length)| Ipv4Net::new_assert(address.into(), length));
    special.into_iter().find(|net| net.contains(&prefix) || prefix.contains(net))
}

fn check_prefix(gateway: &Gateway, peer: &Peer, place: &Place) -> Result<(), Invalid> {
    let Some(prefix) = peer.prefix else { return check_discovered(gateway, peer, place) };
    if prefix.prefix_len() != 64 {
        return Err(place.invalid(format!("{prefix} must be a /64: the one that Hetzner routes to the server")));
    }
    if prefix.trunc() != prefix {
        return Err(place.invalid(format!("{prefix} has bits set behind its prefix; did you mean {}?", prefix.trunc())));
    }
    if !is_unicast(prefix.addr()) {
        return Err(
            place.invalid(format!("{prefix} is no unicast prefix; use the /64 that Hetzner routes to the server"))
        );
    }
    let pool6 = gateway.pool6.net();
    if prefix.contains(&pool6) || pool6.contains(&prefix) {
        return Err(place.invalid(format!("{prefix} overlaps pool6 {pool6}; a peer's prefix must be its own")));
    }
    if prefix.contains(&gateway.address6) {
        return Err(place.invalid(format!(
            "{prefix} contains the gateway's address6 {}; a peer's prefix must be its own",
            gateway.address6
        )));
    }
    Ok(())
}

/// Where a peer is that has no prefix, labels say; then nothing else does.
fn check_discovered(gateway: &Gateway, peer: &Peer, place: &Place) -> Result<(), Invalid> {
    if peer.endpoint.is_some() || gateway.discovery.is_none() {
        return Err(
            place.invalid("is missing; give the peer an endpoint, or its gateway discovery, by which it is found")
        );
    }
    Ok(())
}

fn check_ipv4(gateway: &Gateway, address: Ipv4Addr, place: &Place) -> Result<(), Invalid> {
    let prefix = gateway.ipv4_prefix;
    if !prefix.contains(&address) {
        return Err(place.invalid(format!("{address} lies outside ipv4_prefix {prefix}; choose one inside")));
    }
    let reserved = [
        (prefix.network(), "the network's own address"),
        (gateway.address4(), "the gateway's own address"),
        (gateway.pool4(), "the address that the gateway translates to"),
        (prefix.broadcast(), "the broadcast address"),
    ];
    match reserved.iter().find(|(taken, _)| *taken == address) {
        Some((_, meaning)) => Err(place.invalid(format!("{address} is {meaning} in {prefix}; choose another"))),
        None => Ok(()),
    }
}

fn check_endpoint(gateway: &Gateway, peer: &Peer, place: &Place) -> Result<(), Invalid> {
    let Some(endpoint) = peer.endpoint else { return Ok(()) };
    crate::parse_endpoint(&endpoint.to_string()).map_err(|error| place.invalid(error))?;
    // The tunnel would be sent through itself.
    if gateway.pool6.net().contains(endpoint.ip()) || *endpoint.ip() == gateway.address6 {
        return Err(place.invalid(format!("{} belongs to the gateway; use the server's own address", endpoint.ip())));
    }
    Ok(())
}

/// Who has what among the peers checked so far.
#[derive(Default)]
struct Seen<'a> {
    /// `None` is the gateway itself.
    public_keys: BTreeMap<[u8; 32], Option<&'a Name>>,
    /// All are /64, so two overlap only if they are equal.
    prefixes: BTreeMap<Ipv6Addr, &'a Name>,
    ipv4: BTreeMap<Ipv4Addr, &'a Name>,
}

impl<'a> Seen<'a> {
    fn of(gateway: &Gateway) -> Self {
        Self { public_keys: BTreeMap::from([(*gateway.public_key.as_bytes(), None)]), ..Self::default() }
    }

    fn admit(&mut self, gateway: &Gateway, name: &'a Name, peer: &Peer, place: &Place) -> Result<(), Invalid> {
        check_prefix(gateway, peer, &place.key("prefix"))?;
        check_ipv4(gateway, peer.ipv4, &place.key("ipv4"))?;
        check_endpoint(gateway, peer, &place.key("endpoint"))?;
        self.check(name, peer, place)
    }

    fn check(&mut self, name: &'a Name, peer: &Peer, place: &Place) -> Result<(), Invalid> {
        if let Some(holder) = self.public_keys.get(peer.public_key.as_bytes()) {
            let holder = holder.map_or_else(|| "the gateway".to_owned(), |other| format!("peer {other}"));
            return Err(place.key("public_key").invalid(format!("{holder} has the same key; give each its own")));
        }
        if let Some(prefix) = peer.prefix
            && let Some(other) = self.prefixes.get(&prefix.addr())
        {
            let problem = format!("{prefix} is the prefix of peer {other} too; give each its own");
            return Err(place.key("prefix").invalid(problem));
        }
        if let Some(other) = self.ipv4.get(&peer.ipv4) {
            let problem = format!("{} is the address of peer {other} too; give each its own", peer.ipv4);
            return Err(place.key("ipv4").invalid(problem));
        }
        self.public_keys.insert(*peer.public_key.as_bytes(), Some(name));
        self.prefixes.extend(peer.prefix.map(|prefix| (prefix.addr(), name)));
        self.ipv4.insert(peer.ipv4, name);
        Ok(())
    }
}
