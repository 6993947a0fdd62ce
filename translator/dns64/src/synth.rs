//! The decision (RFC 6147 §5.1): what becomes of a question for AAAA records, given what became of the questions for AAAA
//! and for A.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::codes::{Rcode, RecordType};
use crate::outcome::{Security, Seen};
use crate::policy::View;
use crate::reply::{Body, Kind, Reply};
use crate::wire::{Query, RecordRef};

/// RFC 6147 §5.1.7: "the minimum of the TTL of the original A RR and 600 seconds" when no SOA record says how long the
/// lack of AAAA records is certain.
const TTL_WITHOUT_SOA_SECS: u32 = 600;
/// How long a client believes that there is nothing, while no prefix is healthy.
pub(crate) const NO_HEALTHY_PREFIX_SECS: u32 = 5;

/// What to do next.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// The A records are needed too.
    AskA,
    /// The answer.
    Answer(Reply<'a>),
}

/// Decides about a question for the AAAA records of class IN. Without `a` the verdict may be to ask for it.
pub fn decide<'a>(view: View<'a>, query: &Query<'_>, aaaa: Seen<'a>, a: Option<Seen<'a>>) -> Verdict<'a> {
    // RFC 6147 §5.5: who sets CD validates, and can make addresses alone.
    if query.checking_disabled() || view.is_empty() || view.leaves_alone(query.name) {
        return Verdict::Answer(Reply::raw(query, aaaa));
    }
    let is_bogus = matches!(aaaa.security(), Security::Bogus(_));
    // RFC 6147 §5.1.2: of all errors, only that the name does not exist is passed on.
    if is_bogus || aaaa.rcode() == Rcode::NX_DOMAIN {
        return Verdict::Answer(Reply::raw(query, aaaa));
    }
    let real = Real::of(aaaa, view);
    if real.kept > 0 && !view.ignores_aaaa(query.name) {
        return Verdict::Answer(real.reply(query, aaaa, view));
    }
    match a {
        None => Verdict::AskA,
        Some(a) => Verdict::Answer(from_a(view, query, aaaa, real, a)),
    }
}

/// RFC 6147 §5.1.6 and §5.4: the answer is made of what the question for A brought.
fn from_a<'a>(view: View<'a>, query: &Query<'_>, aaaa: Seen<'a>, real: Real, a: Seen<'a>) -> Reply<'a> {
    if matches!(a.security(), Security::Bogus(_)) {
        return Reply::raw(query, a);
    }
    // As BIND's `break-dnssec no`: who asked for signatures would find none over what is made of signed records.
    let is_signed = |record: RecordRef<'_>| record.covered() == Some(RecordType::A);
    if view.keeps_dnssec() && query.dnssec_ok() && a.answers().any(is_signed) {
        return real.reply(query, aaaa, view);
    }
    let made = Made::of(a, view);
    if made.by_healthy {
        let authentic = query.dnssec_ok() && aaaa.is_secure() && a.is_secure();
        return Reply::synthetic(a, real.cap(aaaa), view, authentic);
    }
    // The operator would rather not see these addresses used, but they are all there is.
    if real.kept > 0 {
        return real.reply(query, aaaa, view);
    }
    let has_nothing = aaaa.rcode() == Rcode::NO_ERROR && real.excluded == 0;
    let basis = if has_nothing { aaaa } else { a };
    if made.by_any {
        return Reply::negative(basis, Kind::NoHealthyPrefix);
    }
    if made.addresses > 0 {
        return Reply::negative(basis, Kind::Unmapped);
    }
    // An error of the question for A comes before "nothing of this type" of the question for AAAA.
    if has_nothing && a.rcode() == Rcode::NO_ERROR {
        return Reply::raw(query, aaaa);
    }
    Reply::raw(query, a).not_authentic()
}

/// The AAAA records there are.
#[derive(Clone, Copy)]
struct Real {
    kept: usize,
    excluded: usize,
    /// The smallest of them all, in seconds.
    ttl: u32,
}

impl Real {
    fn of(aaaa: Seen<'_>, view: View<'_>) -> Self {
        let mut real = Self { kept: 0, excluded: 0, ttl: u32::MAX };
        if aaaa.rcode() != Rcode::NO_ERROR {
            return real;
        }
        for record in aaaa.answers() {
            let Some(address) = aaaa_address(record) else { continue };
            let counter = if view.excludes(address) { &mut real.excluded } else { &mut real.kept };
            *counter += 1;
            real.ttl = real.ttl.min(record.ttl);
        }
        real
    }

    fn reply<'a>(self, query: &Query<'_>, aaaa: Seen<'a>, view: View<'a>) -> Reply<'a> {
        match self.excluded {
            0 => Reply::raw(query, aaaa),
            _ => Reply::without_excluded(aaaa, view),
        }
    }

    /// For how many seconds it is certain that no (usable) AAAA record exists.
    fn cap(self, aaaa: Seen<'_>) -> u32 {
        if self.kept + self.excluded > 0 {
            return self.ttl;
        }
        let soa = if aaaa.rcode() == Rcode::NO_ERROR { aaaa.soa() } else { None };
        soa.map_or(TTL_WITHOUT_SOA_SECS, |soa| soa.ttl)
    }
}

/// What can be made of the A records.
struct Made {
    addresses: usize,
    by_any: bool,
    by_healthy: bool,
}

impl Made {
    fn of(a: Seen<'_>, view: View<'_>) -> Self {
        let mut made = Self { addresses: 0, by_any: false, by_healthy: false };
        if a.rcode() != Rcode::NO_ERROR {
            return made;
        }
        for address in a.answers().filter_map(a_address) {
            made.addresses += 1;
            made.by_healthy = made.by_healthy || view.healthy().any(|prefix| prefix.map(address).is_some());
            made.by_any = made.by_any || view.applicable().any(|prefix| prefix.map(address).is_some());
        }
        made
    }
}

pub(crate) fn aaaa_address(record: RecordRef<'_>) -> Option<Ipv6Addr> {
    match record.rtype {
        RecordType::AAAA => record.rdata.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes)),
        _ => None,
    }
}

pub(crate) fn a_address(record: RecordRef<'_>) -> Option<Ipv4Addr> {
    match record.rtype {
        RecordType::A => record.rdata.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes)),
        _ => None,
    }
}

/// The records of a synthetic answer, prefix by prefix; `each` gets their addresses.
pub(crate) fn for_each_synthetic(view: View<'_>, a: Seen<'_>, mut each: impl FnMut(RecordRef<'_>, Ipv6Addr)) {
    for prefix in view.healthy() {
        for record in a.answers() {
            if let Some(address) = a_address(record).and_then(|address| prefix.map(address)) {
                each(record, address);
            }
        }
    }
}

/// The bodies that the decision knows.
impl<'a> Reply<'a> {
    fn synthetic(a: Seen<'a>, cap: u32, view: View<'a>, authentic: bool) -> Self {
        Self::of(Rcode::NO_ERROR, Kind::Synthetic, Body::Synthetic { a, cap, view }, authentic)
    }

    fn without_excluded(aaaa: Seen<'a>, view: View<'a>) -> Self {
        // What is left is no longer what was signed.
        Self::of(Rcode::NO_ERROR, Kind::Excluded, Body::WithoutExcluded { aaaa, view }, false)
    }

    fn negative(basis: Seen<'a>, kind: Kind) -> Self {
        Self::of(Rcode::NO_ERROR, kind, Body::Nothing { basis }, false)
    }
}
