//! An answer to a client, and how it becomes a message.

use crate::codes::{Ede, Rcode, RecordType};
use crate::outcome::{Security, Seen};
use crate::policy::View;
use crate::synth::{NO_HEALTHY_PREFIX_SECS, aaaa_address, for_each_synthetic};
use crate::wire::{NoQuery, Query, Record, RecordRef, Section, Writer, flag};

/// The largest answer over UDP, in bytes: with headers it fits into the 1280 that every IPv6 link carries.
pub const LARGEST_UDP: u16 = 1_232;
/// RFC 1035 §4.2.1: the largest answer to who does not say otherwise.
const PLAIN_UDP: u16 = 512;
/// A message over TCP has 16 bits for its length.
const LARGEST_TCP: usize = 65_535;

/// What kind of answer it is; there is a counter for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// As an upstream gave it.
    Real,
    /// With addresses that were made.
    Synthetic,
    /// Without the addresses that are excluded.
    Excluded,
    /// Nothing: no prefix stands for the addresses.
    Unmapped,
    /// Nothing: packets get through none of the prefixes.
    NoHealthyPrefix,
    /// From the names that are special (RFC 8880), or beside a prefix.
    Local,
    /// The name of an address in a prefix.
    Ptr,
    /// An upstream's error, or that there was none.
    Error,
    /// Refused: not for this client, or no question that has an answer.
    Refused,
}

/// Over what the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// An answer.
#[derive(Debug)]
pub struct Reply<'a> {
    rcode: Rcode,
    kind: Kind,
    body: Body<'a>,
    authentic: bool,
    ede: Option<(Ede, &'static str)>,
}

#[derive(Debug)]
pub(crate) enum Body<'a> {
    Empty,
    /// Everything, unchanged.
    Whole(Seen<'a>),
    /// AAAA records that a list names are left out, and the signatures over the rest with them.
    WithoutExcluded {
        aaaa: Seen<'a>,
        view: View<'a>,
    },
    /// Every A record as one AAAA record for each prefix, for at most `cap` seconds.
    Synthetic {
        a: Seen<'a>,
        cap: u32,
        view: View<'a>,
    },
    /// The way to the last name, and nothing there.
    Nothing {
        basis: Seen<'a>,
    },
    /// Our own data.
    Own {
        answers: Vec<Record>,
        soa: Option<Record>,
    },
}

impl<'a> Reply<'a> {
    pub(crate) fn of(rcode: Rcode, kind: Kind, body: Body<'a>, authentic: bool) -> Self {
        let ede = match kind {
            Kind::Synthetic => Some((Ede::SYNTHESIZED, "")),
            Kind::Unmapped => Some((Ede::OTHER, "no prefix stands for its IPv4 addresses")),
            Kind::NoHealthyPrefix => Some((Ede::OTHER, "no NAT64 prefix is healthy")),
            Kind::Real | Kind::Excluded | Kind::Local | Kind::Ptr | Kind::Error | Kind::Refused => None,
        };
        Self { rcode, kind, body, authentic, ede }
    }

    /// What an upstream said; a failed validation is an error, unless the client does not want to know.
    pub fn raw(query: &Query<'_>, seen: Seen<'a>) -> Self {
        if let (Security::Bogus(ede), false) = (seen.security(), query.checking_disabled()) {
            return Self::failure(ede);
        }
        let authentic = seen.is_secure() && query.wants_authentic_data() && !query.checking_disabled();
        let is_answer = matches!(seen.rcode(), Rcode::NO_ERROR | Rcode::NX_DOMAIN);
        let kind = if is_answer { Kind::Real } else { Kind::Error };
        let mut reply = Self::of(seen.rcode(), kind, Body::Whole(seen), authentic);
        reply.ede = seen.ede().map(|ede| (ede, ""));
        reply
    }

    /// SERVFAIL, and why.
    pub fn failure(ede: Ede) -> Self {
        let mut reply = Self::of(Rcode::SERV_FAIL, Kind::Error, Body::Empty, false);
        reply.ede = Some((ede, ""));
        reply
    }

    /// REFUSED, and why.
    pub fn refused(ede: Ede) -> Self {
        let mut reply = Self::of(Rcode::REFUSED, Kind::Refused, Body::Empty, false);
        reply.ede = Some((ede, ""));
        reply
    }

    pub(crate) fn own(rcode: Rcode, kind: Kind, answers: Vec<Record>, soa: Option<Record>) -> Self {
        Self::of(rcode, kind, Body::Own { answers, soa }, false)
    }

    pub(crate) fn with_ede(mut self, ede: Ede, text: &'static str) -> Self {
        self.ede = Some((ede, text));
        self
    }

    pub(crate) fn not_authentic(mut self) -> Self {
        self.authentic = false;
        self
    }

    /// For the counters.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How it ended.
    pub fn rcode(&self) -> Rcode {
        self.rcode
    }

    /// Writes the message into `out`, which is emptied first. What does not fit is left out and TC says so.
    pub fn write(&self, query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) {
        let limit = match (transport, query.edns) {
            (Transport::Tcp, _) => LARGEST_TCP,
            (Transport::Udp, None) => usize::from(PLAIN_UDP),
            (Transport::Udp, Some(edns)) => usize::from(edns.payload.clamp(PLAIN_UDP, LARGEST_UDP)),
        };
        if !self.write_within(limit, query, out) {
            let short =
                Reply { rcode: self.rcode, kind: self.kind, body: Body::Empty, authentic: false, ede: self.ede };
            short.write_as(query, flag::TRUNCATED, out);
        }
    }

    fn write_within(&self, limit: usize, query: &Query<'_>, out: &mut Vec<u8>) -> bool {
        self.write_as(query, 0, out);
        out.len() <= limit
    }

    fn write_as(&self, query: &Query<'_>, truncated: u16, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out, query.id);
        writer.question(query.name, query.rtype, query.class);
        self.write_body(query, &mut writer);
        if let Some(edns) = query.edns {
            let ede = self.ede.map(|(ede, text)| (ede.0, text));
            writer.opt(LARGEST_UDP, (self.rcode.0 >> 4) as u8, edns.dnssec_ok, ede);
        }
        let copied = query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
        let authentic = if self.authentic { flag::AUTHENTIC_DATA } else { 0 };
        // An error that needs the upper bits has no place to go without EDNS.
        let rcode = if self.rcode.0 > 0xf && query.edns.is_none() { Rcode::SERV_FAIL } else { self.rcode };
        writer.finish(copied | authentic | truncated | flag::RECURSION_AVAILABLE | rcode.0 & 0xf);
    }

    fn write_body(&self, query: &Query<'_>, writer: &mut Writer<'_>) {
        let wanted = |record: &RecordRef<'_>| {
            query.dnssec_ok()
                || !record.rtype.is_dnssec()
                || record.rtype == query.rtype
                || query.rtype == RecordType::ANY
        };
        let mut all = |section, records: &mut dyn Iterator<Item = RecordRef<'_>>| {
            records.filter(wanted).for_each(|record| writer.record(section, record));
        };
        match &self.body {
            Body::Empty => {}
            Body::Whole(seen) => {
                all(Section::Answer, &mut seen.answers());
                all(Section::Authority, &mut seen.authority());
                all(Section::Additional, &mut seen.additional());
            }
            Body::WithoutExcluded { aaaa, view } => {
                let kept =
                    |record: &RecordRef<'_>| !aaaa_address(*record).is_some_and(|address| view.excludes(address));
                let mut answers = aaaa.answers().filter(kept).filter(not_over(RecordType::AAAA));
                all(Section::Answer, &mut answers);
                all(Section::Authority, &mut aaaa.authority());
                all(Section::Additional, &mut aaaa.additional());
            }
            Body::Synthetic { a, cap, view } => {
                all(Section::Answer, &mut way(*a, RecordType::A));
                for_each_synthetic(*view, *a, |record, address| {
                    let ttl = record.ttl.min(*cap);
                    let rdata = &address.octets();
                    let record = RecordRef { owner: record.owner, rtype: RecordType::AAAA, ttl, rdata };
                    all(Section::Answer, &mut std::iter::once(record));
                });
                all(Section::Authority, &mut a.authority());
                all(Section::Additional, &mut a.additional());
            }
            Body::Nothing { basis } => self.write_nothing(query, *basis, &mut all),
            Body::Own { answers, soa } => {
                all(Section::Answer, &mut answers.iter().map(Record::as_ref));
                all(Section::Authority, &mut soa.iter().map(Record::as_ref));
            }
        }
    }

    fn write_nothing(
        &self,
        query: &Query<'_>,
        basis: Seen<'_>,
        all: &mut dyn FnMut(Section, &mut dyn Iterator<Item = RecordRef<'_>>),
    ) {
        let cap = if self.kind == Kind::NoHealthyPrefix { NO_HEALTHY_PREFIX_SECS } else { u32::MAX };
        let answers = || way(basis, RecordType::A).filter(|record| record.rtype != RecordType::AAAA);
        all(Section::Answer, &mut answers().filter(not_over(RecordType::AAAA)));
        // Proofs that the type does not exist would be about the wrong type, or last too long.
        let mut soa = basis.soa();
        let last = answers().filter_map(|record| is_alias(record).then(|| record.target()).flatten()).last();
        let own = crate::local::soa(last.unwrap_or(query.name), NO_HEALTHY_PREFIX_SECS);
        if soa.is_none() && self.kind == Kind::NoHealthyPrefix {
            soa = Some(own.as_ref());
        }
        let soa = soa.map(|soa| RecordRef { ttl: soa.ttl.min(cap), ..soa });
        all(Section::Authority, &mut soa.into_iter());
    }
}

fn is_alias(record: RecordRef<'_>) -> bool {
    record.rtype == RecordType::CNAME
}

/// The answer section without the records of `rtype` and the signatures over them.
fn way<'a>(seen: Seen<'a>, rtype: RecordType) -> impl Iterator<Item = RecordRef<'a>> {
    seen.answers().filter(move |record| record.rtype != rtype).filter(not_over(rtype))
}

fn not_over(rtype: RecordType) -> impl Fn(&RecordRef<'_>) -> bool {
    move |record| record.covered() != Some(rtype)
}

/// The answer to what is no question, in `out`; nothing if nobody should be answered.
pub fn write_wrong(wrong: NoQuery, out: &mut Vec<u8>) -> bool {
    let NoQuery::Wrong { id, flags, rcode, edns } = wrong else { return false };
    let mut writer = Writer::new(out, id);
    if edns {
        writer.opt(LARGEST_UDP, (rcode.0 >> 4) as u8, false, None);
    }
    writer.finish(flags & (flag::OPCODE | flag::RECURSION_DESIRED) | rcode.0 & 0xf);
    true
}
