//! What the servers that were found make of a document's gateway. Pure.
//!
//! A peer without a prefix gets that of the server with its label, or is left out as long as there is none; a group gets a
//! peer for every server that has its labels. Labels add no key, and a peer that the document knows whole is nobody else's to
//! change.

use std::net::SocketAddrV6;

use contract::{Gateway, Name, PEER_LABEL, Peer, WIREGUARD_PORT};
use ipnet::Ipv6Net;

use super::members::members;
use super::{Findings, Server, Trials};

/// A gateway all of whose peers are known whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completed {
    pub(crate) gateway: Gateway,
    /// What does not fit together, a line each.
    pub(crate) notes: Vec<String>,
}

/// A gateway of the document with what is known of its servers.
pub(crate) fn complete(gateway: &Gateway, findings: &Findings, trials: &Trials) -> Completed {
    let mut completed = Completed { gateway: gateway.clone(), notes: Vec::new() };
    let open: Vec<Name> =
        gateway.peers.iter().filter(|(_, peer)| peer.prefix.is_none()).map(|(name, _)| name.clone()).collect();
    for name in &open {
        match place_of(gateway, name, findings, &mut completed.notes) {
            Some(network) => completed.set(name, network),
            None => drop(completed.gateway.peers.remove(name)),
        }
    }
    let mut found = open;
    for (name, peer) in members(gateway, findings, trials, &mut completed.notes) {
        if completed.gateway.peers.contains_key(&name) {
            completed.notes.push(format!("peer {name}: a member of a group is called so too; it is left out"));
        } else {
            completed.gateway.peers.insert(name.clone(), peer);
            found.push(name);
        }
    }
    completed.leave_out_what_clashes(&found);
    completed
}

impl Completed {
    fn set(&mut self, name: &Name, network: Ipv6Net) {
        if let Some(Peer { prefix, endpoint, .. }) = self.gateway.peers.get_mut(name) {
            (*prefix, *endpoint) = (Some(network), Some(host_of(network)));
        }
    }

    /// The document's own peers come first: nobody takes their place by a label.
    fn leave_out_what_clashes(&mut self, found: &[Name]) {
        let order = self.gateway.peers.keys().filter(|name| !found.contains(name)).chain(found);
        for (name, invalid) in self.gateway.refused(order) {
            self.notes.push(format!("{invalid}; it is left out"));
            self.gateway.peers.remove(&name);
        }
    }
}

/// The network of the server that a peer's label is on.
fn place_of(gateway: &Gateway, name: &Name, findings: &Findings, notes: &mut Vec<String>) -> Option<Ipv6Net> {
    let discovery = gateway.discovery.as_ref()?;
    // Before the first answer there is nothing to say.
    let all = findings.servers.get(&discovery.label_selector)?;
    let its = |server: &&Server| server.labels.get(PEER_LABEL).is_some_and(|label| *label == *name.as_ref());
    let servers: Vec<&Server> = all.iter().filter(its).collect();
    if servers.is_empty() {
        notes.push(format!("peer {name}: no server has the label {PEER_LABEL}={name}"));
    }
    let (mut networks, mut reasons) = (Vec::new(), Vec::new());
    for server in &servers {
        match server.network() {
            Ok(network) => networks.push((server.id, network)),
            Err(reason) => reasons.push(reason),
        }
    }
    // The newest: while a server is replaced, there are two.
    let newest = networks.iter().max_by_key(|(id, _)| *id);
    if networks.len() > 1 {
        let ids: Vec<String> = networks.iter().map(|(id, _)| id.to_string()).collect();
        notes.push(format!("peer {name}: the servers {} have its label; the newest counts", ids.join(", ")));
    }
    if newest.is_none() {
        notes.extend(reasons.into_iter().map(|reason| format!("peer {name}: {reason}")));
    }
    newest.map(|(_, network)| *network)
}

/// Hetzner's images take the first address of their network.
pub(super) fn host_of(network: Ipv6Net) -> SocketAddrV6 {
    SocketAddrV6::new((u128::from(network.network()) | 1).into(), WIREGUARD_PORT, 0, 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use contract::{Discovery, LabelSelector, PrivateKey};

    use super::*;
    use crate::discovery::server::{IpV6, PublicNet};
    use crate::testing::gateway;

    fn selector() -> LabelSelector {
        "hetznat-gateway==home".parse().unwrap()
    }

    /// `web` as the test document knows it, and `db`, which is to be found.
    fn home() -> Gateway {
        let mut gateway = gateway();
        gateway.discovery = Some(Discovery { label_selector: selector(), other: BTreeMap::new() });
        let web = gateway.peers.values().next().unwrap();
        let db = Peer {
            public_key: PrivateKey::from_random([7; 32]).public_key(),
            prefix: None,
            endpoint: None,
            ipv4: "198.18.0.7".parse().unwrap(),
            ..web.clone()
        };
        gateway.peers.insert("db".parse().unwrap(), db);
        gateway
    }

    fn server(id: u64, label: &str, ip: &str) -> Server {
        let ipv6 = Some(IpV6 { ip: ip.to_owned(), blocked: false });
        Server {
            id,
            name: format!("server-{id}"),
            status: "running".to_owned(),
            labels: BTreeMap::from([(PEER_LABEL.to_owned(), label.to_owned())]),
            public_net: PublicNet { ipv6 },
        }
    }

    fn found(servers: Vec<Server>) -> Completed {
        let findings = Findings { servers: BTreeMap::from([(selector(), servers.into())]), ..Findings::default() };
        complete(&home(), &findings, &Trials::default())
    }

    fn db(completed: &Completed) -> Option<(String, String)> {
        let peer = completed.gateway.peers.get(&"db".parse().unwrap())?;
        Some((peer.prefix?.to_string(), peer.endpoint?.to_string()))
    }

    #[test]
    fn a_label_says_where_a_peer_is() {
        let completed = found(vec![server(1, "db", "2001:db8:7::/64")]);

        assert_eq!(db(&completed), Some(("2001:db8:7::/64".to_owned(), "[2001:db8:7::1]:46464".to_owned())));
        assert_eq!(completed.notes, Vec::<String>::new());
    }

    #[test]
    fn before_the_first_answer_the_peer_is_left_out_in_silence() {
        let completed = complete(&home(), &Findings::default(), &Trials::default());

        assert_eq!((db(&completed), completed.notes.len()), (None, 0));
        assert_eq!(completed.gateway.peers.len(), 1);
    }

    #[test]
    fn labels_add_no_peer_and_move_none_that_the_document_knows() {
        let completed = found(vec![server(1, "stranger", "2001:db8:8::/64"), server(2, "web", "2001:db8:9::/64")]);

        let mut expected = home();
        expected.peers.remove(&"db".parse().unwrap());
        assert_eq!(completed.gateway, expected);
        assert_eq!(completed.notes, ["peer db: no server has the label hetznat-peer=db"]);
    }

    #[test]
    fn while_a_server_is_replaced_the_newest_counts() {
        let completed = found(vec![server(9, "db", "2001:db8:9::/64"), server(8, "db", "2001:db8:8::/64")]);

        assert_eq!(db(&completed).unwrap().0, "2001:db8:9::/64");
        assert_eq!(completed.notes, ["peer db: the servers 9, 8 have its label; the newest counts"]);
    }

    #[test]
    fn a_server_that_cannot_be_dialled_gives_way_to_one_that_can() {
        let off = Server { status: "off".to_owned(), ..server(9, "db", "2001:db8:9::/64") };

        assert_eq!(db(&found(vec![off.clone(), server(8, "db", "2001:db8:8::/64")])).unwrap().0, "2001:db8:8::/64");
        let alone = found(vec![off]);
        assert_eq!(db(&alone), None);
        assert_eq!(alone.notes, ["peer db: server server-9 (9) is not running but off"]);
    }

    #[test]
    fn nobody_takes_the_place_of_another_by_a_label() {
        let completed = found(vec![server(1, "db", "2001:db8:1:2::/64")]);

        assert_eq!(completed.gateway.peers.len(), 1, "web is the document's");
        assert_eq!(
            completed.notes,
            ["peer db, prefix: 2001:db8:1:2::/64 is the prefix of peer web too; give each its own; it is left out"]
        );
    }
}
