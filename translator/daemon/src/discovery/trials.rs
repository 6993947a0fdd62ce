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
            let used = if self.0.contains(name) { old.previous_secret.as_ref() } else { Some(&old.secret) };
            if used.is_some() && used == new.previous_secret.as_ref() {
                self.0.insert(name.clone());
            } else {
                self.0.remove(name);
            }
        }
    }

    /// Turns to the other secret for every member that has not answered with this one.
    pub(crate) fn turn(&mut self, gateway: &Gateway, peers: &[PeerSnapshot]) {
        let is_silent = |peer: &PeerSnapshot| peer.latest_handshake_secs_ago.is_none_or(|secs| secs > SESSION_SECS);
        let silent = peers.iter().filter(|peer| is_silent(peer)).map(|peer| &peer.name);
        for name in
            silent.filter(|name| members::group_of(gateway, name).is_some_and(|group| group.previous_secret.is_some()))
        {
            if !self.0.remove(name) {
                self.0.insert(name.clone());
            }
        }
        self.0.retain(|name| members::group_of(gateway, name).is_some_and(|group| group.previous_secret.is_some()));
    }
}
