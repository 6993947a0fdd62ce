//! Walks from a trust anchor down to the zone of an answer (RFC 4035 §5), by questions for DS and DNSKEY records.
//!
//! Only what is proven makes an answer less than signed: everything else that goes wrong makes it bogus.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use dns64::dnssec::{
    Anchor, Budget, DelegationSigner, Denial, Proof, RrSet, Unsigned, ZoneKey, delegation, rrsets, trusted_keys,
};
use dns64::{Ede, Message, Name, NameRef, Rcode, Record, RecordType, Security, Step};

use super::core::{Core, Flavour, Settings};
use super::crypto::AwsLc;

/// Zones whose keys are remembered.
const MOST_ZONES: usize = 4_096;
/// Keys are asked for again after this time at most, whatever their TTL.
const LONGEST_MS: u64 = 3_600_000;
/// What was not found out is tried again after this time.
const RETRY_MS: u64 = 2_000;

/// What is known about the names that may begin a zone.
#[derive(Default)]
pub(super) struct Zones(RefCell<HashMap<Name, (Cut, u64)>>);

/// What begins at a name.
#[derive(Clone)]
enum Cut {
    /// Nothing that is known to.
    None,
    /// A zone with these keys.
    Signed(Rc<[ZoneKey]>),
    /// A zone that is not signed.
    Unsigned,
    /// A zone whose keys cannot be trusted.
    Bogus(Ede),
}

/// The zone that a name lies in.
enum Zone {
    Signed(Name, Rc<[ZoneKey]>),
    Unsigned,
    Bogus(Ede),
}

/// The validation of the answers to one question.
pub(super) struct Validator<'c> {
    core: &'c Rc<Core>,
    settings: &'c Rc<Settings>,
    budget: Budget,
    now: u32,
}

impl<'c> Validator<'c> {
    pub(super) fn new(core: &'c Rc<Core>, settings: &'c Rc<Settings>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32);
        Self { core, settings, budget: Budget::default(), now }
    }

    /// What DNSSEC says about an answer.
    pub(super) async fn validate(&mut self, message: &Message, rtype: RecordType, step: &Step) -> Security {
        let mut whole = Security::Secure;
        if !matches!(message.rcode, Rcode::NO_ERROR | Rcode::NX_DOMAIN) {
            return Security::Insecure;
        }
        let answers = rrsets(&step.answers);
        let proofs = rrsets(&message.authority);
        for (index, set) in answers.iter().enumerate() {
            if set.rtype() == RecordType::CNAME && is_made_by_dname(set, &answers[..index]) {
                continue;
            }
            match self.positive(set, &proofs).await {
                Security::Secure => {}
                Security::Insecure | Security::Unchecked => whole = Security::Insecure,
                bogus @ Security::Bogus(_) => return bogus,
            }
        }
        let is_there = answers.iter().any(|set| set.rtype() == rtype || rtype == RecordType::ANY);
        if is_there || step.is_open {
            return whole;
        }
        match self.negative(message.rcode, &step.end, rtype, &proofs).await {
            Security::Secure => whole,
            other @ (Security::Insecure | Security::Unchecked | Security::Bogus(_)) => other,
        }
    }

    async fn positive(&mut self, set: &RrSet<'_>, proofs: &[RrSet<'_>]) -> Security {
        let signers = set.signers();
        if signers.is_empty() {
            return self.unsigned(set.owner(), Ede::RRSIGS_MISSING).await;
        }
        let mut why = Ede::DNSSEC_BOGUS;
        for signer in &signers {
            let (zone, keys) = match self.zone(signer.as_ref()).await {
                Zone::Signed(zone, keys) => (zone, keys),
                Zone::Unsigned => return Security::Insecure,
                Zone::Bogus(ede) => return Security::Bogus(ede),
            };
            match set.verify(zone.as_ref(), &keys, self.now, &AwsLc, &mut self.budget) {
                Err(reason) => why = reason,
                Ok(signed) => {
                    let own = set.owner().label_count();
                    let is_wildcard = set.owner().first_label() == Some(b"*");
                    if signed.labels + usize::from(is_wildcard) >= own {
                        return Security::Secure;
                    }
                    // RFC 4035 §5.3.4: a wildcard answers only if nothing else could.
                    let denial = Denial::of(zone.as_ref(), proofs, &keys, self.now, &AwsLc, &mut self.budget);
                    return of(denial.no_closer(set.owner(), signed.labels, &AwsLc, &mut self.budget));
                }
            }
        }
        Security::Bogus(why)
    }

    /// Nobody signed it: is that right?
    async fn unsigned(&mut self, name: NameRef<'_>, ede: Ede) -> Security {
        match self.zone(name).await {
            Zone::Unsigned => Security::Insecure,
            Zone::Signed(..) => Security::Bogus(ede),
            Zone::Bogus(ede) => Security::Bogus(ede),
        }
    }

    async fn negative(&mut self, rcode: Rcode, end: &Name, rtype: RecordType, proofs: &[RrSet<'_>]) -> Security {
        let is_proof = |set: &&RrSet<'_>| matches!(set.rtype(), RecordType::NSEC | RecordType::NSEC3);
        let signers: Vec<Name> = proofs.iter().filter(is_proof).flat_map(RrSet::signers).collect();
        let Some(signer) = signers.iter().find(|signer| end.as_ref().is_at_or_below(signer.as_ref())) else {
            return self.unsigned(end.as_ref(), Ede::NSEC_MISSING).await;
        };
        let (zone, keys) = match self.zone(signer.as_ref()).await {
            Zone::Signed(zone, keys) => (zone, keys),
            Zone::Unsigned => return Security::Insecure,
            Zone::Bogus(ede) => return Security::Bogus(ede),
        };
        if zone != *signer {
            return Security::Bogus(Ede::DNSSEC_BOGUS);
        }
        let denial = Denial::of(zone.as_ref(), proofs, &keys, self.now, &AwsLc, &mut self.budget);
        let proof = match rcode {
            Rcode::NX_DOMAIN => denial.no_name(end.as_ref(), &AwsLc, &mut self.budget),
            _ => denial.no_data(end.as_ref(), rtype, &AwsLc, &mut self.budget),
        };
        match of(proof) {
            // An unsigned zone below may have answered through a proof of the one above.
            Security::Bogus(_) => self.unsigned(end.as_ref(), Ede::NSEC_MISSING).await,
            other @ (Security::Secure | Security::Insecure | Security::Unchecked) => other,
        }
    }

    /// The zone that `name` lies in, by the way from the closest trust anchor above.
    async fn zone(&mut self, name: NameRef<'_>) -> Zone {
        let anchors = &self.settings.config.trust_anchors;
        let above = anchors.iter().filter(|anchor| anchor.is_above(name));
        let Some(top) = above.max_by_key(|anchor| anchor.zone.as_ref().label_count()).map(|anchor| &anchor.zone) else {
            return Zone::Unsigned;
        };
        let (mut zone, mut keys) = match self.anchored(top).await {
            Cut::Signed(keys) => (top.clone(), keys),
            Cut::Bogus(ede) => return Zone::Bogus(ede),
            Cut::None | Cut::Unsigned => return Zone::Unsigned,
        };
        let below = name.label_count() - top.as_ref().label_count();
        let candidates: Vec<Name> = name.suffixes().take(below).map(NameRef::to_name).collect();
        for candidate in candidates.into_iter().rev() {
            match self.cut(&zone, &keys, &candidate).await {
                Cut::None => {}
                Cut::Signed(found) => (zone, keys) = (candidate, found),
                Cut::Unsigned => return Zone::Unsigned,
                Cut::Bogus(ede) => return Zone::Bogus(ede),
            }
        }
        Zone::Signed(zone, keys)
    }

    async fn anchored(&mut self, zone: &Name) -> Cut {
        if let Some(known) = self.remembered(zone) {
            return known;
        }
        let is_of = |anchor: &&Anchor| anchor.zone == *zone;
        let anchors = &self.settings.config.trust_anchors;
        let signers: Vec<_> = anchors.iter().filter(is_of).map(|anchor| anchor.ds.clone()).collect();
        let (cut, ttl) = self.keys(zone, &signers).await;
        self.remember(zone, cut, ttl)
    }

    /// What begins at `name`, as its parent zone says.
    async fn cut(&mut self, parent: &Name, keys: &Rc<[ZoneKey]>, name: &Name) -> Cut {
        if let Some(known) = self.remembered(name) {
            return known;
        }
        let Some((answers, authority)) = self.ask(name, RecordType::DS).await else {
            return Cut::Bogus(Ede::NO_REACHABLE_AUTHORITY);
        };
        let ttl = answers.iter().chain(&authority).map(|record| record.ttl).min().unwrap_or(0);
        let sets = rrsets(&answers);
        let is_ds = |set: &&RrSet<'_>| set.rtype() == RecordType::DS && set.owner() == name.as_ref();
        let Some(set) = sets.iter().find(is_ds) else {
            let cut = self.without_ds(parent, keys, name, &authority);
            return self.remember(name, cut, ttl);
        };
        if let Err(ede) = set.verify(parent.as_ref(), keys, self.now, &AwsLc, &mut self.budget) {
            return self.remember(name, Cut::Bogus(ede), 0);
        }
        let signers: Vec<_> =
            set.records().iter().filter_map(|record| DelegationSigner::parse(&record.rdata)).collect();
        // RFC 4035 §5.2: a zone that is signed in no way we know is as if it were not.
        if !signers.iter().any(|signer| signer.is_known(&AwsLc)) {
            return self.remember(name, Cut::Unsigned, ttl);
        }
        let (cut, of_keys) = self.keys(name, &signers).await;
        self.remember(name, cut, ttl.min(of_keys))
    }

    fn without_ds(&mut self, parent: &Name, keys: &[ZoneKey], name: &Name, authority: &[Record]) -> Cut {
        let proofs = rrsets(authority);
        let denial = Denial::of(parent.as_ref(), &proofs, keys, self.now, &AwsLc, &mut self.budget);
        match delegation(&denial, name.as_ref(), &AwsLc, &mut self.budget) {
            Unsigned::Delegation => Cut::Unsigned,
            Unsigned::NoDelegation => Cut::None,
        }
    }

    async fn keys(&mut self, zone: &Name, signers: &[DelegationSigner]) -> (Cut, u32) {
        let Some((answers, _)) = self.ask(zone, RecordType::DNSKEY).await else {
            return (Cut::Bogus(Ede::DNSKEY_MISSING), 0);
        };
        let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
        match trusted_keys(zone.as_ref(), &answers, signers, self.now, &AwsLc, &mut self.budget) {
            Ok(keys) => (Cut::Signed(keys.into()), ttl),
            Err(ede) => (Cut::Bogus(ede), 0),
        }
    }

    /// Answer and authority section; `None` if there is no answer.
    async fn ask(&self, name: &Name, rtype: RecordType) -> Option<(Vec<Record>, Vec<Record>)> {
        let answer = self.core.lookup(self.settings, name, rtype, Flavour::UNCHECKED).await;
        let seen = answer.seen(self.core.now_ms());
        let is_answer = matches!(seen.rcode(), Rcode::NO_ERROR | Rcode::NX_DOMAIN);
        let collect = |records: dns64::Records<'_>| records.map(|record| record.to_record()).collect();
        is_answer.then(|| (collect(seen.answers()), collect(seen.authority())))
    }

    fn remembered(&self, name: &Name) -> Option<Cut> {
        let zones = self.settings.zones.0.borrow();
        zones.get(name).filter(|(_, ends_ms)| *ends_ms > self.core.now_ms()).map(|(cut, _)| cut.clone())
    }

    fn remember(&self, name: &Name, cut: Cut, ttl: u32) -> Cut {
        let now_ms = self.core.now_ms();
        let lasts_ms = match &cut {
            Cut::Bogus(_) => RETRY_MS,
            Cut::None | Cut::Signed(_) | Cut::Unsigned => (u64::from(ttl) * 1_000).min(LONGEST_MS),
        };
        let mut zones = self.settings.zones.0.borrow_mut();
        if zones.len() >= MOST_ZONES {
            zones.retain(|_, (_, ends_ms)| *ends_ms > now_ms);
        }
        // Full of what is still good: the way is walked again next time.
        if zones.len() < MOST_ZONES {
            zones.insert(name.clone(), (cut.clone(), now_ms + lasts_ms));
        }
        cut
    }
}

fn of(proof: Proof) -> Security {
    match proof {
        Proof::Proven => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Missing => Security::Bogus(Ede::NSEC_MISSING),
    }
}

/// RFC 6672 §5.3.1: such a CNAME is not signed; the DNAME is.
fn is_made_by_dname(cname: &RrSet<'_>, before: &[RrSet<'_>]) -> bool {
    let [record] = cname.records() else { return false };
    let makes = |set: &RrSet<'_>| {
        set.rtype() == RecordType::DNAME
            && set.records().iter().any(|dname| {
                dns64::substitute(dname, cname.owner())
                    .is_some_and(|target| Some(target.as_ref()) == record.as_ref().target())
            })
    };
    before.iter().any(makes)
}
