//! Which secret a member of a group was created with, while its group has two: found out by trying one, then the other.
//!
//! Nothing tells them apart but a handshake: labels have no say in keys.

use std::collections::BTreeSet;

use contract::{Gateway, Name};

use super::members;
use crate::datapath::PeerSnapshot;

/// WireGuard's `REJECT_AFTER_TIME`: without a handshake for longer there is no session.
const SESSION_SECS: u64 = 180;

/// The members whose key is made of the previous secret.
#[derive(Debug, Default)]
pub(crate) struct Trials(BTreeSet<Name>);

impl Trials {
    pub(super) fn is_previous(&self, member: &Name) -> bool {
        self.0.contains(member)
    }

    /// Whether `gateway` has anything to try.
    pub(crate) fn are_due(gateway: &Gateway) -> bool {
        gateway.groups.values().any(|group| group.previous_secret.is_some())
    }

    /// Remembers that `members`, who are there now, made their keys of what is the previous secret from now on.
    pub(crate) fn rotate<'n>(&mut self, old: &Gateway, new: &Gateway, members: impl Iterator<Item = &'n Name>) {
        for name in members {
            let (Some(old), Some(new)) = (members::group_of(old, name), members::group_of(new, name)) else { continue };
            if old.secret == new.secret {
                continue;
            }
            let used = old.previous_secret.as_ref().filter(|_| self.0.contains(name)).unwrap_or(&old.secret);
            if new.previous_secret.as_ref() == Some(used) {
                self.0.insert(name.clone());
            } else {
                self.0.remove(name);
            }
        }
    }

    /// Turns to the other secret for every member that has not answered with this one.
    pub(crate) fn turn(&mut self, gateway: &Gateway, peers: &[PeerSnapshot]) {
        let is_silent = |peer: &PeerSnapshot| peer.latest_handshake_secs_ago.is_none_or(|secs| secs > SESSION_SECS);
        let has_choice =
            |name: &Name| members::group_of(gateway, name).is_some_and(|group| group.previous_secret.is_some());
        for PeerSnapshot { name, .. } in peers.iter().filter(|peer| is_silent(peer) && has_choice(&peer.name)) {
            if !self.0.remove(name) {
                self.0.insert(name.clone());
            }
        }
        // Servers come and go; who is gone is forgotten.
        let present: BTreeSet<&Name> = peers.iter().map(|peer| &peer.name).collect();
        self.0.retain(|name| present.contains(name) && has_choice(name));
    }
}
