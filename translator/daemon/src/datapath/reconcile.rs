//! What a changed document means for the tunnels and the engine. Pure.
//!
//! A tunnel belongs to a key, not to a name: a renamed peer keeps its session.

use std::collections::BTreeSet;

use contract::{Gateway, Name, Peer, PublicKey};
use ipnet::{IpNet, Ipv4Net};
use tunnel::PeerConfig;

use super::Applied;

/// To be done in the order of the fields: a prefix may move from one peer to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Keys that are no peer's any more.
    pub(super) remove: Vec<PublicKey>,
    /// Prefixes whose flows are over.
    pub(super) forget: Vec<IpNet>,
    /// Peers to add or change.
    pub(super) set: Vec<PeerConfig>,
    pub(super) applied: Applied,
}

/// What leads from `old` to `new`. No `old` means the start.
pub(super) fn changes(old: Option<&Gateway>, new: &Gateway) -> Changes {
    let nobody = Vec::new;
    let old_peers: Vec<(&Name, PeerConfig)> = old.map_or_else(nobody, configs);
    let new_peers = configs(new);
    let new_keys: BTreeSet<_> = new_peers.iter().map(|(_, config)| config.public_key).collect();
    Changes {
        remove: old_peers.iter().map(|(_, config)| config.public_key).filter(|key| !new_keys.contains(key)).collect(),
        forget: old_peers.iter().flat_map(|(name, config)| lost(name, config, &new_peers)).collect(),
        set: new_peers.iter().map(|(_, config)| config).filter(|config| !holds(&old_peers, config)).cloned().collect(),
        applied: applied(old, new),
    }
}

fn configs(gateway: &Gateway) -> Vec<(&Name, PeerConfig)> {
    gateway.peers.iter().map(|(name, peer)| (name, config(gateway, peer))).collect()
}

fn config(gateway: &Gateway, peer: &Peer) -> PeerConfig {
    PeerConfig {
        public_key: peer.public_key,
        allowed: peer.prefix.map(IpNet::from).into_iter().chain([Ipv4Net::from(peer.ipv4).into()]).collect(),
        endpoint: peer.endpoint,
        keepalive_secs: gateway.keepalive_secs,
    }
}

fn holds(peers: &[(&Name, PeerConfig)], wanted: &PeerConfig) -> bool {
    peers.iter().any(|(_, config)| config == wanted)
}

/// The prefixes that the peer lost. Neither a new name nor a new key makes another server of it.
fn lost(name: &Name, old: &PeerConfig, new_peers: &[(&Name, PeerConfig)]) -> Vec<IpNet> {
    let same = |other: &Name, new: &PeerConfig| other == name || new.public_key == old.public_key;
    let kept = |prefix: &IpNet| new_peers.iter().any(|(other, new)| same(other, new) && new.allowed.contains(prefix));
    old.allowed.iter().filter(|prefix| !kept(prefix)).copied().collect()
}

/// What people want to read: by name, and only what is the peer's own.
fn applied(old: Option<&Gateway>, new: &Gateway) -> Applied {
    let before = |name: &Name| old.and_then(|old| old.peers.get(name));
    let mut applied = Applied::default();
    for (name, peer) in &new.peers {
        match before(name) {
            None => applied.added.push(name.clone()),
            Some(old) if identity(old) != identity(peer) => applied.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let old_names = old.into_iter().flat_map(|old| old.peers.keys());
    applied.removed = old_names.filter(|name| !new.peers.contains_key(*name)).cloned().collect();
    applied
}

fn identity(peer: &Peer) -> impl PartialEq {
    (peer.public_key, peer.prefix, peer.ipv4, peer.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gateway;
    use contract::PrivateKey;

    const WEB: &str = "web";
    const DB: &str = "db";

    /// `web` as in the test document, and `db`.
    fn two_peers() -> Gateway {
        let mut gateway = gateway();
        let db = Peer {
            public_key: key(7),
            prefix: "2001:db8:7::/64".parse().ok(),
            ipv4: "198.18.0.7".parse().unwrap(),
            ..peer(&mut gateway, WEB).clone()
        };
        gateway.peers.insert(name(DB), db);
        gateway
    }

    fn changed(change: impl FnOnce(&mut Gateway)) -> Changes {
        let old = two_peers();
        let mut new = old.clone();
        change(&mut new);
        changes(Some(&old), &new)
    }

    #[test]
    fn at_the_start_every_peer_is_added() {
        let changes = changes(None, &two_peers());

        assert_eq!(changes.applied.added, [name(DB), name(WEB)]);
        assert_eq!(changes.set.len(), 2);
        assert_eq!((changes.remove, changes.forget), (vec![], vec![]));
    }

    #[test]
    fn the_same_document_changes_nothing() {
        assert_eq!(changed(|_| {}), Changes::default());
    }

    #[test]
    fn a_new_owner_or_an_unknown_key_changes_nothing() {
        let changes = changed(|new| {
            peer(new, WEB).owner = "somebody else".to_owned();
            peer(new, WEB).other.insert("note".to_owned(), true.into());
        });

        assert_eq!(changes, Changes::default());
    }

    #[test]
    fn a_new_peer_leaves_the_others_alone() {
        let mut old = two_peers();
        let new = old.clone();
        old.peers.remove(&name(DB));

        let changes = changes(Some(&old), &new);

        assert_eq!(changes.applied, Applied { added: vec![name(DB)], ..Applied::default() });
        assert_eq!(changes.set.iter().map(|config| config.public_key).collect::<Vec<_>>(), [key(7)]);
        assert!(changes.remove.is_empty() && changes.forget.is_empty());
    }

    #[test]
    fn a_removed_peer_loses_its_tunnel_and_its_flows() {
        let changes = changed(|new| drop(new.peers.remove(&name(DB))));

        assert_eq!(changes.applied, Applied { removed: vec![name(DB)], ..Applied::default() });
        assert_eq!(changes.remove, [key(7)]);
        assert_eq!(changes.forget, nets(&["2001:db8:7::/64", "198.18.0.7/32"]));
        assert!(changes.set.is_empty());
    }

    #[test]
    fn a_changed_endpoint_touches_neither_key_nor_flows() {
        let endpoint = "[2001:db8:7::9]:46464".parse().ok();

        let changes = changed(|new| peer(new, DB).endpoint = endpoint);

        assert_eq!(changes.applied, Applied { changed: vec![name(DB)], ..Applied::default() });
        assert_eq!(changes.set[0].endpoint, endpoint);
        assert!(changes.remove.is_empty() && changes.forget.is_empty());
    }

    #[test]
    fn a_changed_prefix_ends_the_flows_of_the_old_one_only() {
        let changes = changed(|new| peer(new, DB).prefix = "2001:db8:8::/64".parse().ok());

        assert_eq!(changes.forget, nets(&["2001:db8:7::/64"]));
        assert_eq!(changes.set[0].allowed, nets(&["2001:db8:8::/64", "198.18.0.7/32"]));
        assert!(changes.remove.is_empty());
    }

    #[test]
    fn a_new_key_is_a_new_tunnel_for_the_same_server() {
        let changes = changed(|new| peer(new, DB).public_key = key(8));

        assert_eq!(changes.applied, Applied { changed: vec![name(DB)], ..Applied::default() });
        assert_eq!(changes.remove, [key(7)]);
        assert_eq!(changes.set[0].public_key, key(8));
        assert!(changes.forget.is_empty());
    }

    #[test]
    fn a_renamed_peer_keeps_tunnel_and_flows() {
        let changes = changed(|new| {
            let db = new.peers.remove(&name(DB)).unwrap();
            new.peers.insert(name("database"), db);
        });

        assert_eq!((changes.applied.added, changes.applied.removed), (vec![name("database")], vec![name(DB)]));
        assert!(changes.remove.is_empty() && changes.forget.is_empty() && changes.set.is_empty());
    }

    #[test]
    fn peers_that_swap_prefixes_are_both_set_and_lose_their_flows() {
        let changes = changed(|new| {
            let web = peer(new, WEB).prefix;
            let db = std::mem::replace(&mut peer(new, DB).prefix, web);
            peer(new, WEB).prefix = db;
        });

        assert_eq!(changes.forget.len(), 2);
        assert_eq!(changes.set.len(), 2);
        assert!(changes.remove.is_empty());
    }

    #[test]
    fn a_changed_keepalive_is_set_everywhere_and_is_no_peers_change() {
        let changes = changed(|new| new.keepalive_secs = 10);

        assert_eq!(changes.set.len(), 2);
        assert_eq!(changes.applied, Applied::default());
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn key(seed: u8) -> PublicKey {
        PrivateKey::from_random([seed; 32]).public_key()
    }

    fn peer<'a>(gateway: &'a mut Gateway, of: &str) -> &'a mut Peer {
        gateway.peers.get_mut(&name(of)).unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }
}
