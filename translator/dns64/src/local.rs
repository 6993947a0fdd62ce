//! Names that are answered here: ipv4only.arpa (RFC 8880) and the reverse names of our prefixes (RFC 6147 §5.3.1).

use std::net::{Ipv4Addr, Ipv6Addr};

use contract::Pool6;

use crate::codes::{CLASS_IN, Ede, Rcode, RecordType};
use crate::name::{Name, NameRef};
use crate::outcome::Seen;
use crate::policy::{Policy, View};
use crate::reply::{Kind, Reply};
use crate::wire::{Query, Record};

const IPV4ONLY_ARPA: &[u8] = b"\x08ipv4only\x04arpa\x00";
const IP6_ARPA: &[u8] = b"\x03ip6\x04arpa\x00";
const NIBBLES: usize = 32;

/// RFC 7050 §2.2.
const WELL_KNOWN_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
/// RFC 7050 §5 warns of long ones: within this time clients learn that a prefix changed. In seconds.
const DISCOVERY_TTL_SECS: u32 = 300;
/// The same while none is healthy.
const NO_PREFIX_TTL_SECS: u32 = 5;

/// What is special about a question.
#[derive(Debug)]
pub enum Local<'a> {
    /// It has an answer already.
    Answer(Reply<'a>),
    /// The PTR records of this name tell the answer; [`ptr_reply`] makes it.
    Reverse(Name),
    /// Nothing.
    Ordinary,
}

/// Looks for a special name.
pub fn local<'a>(view: View<'a>, query: &Query<'_>) -> Local<'a> {
    // All of them end in arpa: most questions are done here.
    let ends_in_arpa =
        query.name.as_bytes().len() > 9 && query.name.as_bytes().to_ascii_lowercase().ends_with(b"\x04arpa\x00");
    if !ends_in_arpa || query.class != CLASS_IN {
        return Local::Ordinary;
    }
    let ipv4only = NameRef::trusted(IPV4ONLY_ARPA);
    if query.name.is_at_or_below(ipv4only) {
        // RFC 8880 §7.1: the DS record is the exception, so that a client sees that the delegation is not secure.
        let is_ds = query.rtype == RecordType::DS && query.name == ipv4only;
        return if is_ds { Local::Ordinary } else { Local::Answer(discovery(view, query, ipv4only)) };
    }
    reverse(view.policy, query)
}

/// RFC 8880 §7.1: immediate answers for the name, none for what is below.
fn discovery<'a>(view: View<'a>, query: &Query<'_>, ipv4only: NameRef<'_>) -> Reply<'a> {
    if query.name != ipv4only {
        return Reply::own(Rcode::NX_DOMAIN, Kind::Local, Vec::new(), Some(soa(ipv4only, DISCOVERY_TTL_SECS)));
    }
    let record = |rtype, rdata: &[u8]| Record {
        owner: query.name.to_name(),
        rtype,
        ttl: DISCOVERY_TTL_SECS,
        rdata: rdata.into(),
    };
    let answers: Vec<Record> = match query.rtype {
        RecordType::A => WELL_KNOWN_ADDRESSES.map(|address| record(RecordType::A, &address.octets())).into(),
        // Neither a list of mapped addresses nor the table of special ones hides these two.
        RecordType::AAAA => view
            .healthy()
            .flat_map(|prefix| WELL_KNOWN_ADDRESSES.map(|address| prefix.embed(address)))
            .map(|address| record(RecordType::AAAA, &address.octets()))
            .collect(),
        _ => Vec::new(),
    };
    if !answers.is_empty() {
        return Reply::own(Rcode::NO_ERROR, Kind::Local, answers, None);
    }
    if query.rtype == RecordType::AAAA && view.is_unhealthy() {
        let soa = soa(ipv4only, NO_PREFIX_TTL_SECS);
        let reply = Reply::own(Rcode::NO_ERROR, Kind::NoHealthyPrefix, Vec::new(), Some(soa));
        return reply.with_ede(Ede::OTHER, "no NAT64 prefix is healthy");
    }
    Reply::own(Rcode::NO_ERROR, Kind::Local, Vec::new(), Some(soa(ipv4only, DISCOVERY_TTL_SECS)))
}

fn reverse<'a>(policy: &Policy, query: &Query<'_>) -> Local<'a> {
    let Some((bits, nibbles)) = nibbles(query.name) else { return Local::Ordinary };
    let address = Ipv6Addr::from_bits(bits);
    // Longest first: a /96 inside a /32 is the one that is meant.
    let inside = |pool6: &Pool6| nibbles * 4 >= usize::from(pool6.net().prefix_len()) && pool6.net().contains(&address);
    let found = policy.prefixes().iter().map(|prefix| prefix.pool6()).filter(inside);
    let Some(pool6) = found.max_by_key(|pool6| pool6.net().prefix_len()) else { return Local::Ordinary };
    if nibbles < NIBBLES {
        // Names exist below it, so it exists, and has nothing (RFC 8020).
        let apex = query.name.last_labels(2 + usize::from(pool6.net().prefix_len()) / 4);
        let soa = soa(apex, DISCOVERY_TTL_SECS);
        return Local::Answer(Reply::own(Rcode::NO_ERROR, Kind::Ptr, Vec::new(), Some(soa)));
    }
    if query.rtype != RecordType::PTR {
        return Local::Ordinary;
    }
    match pool6.extract(address) {
        None => Local::Ordinary,
        Some(address) if WELL_KNOWN_ADDRESSES.contains(&address) => {
            // RFC 8880 §7.2.1.
            let ptr = Record {
                owner: query.name.to_name(),
                rtype: RecordType::PTR,
                ttl: DISCOVERY_TTL_SECS,
                rdata: IPV4ONLY_ARPA.into(),
            };
            Local::Answer(Reply::own(Rcode::NO_ERROR, Kind::Ptr, vec![ptr], None))
        }
        Some(address) => Local::Reverse(in_addr_arpa(address)),
    }
}

/// The bits that a name below ip6.arpa stands for, and how many nibbles of them there are; `None` if it is no such name.
fn nibbles(name: NameRef<'_>) -> Option<(u128, usize)> {
    if !name.is_at_or_below(NameRef::trusted(IP6_ARPA)) {
        return None;
    }
    let count = name.label_count() - 2;
    if count > NIBBLES {
        return None;
    }
    let mut bits = 0;
    for (index, label) in name.labels().take(count).enumerate() {
        let [digit] = label else { return None };
        let digit = char::from(*digit).to_digit(16)?;
        // The first label is the last nibble of so many.
        bits |= u128::from(digit) << (4 * (index + NIBBLES - count));
    }
    Some((bits, count))
}

fn in_addr_arpa(address: Ipv4Addr) -> Name {
    let [a, b, c, d] = address.octets().map(|octet| octet.to_string());
    Name::of(&[d.as_bytes(), c.as_bytes(), b.as_bytes(), a.as_bytes(), b"in-addr", b"arpa"])
}

/// The answer to a question for the PTR records of an address in a prefix, from those of the IPv4 address: a CNAME to
/// them, if they are there and no alias themselves (RFC 6147 §5.3.1), or their data under the name asked for.
pub fn ptr_reply<'a>(query: &Query<'_>, ipv4_name: NameRef<'_>, ptr: Seen<'a>) -> Reply<'a> {
    let raw = Reply::raw(query, ptr);
    if raw.rcode() != Rcode::NO_ERROR {
        return raw.not_authentic();
    }
    let records: Vec<Record> =
        ptr.answers().filter(|record| record.rtype == RecordType::PTR).map(|record| record.to_record()).collect();
    let Some(ttl) = ptr.answers().map(|record| record.ttl).min() else { return raw.not_authentic() };
    if records.is_empty() {
        // An alias to nothing: of its answer only the record counts that says for how long.
        let soa = ptr.soa().map(|soa| soa.to_record());
        return Reply::own(Rcode::NO_ERROR, Kind::Ptr, Vec::new(), soa);
    }
    let owner = query.name.to_name();
    if records.iter().any(|record| record.owner.as_ref() != ipv4_name) {
        let copies = records.into_iter().map(|record| Record { owner: owner.clone(), ttl, ..record }).collect();
        return Reply::own(Rcode::NO_ERROR, Kind::Ptr, copies, None);
    }
    let cname = Record { owner, rtype: RecordType::CNAME, ttl, rdata: ipv4_name.as_bytes().into() };
    let answers = std::iter::once(cname).chain(records).collect();
    Reply::own(Rcode::NO_ERROR, Kind::Ptr, answers, None)
}

/// A SOA record of our own, like those of RFC 6303 §3.
pub(crate) fn soa(owner: NameRef<'_>, ttl: u32) -> Record {
    let mut rdata = owner.as_bytes().to_vec();
    rdata.extend_from_slice(b"\x06nobody\x07invalid\x00");
    // Serial, refresh, retry, expire, and for how long a negative answer is good.
    for number in [1, 3_600, 1_200, 604_800, ttl] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    Record { owner: owner.to_name(), rtype: RecordType::SOA, ttl, rdata: rdata.into() }
}
