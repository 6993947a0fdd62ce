//! DNS64 at the gateway, as its author asks for it: whom it asks, who may ask it, and what it makes of the answers.

mod anchor;
mod domain;
mod health;
mod listen;
mod matches;
mod upstream;

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::IpNet;
use serde_json::Value;

use crate::{Place, Pool6, place::Invalid};

pub use anchor::{TrustAnchor, TrustAnchorError};
pub use domain::{Domain, DomainError};
pub use health::{Health, ProbeKind, ProbeKindError, Target, TargetError};
pub use listen::{Listen, ListenError};
pub use matches::{Match, MatchError};
pub use upstream::{Host, Upstream, UpstreamError};

/// DNS64 at the gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns64 {
    /// Resolvers to ask, in order of preference; at least one.
    pub upstreams: Vec<Upstream>,
    /// Where it listens besides the tunnels: addresses of the gateway in its LAN.
    pub listen: Vec<Listen>,
    /// Who may ask there. Peers may ask through their tunnels in any case.
    pub clients: Vec<IpNet>,
    /// Keys to validate from, besides the root's.
    pub trust_anchors: Vec<TrustAnchor>,
    /// What it makes of the answers.
    pub policy: Dns64Policy,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// What DNS64 makes of the answers (RFC 6147). `None` leaves it to the resolver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dns64Policy {
    /// The prefixes to synthesise with; none means the gateway's pool6.
    pub prefixes: Vec<Dns64Prefix>,
    /// AAAA records that count as none (RFC 6147 §5.1.4).
    pub exclude: Option<Vec<Match>>,
    /// IPv4 addresses that are translated.
    pub mapped: Option<Vec<Match>>,
    /// Who gets translated answers; others get what there is.
    pub clients: Option<Vec<Match>>,
    /// Translate although there are AAAA records.
    pub translate_all: Option<bool>,
    /// Domains whose AAAA records count as none.
    pub ignore_aaaa: Vec<Domain>,
    /// Domains that are never translated.
    pub no_synth: Vec<Domain>,
    /// Translate for clients that ask over IPv4 too.
    pub allow_ipv4: Option<bool>,
    /// Validate by DNSSEC.
    pub validate: Option<bool>,
    /// Translate signed names for who asks for signatures (DO) too. CD always stops translation (RFC 6147 §5.5).
    pub break_dnssec: Option<bool>,
    /// Remember answers.
    pub cache: Option<bool>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// One prefix to synthesise with.
#[derive(Debug, Clone, PartialEq)]
pub struct Dns64Prefix {
    /// The prefix.
    pub prefix: Pool6,
    /// What stands behind the IPv4 address.
    pub suffix: Option<Ipv6Addr>,
    /// As [`Dns64Policy::mapped`], for this prefix.
    pub mapped: Option<Vec<Match>>,
    /// As [`Dns64Policy::clients`], for this prefix.
    pub clients: Option<Vec<Match>>,
    /// As [`Dns64Policy::exclude`], for this prefix.
    pub exclude: Option<Vec<Match>>,
    /// Only for queries that desire recursion.
    pub recursive_only: Option<bool>,
    /// How it is found out whether packets get through; `None`: they do.
    pub health: Option<Health>,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Dns64 {
    /// The most upstreams, and the most addresses to listen at.
    pub const MOST_SERVERS: usize = 16;
    /// The most prefixes.
    pub const MOST_PREFIXES: usize = 16;
    /// The most elements of every other list.
    pub const MOST_ELEMENTS: usize = 1024;

    /// The policy as DNS64 reads it, pool6 being the prefix if there is no other. Keys of later versions, which a reader
    /// of the document ignores, are not in it; nor is health, which is no matter of what to answer but of probing.
    pub fn policy_json(&self, pool6: Pool6) -> Value {
        let mut policy = self.policy.clone();
        policy.other.clear();
        for prefix in &mut policy.prefixes {
            prefix.health = None;
            prefix.other.clear();
        }
        if policy.prefixes.is_empty() {
            policy.prefixes.push(Dns64Prefix::new(pool6));
        }
        serde_json::to_value(&policy).expect("maps with text keys always serialize")
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), Invalid> {
        if self.upstreams.is_empty() {
            return Err(place.key("upstreams").invalid("is empty; name a resolver, like udp://9.9.9.9"));
        }
        if !self.listen.is_empty() && self.clients.is_empty() {
            return Err(place.key("clients").invalid("is empty, so nobody may ask at listen; name the LAN's prefixes"));
        }
        for (index, net) in self.clients.iter().enumerate() {
            if net.prefix_len() == 0 {
                let problem = format!("{net} is everybody, and an open resolver; name the LAN's prefixes");
                return Err(place.key("clients").index(index).invalid(problem));
            }
        }
        let place = place.key("policy").key("prefixes");
        self.policy.prefixes.iter().enumerate().try_for_each(|(index, prefix)| prefix.check(&place.index(index)))
    }
}

impl Dns64Prefix {
    /// A prefix without anything else.
    pub fn new(prefix: Pool6) -> Self {
        Self {
            prefix,
            suffix: None,
            mapped: None,
            clients: None,
            exclude: None,
            recursive_only: None,
            health: None,
            other: BTreeMap::new(),
        }
    }

    fn check(&self, place: &Place) -> Result<(), Invalid> {
        self.check_suffix(place)?;
        self.health.iter().try_for_each(|health| health.check(self.prefix, &place.key("health")))
    }

    /// RFC 6052 §2.2: a suffix begins behind the IPv4 address and the reserved octet.
    fn check_suffix(&self, place: &Place) -> Result<(), Invalid> {
        let length = u32::from(self.prefix.net().prefix_len());
        let behind = if length == 96 { 0 } else { u128::MAX >> (length + 40) };
        match self.suffix {
            Some(suffix) if suffix.to_bits() & !behind != 0 => {
                let problem = format!("{suffix} overlaps the prefix {} or the IPv4 address behind it", self.prefix);
                Err(place.key("suffix").invalid(problem))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffix_is_good(prefix: &str, suffix: &str) -> bool {
        let prefix = Dns64Prefix { suffix: suffix.parse().ok(), ..Dns64Prefix::new(prefix.parse().unwrap()) };
        prefix.check(&Place::default()).is_ok()
    }

    #[test]
    fn a_suffix_stands_behind_the_ipv4_address() {
        assert!(suffix_is_good("2001:db8::/96", "::"));
        assert!(!suffix_is_good("2001:db8::/96", "::1"));
        assert!(suffix_is_good("2001:db8::/32", "::ff:ffff:ffff:ffff"));
        assert!(!suffix_is_good("2001:db8::/32", "::100:0:0:0"), "the reserved octet");
        assert!(suffix_is_good("2001:db8::/64", "::ff:ffff"));
        assert!(!suffix_is_good("2001:db8::/64", "::100:0"));
    }

    fn policy_json(policy: Dns64Policy) -> Value {
        let dns64 = Dns64 {
            upstreams: Vec::new(),
            listen: Vec::new(),
            clients: Vec::new(),
            trust_anchors: Vec::new(),
            policy,
            other: BTreeMap::new(),
        };
        dns64.policy_json(Pool6::default())
    }

    #[test]
    fn without_prefixes_pool6_is_the_one() {
        let json = policy_json(Dns64Policy { validate: Some(true), ..Dns64Policy::default() });

        assert_eq!(json, serde_json::json!({"prefixes": [{"prefix": "64:ff9b::/96"}], "validate": true}));
    }

    #[test]
    fn the_resolver_never_hears_of_keys_of_later_versions() {
        let later = BTreeMap::from([("later".to_owned(), Value::Null)]);
        let prefix = Dns64Prefix { other: later.clone(), ..Dns64Prefix::new(Pool6::default()) };

        let json = policy_json(Dns64Policy { prefixes: vec![prefix], other: later, ..Dns64Policy::default() });

        assert_eq!(json, serde_json::json!({"prefixes": [{"prefix": "64:ff9b::/96"}]}));
    }
}
