//! The block `dns64` of a gateway: whom it asks, who may ask it, and what it makes of the answers.

use std::net::Ipv6Addr;

use contract::{Domain, Listen, Match, Pool6, ProbeKind, Target, TrustAnchor, Upstream};
use tfplugin5::{Attr, Diagnostic, Diagnostics, Path, Spelled, block, blocks, model, optional, required};

use crate::attributes::Net;
use crate::list::{List, given, meanings, meanings_if_given, spelled, spelled_if_given};

model! {
    /// DNS64 at the gateway.
    pub(crate) struct Dns64 {
        /// Resolvers to ask, in order of preference: `udp://9.9.9.9` (or the address alone), `tls://1.1.1.1#cloudflare-dns.com`,
        /// `https://dns.google/dns-query`.
        upstreams: List<Upstream> = required(),
        /// Addresses of the gateway in its LAN where it answers too; port 53 unless given.
        listen: List<Listen> = optional(),
        /// Who may ask there: the LAN's prefixes. Peers may always ask, through their tunnels.
        clients: List<Net> = optional(),
        /// AAAA records in these prefixes count as none. Default: `::ffff:0:0/96`.
        exclude: List<Match> = optional(),
        /// IPv4 addresses that are translated; the first element that matches decides, `!` refuses. Default: all.
        mapped: List<Match> = optional(),
        /// Who gets translated answers; others get what there is. Default: all who may ask.
        translate_for: List<Match> = optional(),
        /// Translate although there are AAAA records.
        translate_all: bool = optional(),
        /// Domains whose AAAA records count as none, because they lead nowhere.
        ignore_aaaa: List<Domain> = optional(),
        /// Domains that are never translated.
        no_synth: List<Domain> = optional(),
        /// Whether who asks over IPv4 gets translated answers too.
        allow_ipv4: bool = optional(),
        /// Whether answers are validated by DNSSEC.
        validate: bool = optional(),
        /// Keys to validate from besides the root's, as DS records: `example. DS 12345 13 2 DIGEST`.
        trust_anchors: List<TrustAnchor> = optional(),
        /// Whether signed names are translated for who asks for signatures (DO), too. Who validates by itself (CD) gets no
        /// translated answers in any case (RFC 6147 §5.5). Default: `true`.
        break_dnssec: bool = optional(),
        /// Whether answers are remembered.
        cache: bool = optional(),
        /// The prefixes to translate with. Default: the gateway's `pool6`.
        prefix: Vec<Attr<Prefix>> = blocks().at_most(16),
    }
}

model! {
    /// A prefix to translate with.
    pub(crate) struct Prefix {
        /// The prefix (RFC 6052).
        prefix: Spelled<Pool6> = required(),
        /// What stands behind the IPv4 address. Default: zeros.
        suffix: Spelled<Ipv6Addr> = optional(),
        /// IPv4 addresses that are translated with this prefix. Default: all.
        mapped: List<Match> = optional(),
        /// Who gets answers with this prefix. Default: all.
        translate_for: List<Match> = optional(),
        /// AAAA records that count as none for this prefix.
        exclude: List<Match> = optional(),
        /// Whether only queries that desire recursion get answers with this prefix.
        recursive_only: bool = optional(),
        /// Answers have this prefix only while packets get through it, which the gateway finds out by sending some. Without
        /// the block nobody looks.
        health: Health = block(),
    }
}

model! {
    /// How it is found out whether packets get through a prefix.
    pub(crate) struct Health {
        /// A host of the IPv4 internet that may be asked again and again, as `192.0.2.1:443`, or the address alone.
        target: Spelled<Target> = required(),
        /// How it answers: `tcp` (it accepts a connection or refuses it), `dns` (over UDP), `icmp` (an echo). Default: `tcp`.
        kind: Spelled<ProbeKind> = optional(),
        /// Between two probes, in milliseconds. Default: 1000.
        interval_ms: u32 = optional(),
        /// For an answer, in milliseconds. Default: 1000.
        timeout_ms: u32 = optional(),
        /// How many failures in a row make the prefix unhealthy. Default: 3.
        fall: u32 = optional(),
        /// How many successes in a row make it healthy again. Default: 2.
        rise: u32 = optional(),
    }
}

impl Dns64 {
    /// What the document says of it.
    ///
    /// # Errors
    /// Elements that are null, each at its place.
    pub(super) fn to_entry(&self, path: &Path) -> Result<contract::Dns64, Diagnostics> {
        let at = |name: &str| path.attribute_of(name);
        let clients = meanings(&self.clients, &at("clients"))?;
        Ok(contract::Dns64 {
            upstreams: meanings(&self.upstreams, &at("upstreams"))?,
            listen: meanings(&self.listen, &at("listen"))?,
            clients: clients.into_iter().map(|Net(net)| net).collect(),
            trust_anchors: meanings(&self.trust_anchors, &at("trust_anchors"))?,
            policy: contract::Dns64Policy {
                prefixes: self.prefixes(&at("prefix"))?,
                exclude: meanings_if_given(&self.exclude, &at("exclude"))?,
                mapped: meanings_if_given(&self.mapped, &at("mapped"))?,
                clients: meanings_if_given(&self.translate_for, &at("translate_for"))?,
                translate_all: self.translate_all.known().copied(),
                ignore_aaaa: meanings(&self.ignore_aaaa, &at("ignore_aaaa"))?,
                no_synth: meanings(&self.no_synth, &at("no_synth"))?,
                allow_ipv4: self.allow_ipv4.known().copied(),
                validate: self.validate.known().copied(),
                break_dnssec: self.break_dnssec.known().copied(),
                cache: self.cache.known().copied(),
                other: Default::default(),
            },
            other: Default::default(),
        })
    }

    fn prefixes(&self, path: &Path) -> Result<Vec<contract::Dns64Prefix>, Diagnostics> {
        let blocks = self.prefix.known().into_iter().flatten().enumerate();
        blocks.map(|(index, block)| block.get()?.to_entry(&path.index(index))).collect()
    }

    pub(super) fn from_entry(entry: &contract::Dns64) -> Self {
        let policy = &entry.policy;
        Self {
            upstreams: spelled_if_given(Some(&entry.upstreams)),
            listen: spelled(entry.listen.iter().copied()),
            clients: spelled(entry.clients.iter().copied().map(Net)),
            exclude: spelled_if_given(policy.exclude.as_ref()),
            mapped: spelled_if_given(policy.mapped.as_ref()),
            translate_for: spelled_if_given(policy.clients.as_ref()),
            translate_all: given(policy.translate_all),
            ignore_aaaa: spelled(policy.ignore_aaaa.iter().cloned()),
            no_synth: spelled(policy.no_synth.iter().cloned()),
            allow_ipv4: given(policy.allow_ipv4),
            validate: given(policy.validate),
            trust_anchors: spelled(entry.trust_anchors.iter().cloned()),
            break_dnssec: given(policy.break_dnssec),
            cache: given(policy.cache),
            prefix: Attr::Known(policy.prefixes.iter().map(|prefix| Prefix::from_entry(prefix).into()).collect()),
        }
    }
}

impl Prefix {
    fn to_entry(&self, path: &Path) -> Result<contract::Dns64Prefix, Diagnostics> {
        let at = |name: &str| path.attribute_of(name);
        Ok(contract::Dns64Prefix {
            prefix: **self.prefix.get()?,
            suffix: self.suffix.known().map(|suffix| **suffix),
            mapped: meanings_if_given(&self.mapped, &at("mapped"))?,
            clients: meanings_if_given(&self.translate_for, &at("translate_for"))?,
            exclude: meanings_if_given(&self.exclude, &at("exclude"))?,
            recursive_only: self.recursive_only.known().copied(),
            health: self.health.known().map(Health::to_entry).transpose()?,
            other: Default::default(),
        })
    }

    fn from_entry(entry: &contract::Dns64Prefix) -> Self {
        Self {
            prefix: Spelled::from(entry.prefix).into(),
            suffix: given(entry.suffix.map(Spelled::from)),
            mapped: spelled_if_given(entry.mapped.as_ref()),
            translate_for: spelled_if_given(entry.clients.as_ref()),
            exclude: spelled_if_given(entry.exclude.as_ref()),
            recursive_only: given(entry.recursive_only),
            health: given(entry.health.as_ref().map(Health::from_entry)),
        }
    }
}

impl Health {
    fn to_entry(&self) -> Result<contract::Health, Diagnostics> {
        Ok(contract::Health {
            target: **self.target.get()?,
            kind: self.kind.known().map(|kind| **kind),
            interval_ms: self.interval_ms.known().copied(),
            timeout_ms: self.timeout_ms.known().copied(),
            fall: self.fall.known().copied(),
            rise: self.rise.known().copied(),
            other: Default::default(),
        })
    }

    fn from_entry(entry: &contract::Health) -> Self {
        Self {
            target: Spelled::from(entry.target).into(),
            kind: given(entry.kind.map(Spelled::from)),
            interval_ms: given(entry.interval_ms),
            timeout_ms: given(entry.timeout_ms),
            fall: given(entry.fall),
            rise: given(entry.rise),
        }
    }
}

/// What the resolver itself says of the policy: families of addresses, prefixes that are there twice.
///
/// # Errors
/// The first value that it refuses, at its attribute.
pub(super) fn check_policy(entry: &contract::Dns64, pool6: Pool6) -> Result<(), Diagnostics> {
    let parsed = dns64::Policy::parse(&entry.policy_json(pool6));
    parsed.map(drop).map_err(|refused| {
        let path = path_of(&refused.place);
        Diagnostic::error(format!("{path}: {}", refused.problem)).at_path(path).into()
    })
}

/// The attribute of a key like `prefixes[1].mapped`.
fn path_of(place: &str) -> Path {
    place.split('.').fold(Path::attribute("dns64"), |path, part| {
        let (name, index) = match part.split_once('[') {
            Some((name, index)) => (name, index.strip_suffix(']').and_then(|index| index.parse().ok())),
            None => (part, None),
        };
        let path = path.attribute_of(attribute(name));
        index.map_or_else(|| path.clone(), |index| path.index(index))
    })
}

/// The attribute that a key of the policy comes from.
pub(crate) fn attribute(key: &str) -> &str {
    match key {
        "prefixes" => "prefix",
        "clients" => "translate_for",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_policy_lead_to_attributes_of_the_block() {
        assert_eq!(path_of("prefixes[1].mapped").to_string(), "dns64.prefix[1].mapped");
        assert_eq!(path_of("clients").to_string(), "dns64.translate_for");
    }
}
