//! Who gets which addresses made, from what, and in which prefixes.

mod acl;
mod parse;
mod prefix;

use std::net::IpAddr;

pub use acl::{AddressList, Family, Matched};
pub use parse::PolicyError;
pub use prefix::Prefix;

use crate::name::{NameRef, Subtrees};

/// More prefixes than this are refused: each is a record per address in every answer.
pub const MOST_PREFIXES: usize = 16;

/// What to make, and for whom. [`Policy::parse`] makes one of the JSON form.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) translate_all: bool,
    pub(crate) ignore_aaaa: Subtrees,
    pub(crate) no_synth: Subtrees,
    pub(crate) allow_ipv4: bool,
    pub(crate) break_dnssec: bool,
    /// Answers are validated (RFC 6147 §3).
    pub validate: bool,
    /// What upstreams said is kept.
    pub cache: bool,
}

impl Default for Policy {
    /// The well-known prefix, for everybody.
    fn default() -> Self {
        Self::parse(&serde_json::json!({})).expect("an empty object is a policy")
    }
}

impl Policy {
    /// The prefixes, in the order in which their addresses stand in an answer.
    pub fn prefixes(&self) -> &[Prefix] {
        &self.prefixes
    }

    /// What the policy says about one query of one client.
    pub fn view(&self, client: IpAddr, recursion_desired: bool, healthy: Healthy) -> View<'_> {
        let client = client.to_canonical();
        let mut applicable = 0;
        if self.allow_ipv4 || client.is_ipv6() {
            for (index, prefix) in self.prefixes.iter().enumerate() {
                let asked_so = recursion_desired || !prefix.recursive_only;
                if asked_so && prefix.clients.matches(client) == Matched::Yes {
                    applicable |= 1 << index;
                }
            }
        }
        View { policy: self, applicable, healthy: applicable & healthy.0 }
    }
}

/// Which prefixes packets get through; bit `n` is the prefix at position `n` of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthy(u16);

impl Healthy {
    /// As long as nobody probes.
    pub const ALL: Self = Self(u16::MAX);

    /// With the prefix at `index` being `healthy` or not.
    #[must_use]
    pub fn with(self, index: usize, healthy: bool) -> Self {
        let bit = 1_u16.checked_shl(index as u32).unwrap_or(0);
        Self(if healthy { self.0 | bit } else { self.0 & !bit })
    }

    /// Whether the prefix at `index` is.
    pub fn contains(self, index: usize) -> bool {
        1_u16.checked_shl(index as u32).is_some_and(|bit| self.0 & bit != 0)
    }
}

/// The policy as it is for one query.
#[derive(Debug, Clone, Copy)]
pub struct View<'p> {
    pub(crate) policy: &'p Policy,
    applicable: u16,
    healthy: u16,
}

impl<'p> View<'p> {
    /// The policy itself.
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// Whether this client gets no addresses made at all.
    pub fn is_empty(&self) -> bool {
        self.applicable == 0
    }

    /// Whether it would, if a prefix were healthy.
    pub fn is_unhealthy(&self) -> bool {
        self.applicable != 0 && self.healthy == 0
    }

    pub(crate) fn applicable(&self) -> impl Iterator<Item = &'p Prefix> + Clone {
        selected(&self.policy.prefixes, self.applicable)
    }

    pub(crate) fn healthy(&self) -> impl Iterator<Item = &'p Prefix> + Clone {
        selected(&self.policy.prefixes, self.healthy)
    }

    /// RFC 6147 §5.1.4: counts as if it were not there. With several lists, an address counts that one of them leaves.
    pub(crate) fn excludes(&self, address: std::net::Ipv6Addr) -> bool {
        self.applicable().all(|prefix| prefix.exclude.matches(address.into()) == Matched::Yes)
    }

    /// No address is ever made for this name, nor one left out.
    pub(crate) fn leaves_alone(&self, name: NameRef<'_>) -> bool {
        self.policy.no_synth.contain(name)
    }

    /// Signed addresses are left to who asks for signatures.
    pub(crate) fn keeps_dnssec(&self) -> bool {
        !self.policy.break_dnssec
    }

    /// The real addresses of this name are the last resort.
    pub(crate) fn ignores_aaaa(&self, name: NameRef<'_>) -> bool {
        self.policy.translate_all || self.policy.ignore_aaaa.contain(name)
    }
}

fn selected(prefixes: &[Prefix], bits: u16) -> impl Iterator<Item = &Prefix> + Clone {
    prefixes.iter().enumerate().filter(move |(index, _)| bits >> index & 1 != 0).map(|(_, prefix)| prefix)
}
