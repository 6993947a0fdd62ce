//! The members of a gateway's groups: a peer for every server that has a group's labels. Pure.

use std::collections::BTreeMap;

use contract::{Gateway, Group, MemberAddresses, Name, Peer};

use super::complete::host_of;
use super::{Findings, Server, Trials};

/// Every member that can be dialled, by its name; what is in the way of others goes to `notes`.
pub(super) fn members(
    gateway: &Gateway,
    findings: &Findings,
    trials: &Trials,
    notes: &mut Vec<String>,
) -> BTreeMap<Name, Peer> {
    let mut members = BTreeMap::new();
    for (group, entry) in &gateway.groups {
        for server in findings.servers.get(&entry.label_selector).into_iter().flat_map(|found| found.iter()) {
            // Servers of a group come and go; only what is wrong with one that runs is worth a word.
            if !server.runs() {
                continue;
            }
            match member(gateway, group, entry, server, trials) {
                Ok((name, peer)) => drop(members.insert(name, peer)),
                Err(reason) => notes.push(format!("group {group}: {reason}")),
            }
        }
    }
    members
}

fn member(
    gateway: &Gateway,
    group: &Name,
    entry: &Group,
    server: &Server,
    trials: &Trials,
) -> Result<(Name, Peer), String> {
    let network = server.network()?;
    let name = name_of(group, server.id);
    let previous = entry.previous_secret.as_ref().filter(|_| trials.is_previous(&name));
    let peer = Peer {
        public_key: previous.unwrap_or(&entry.secret).private_key(server.id).public_key(),
        prefix: Some(network),
        ipv4: MemberAddresses::of(gateway.ipv4_prefix).of_member(server.id),
        endpoint: Some(host_of(network)),
        owner: String::new(),
        other: BTreeMap::new(),
    };
    Ok((name, peer))
}

/// The group of a member's name.
pub(super) fn group_of<'g>(gateway: &'g Gateway, member: &Name) -> Option<&'g Group> {
    let (group, id) = member.as_ref().rsplit_once('-')?;
    id.parse::<u64>().ok()?;
    gateway.groups.get(&group.parse().ok()?)
}

fn name_of(group: &Name, instance: u64) -> Name {
    format!("{group}-{instance}").parse().expect("the document's names of groups leave room for an id")
}

#[cfg(test)]
mod tests {
    use contract::{GROUP_LABEL, GroupSecret, LabelSelector};

    use super::*;
    use crate::datapath::PeerSnapshot;
    use crate::discovery::complete;
    use crate::discovery::server::tests::server;
    use crate::testing::gateway;

    const WORKERS: &str = "workers";

    fn selector() -> LabelSelector {
        LabelSelector::equals(GROUP_LABEL, &WORKERS.parse().unwrap())
    }

    fn secret(byte: u8) -> GroupSecret {
        GroupSecret::from_random([byte; 32])
    }

    /// `web` as the test document knows it, and a group whose secret was changed from 1 to 2.
    fn home() -> Gateway {
        let mut gateway = gateway();
        let group = Group {
            secret: secret(2),
            previous_secret: Some(secret(1)),
            label_selector: selector(),
            owner: String::new(),
            other: BTreeMap::new(),
        };
        gateway.groups.insert(WORKERS.parse().unwrap(), group);
        gateway
    }

    fn found(servers: Vec<Server>) -> Findings {
        Findings { servers: BTreeMap::from([(selector(), servers.into())]), ..Findings::default() }
    }

    fn silent(name: &Name, peer: &Peer) -> PeerSnapshot {
        PeerSnapshot {
            name: name.clone(),
            public_key: peer.public_key,
            prefix: peer.prefix,
            ipv4: peer.ipv4,
            endpoint: None,
            latest_handshake_secs_ago: None,
            rx_bytes: 0,
            tx_bytes: 0,
        }
    }

    #[test]
    fn every_server_with_the_labels_is_a_member_with_the_key_that_it_made_for_itself() {
        let servers = vec![server(41, "running", "2001:db8:7::/64"), server(42, "running", "2001:db8:8::/64")];

        let completed = complete(&home(), &found(servers), &Trials::default());

        let member = &completed.gateway.peers[&"workers-42".parse().unwrap()];
        assert_eq!(member.public_key, secret(2).private_key(42).public_key());
        assert_eq!(member.endpoint.unwrap().to_string(), "[2001:db8:8::1]:46464");
        assert_eq!(member.ipv4.to_string(), "198.18.128.42");
        assert_eq!((completed.gateway.peers.len(), completed.notes.len()), (3, 0));
    }

    #[test]
    fn members_that_would_share_an_address_are_told_and_the_first_one_has_it() {
        let count = u64::from(MemberAddresses::of(home().ipv4_prefix).count);
        let servers = vec![server(1, "running", "2001:db8:7::/64"), server(1 + count, "running", "2001:db8:8::/64")];

        let completed = complete(&home(), &found(servers), &Trials::default());

        assert_eq!(completed.gateway.peers.len(), 2);
        assert_eq!(
            completed.notes,
            [
                "peer workers-32767, ipv4: 198.18.128.1 is the address of peer workers-1 too; give each its own; it is left out"
            ]
        );
    }

    #[test]
    fn nobody_takes_the_place_of_a_peer_by_a_groups_label() {
        let completed = complete(&home(), &found(vec![server(1, "running", "2001:db8:1:2::/64")]), &Trials::default());

        assert_eq!(completed.gateway.peers.keys().map(AsRef::as_ref).collect::<Vec<&str>>(), ["web"]);
        assert_eq!(completed.notes.len(), 1);
    }

    #[test]
    fn servers_that_do_not_run_are_no_members_and_no_news() {
        let completed = complete(&home(), &found(vec![server(1, "off", "2001:db8:7::/64")]), &Trials::default());

        assert_eq!((completed.gateway.peers.len(), completed.notes.len()), (1, 0));
    }

    #[test]
    fn who_is_a_member_stays_one_when_the_secret_is_rotated_and_until_it_is_forgotten() {
        let (findings, name) = (found(vec![server(42, "running", "2001:db8:8::/64")]), "workers-42".parse().unwrap());
        let key =
            |gateway: &Gateway, trials: &Trials| complete(gateway, &findings, trials).gateway.peers[&name].public_key;
        let with = |secret, previous_secret| {
            let mut gateway = home();
            let group = gateway.groups.values_mut().next().unwrap();
            (group.secret, group.previous_secret) = (secret, previous_secret);
            gateway
        };
        let (before, rotated) = (with(secret(1), None), with(secret(2), Some(secret(1))));
        let (again, done) = (with(secret(3), Some(secret(2))), with(secret(2), None));
        let mut trials = Trials::default();

        trials.rotate(&before, &rotated, [&name].into_iter());
        assert_eq!(key(&rotated, &trials), key(&before, &Trials::default()), "nothing changes for it");

        assert_eq!(key(&done, &trials), secret(2).private_key(42).public_key(), "the old secret is refused");
        trials.rotate(&rotated, &again, [&name].into_iter());
        assert_eq!(key(&again, &trials), secret(3).private_key(42).public_key(), "what it knows is forgotten by now");
    }

    #[test]
    fn a_member_that_was_rebuilt_with_the_new_secret_stays_one_at_the_next_rotation() {
        let (findings, name) = (found(vec![server(42, "running", "2001:db8:8::/64")]), "workers-42".parse().unwrap());
        let with = |secret, previous_secret| {
            let mut gateway = home();
            let group = gateway.groups.values_mut().next().unwrap();
            (group.secret, group.previous_secret) = (secret, previous_secret);
            gateway
        };
        let mut trials = Trials::default();
        trials.rotate(&with(secret(1), None), &with(secret(2), Some(secret(1))), [&name].into_iter());

        // Rebuilt while the old secret is refused, it has the new one.
        let rotated = with(secret(3), Some(secret(2)));
        trials.rotate(&with(secret(2), None), &rotated, [&name].into_iter());

        let key = complete(&rotated, &findings, &trials).gateway.peers[&name].public_key;
        assert_eq!(key, secret(2).private_key(42).public_key());
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let (home, findings) = (home(), found(vec![server(42, "running", "2001:db8:8::/64")]));
        let name: Name = "workers-42".parse().unwrap();
        let peer = complete(&home, &findings, &Trials::default()).gateway.peers[&name].clone();
        let mut trials = Trials::default();
        trials.turn(&home, &[silent(&name, &peer)]);
        assert!(trials.is_previous(&name));

        trials.turn(&home, &[]);

        assert!(!trials.is_previous(&name));
    }

    #[test]
    fn a_member_that_does_not_answer_is_tried_with_the_other_secret_and_one_that_does_is_left_alone() {
        let (home, findings) = (home(), found(vec![server(42, "running", "2001:db8:8::/64")]));
        let name: Name = "workers-42".parse().unwrap();
        let mut trials = Trials::default();
        let key = |trials: &Trials| complete(&home, &findings, trials).gateway.peers[&name].public_key;
        let peer = complete(&home, &findings, &trials).gateway.peers[&name].clone();

        trials.turn(&home, &[silent(&name, &peer)]);
        assert_eq!(key(&trials), secret(1).private_key(42).public_key());
        trials.turn(&home, &[PeerSnapshot { latest_handshake_secs_ago: Some(20), ..silent(&name, &peer) }]);
        assert_eq!(key(&trials), secret(1).private_key(42).public_key());
        trials.turn(&home, &[silent(&name, &peer)]);
        assert_eq!(key(&trials), secret(2).private_key(42).public_key());
    }
}
