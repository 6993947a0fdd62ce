//! Everything that bytes from outside go through, as functions of these bytes: for fuzzing and for replaying what it finds.
//!
//! A broken promise panics; so does a fault.

use crate::cache::{Cache, Key, Limits};
use crate::chain::follow;
use crate::codes::{CLASS_IN, Rcode, RecordType};
use crate::dnssec::{Budget, Crypto, Denial, ZoneKey, delegation, rrsets, trusted_keys};
use crate::local::{Local, local, ptr_reply};
use crate::name::NameRef;
use crate::outcome::{Outcome, Security, Seen};
use crate::policy::{Healthy, Policy};
use crate::question::{Dnssec, answers, write_question};
use crate::reply::{Reply, Transport, write_wrong};
use crate::synth::{Verdict, decide};
use crate::wire::{Message, Query};

/// A question of a client: every answer to it that is made at once is a message, of the size that the client takes.
pub fn query(bytes: &[u8]) {
    let mut out = Vec::new();
    let query = match Query::parse(bytes) {
        Ok(query) => query,
        Err(wrong) => {
            assert!(!write_wrong(wrong, &mut out) || Message::parse(&out).is_ok(), "an error is a message");
            return;
        }
    };
    let policy = Policy::default();
    for transport in [Transport::Udp, Transport::Tcp] {
        let view = policy.view([127, 0, 0, 1].into(), query.recursion_desired(), Healthy::ALL);
        match local(view, &query) {
            Local::Answer(reply) => check(&reply, &query, transport, &mut out),
            Local::Reverse(name) => {
                let nothing = Outcome::new(name.as_ref(), Rcode::NO_ERROR, Security::Unchecked, [&[], &[], &[]]);
                check(
                    &ptr_reply(&query, name.as_ref(), Seen::new(&nothing, name.as_ref(), 0)),
                    &query,
                    transport,
                    &mut out,
                );
            }
            Local::Ordinary => {
                let nothing = Outcome::new(query.name, Rcode::NO_ERROR, Security::Unchecked, [&[], &[], &[]]);
                let seen = Seen::new(&nothing, query.name, 0);
                if let Verdict::Answer(reply) = decide(view, &query, seen, Some(seen)) {
                    check(&reply, &query, transport, &mut out);
                }
            }
        }
    }
}

fn check(reply: &Reply<'_>, query: &Query<'_>, transport: Transport, out: &mut Vec<u8>) {
    reply.write(query, transport, out);
    let limit = match (transport, query.edns) {
        (Transport::Tcp, _) => 65_535,
        (Transport::Udp, None) => 512,
        (Transport::Udp, Some(_)) => 1_232,
    };
    assert!(out.len() <= limit, "{} bytes of at most {limit}", out.len());
    let message = Message::parse(out).expect("what we write can be read");
    assert_eq!(message.id, query.id);
    assert_eq!(message.edns.is_some(), query.edns.is_some(), "an OPT record answers an OPT record");
}

/// An answer of an upstream: it is refused, or kept in bounded memory and passed on as a message.
pub fn answer(bytes: &[u8]) {
    let mut asked = Vec::new();
    let Ok(message) = Message::parse(bytes) else { return };
    let Some(question) = message.question.as_ref().filter(|question| question.class == CLASS_IN) else { return };
    let name = question.name.as_ref();
    write_question(&mut asked, message.id, name, question.rtype, Dnssec { records: true, unchecked: false });
    let _fits = answers(bytes, &asked);
    let Ok(step) = follow(&message, name, question.rtype) else { return };
    let sections = [&step.answers[..], &message.authority, &message.additional];
    let outcome = Outcome::new(name, message.rcode, Security::Insecure, sections);
    let mut cache = Cache::new(Limits { entries: 4, bytes: 1 << 20 }, 1);
    cache.insert(0, Key { name, rtype: question.rtype, flavour: 0 }, &outcome);
    assert!(cache.bytes() <= 1 << 20);
    let seen = Seen::new(&outcome, name, 1);
    assert_eq!(seen.answers().count(), step.answers.len(), "what is packed can be read");
    let policy = Policy::default();
    let mut out = Vec::new();
    let asked = Query::parse(&asked).expect("we ask questions");
    let view = policy.view([127, 0, 0, 1].into(), true, Healthy::ALL);
    for transport in [Transport::Udp, Transport::Tcp] {
        check(&Reply::raw(&asked, seen), &asked, transport, &mut out);
        check(&ptr_reply(&asked, name, seen), &asked, transport, &mut out);
        if let Verdict::Answer(reply) = decide(view, &asked, seen, Some(seen)) {
            check(&reply, &asked, transport, &mut out);
        }
    }
    proofs(&message, name, question.rtype);
}

/// Every signature is good, so that what is behind them is reached.
struct Credulous;

impl Crypto for Credulous {
    fn knows_algorithm(&self, _algorithm: u8) -> bool {
        true
    }

    fn verifies(&self, _algorithm: u8, _key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        // Most are: so that the other way is walked as well.
        message.len() % 16 != signature.len() % 16 || signature.is_empty()
    }

    fn digest(&self, kind: u8, message: &[u8]) -> Option<Vec<u8>> {
        let length = [0, 20, 32, 0, 48].get(usize::from(kind)).copied().filter(|length| *length > 0)?;
        let sum = message.iter().fold(7_u8, |sum, octet| sum.wrapping_mul(31).wrapping_add(*octet));
        Some((0..length).map(|index| sum.wrapping_add(index)).collect())
    }
}

fn proofs(message: &Message, name: NameRef<'_>, rtype: RecordType) {
    let mut budget = Budget::default();
    let records = [&message.answers[..], &message.authority].concat();
    let sets = rrsets(&records);
    let keys: Vec<ZoneKey> = records.iter().filter_map(|record| ZoneKey::parse(&record.rdata)).take(8).collect();
    for zone in name.suffixes() {
        let _keys = trusted_keys(zone, &records, &[], 0, &Credulous, &mut budget);
        let denial = Denial::of(zone, &sets, &keys, 0, &Credulous, &mut budget);
        denial.no_data(name, rtype, &Credulous, &mut budget);
        denial.no_name(name, &Credulous, &mut budget);
        denial.no_closer(name, zone.label_count(), &Credulous, &mut budget);
        delegation(&denial, name, &Credulous, &mut budget);
    }
    for set in &sets {
        let _signers = set.signers();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Headers and names that are nearly right reach further than noise.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let counts = prop::array::uniform4(0_u8..4);
        (any::<[u8; 4]>(), counts, prop::collection::vec(part(), 0..12)).prop_map(|(head, counts, parts)| {
            let mut bytes = head.to_vec();
            bytes.extend(counts.iter().flat_map(|count| [0, *count]));
            bytes.extend(parts.concat());
            bytes
        })
    }

    fn part() -> impl Strategy<Value = Vec<u8>> {
        let records = [1_u8, 2, 5, 6, 12, 28, 39, 41, 43, 46, 47, 48, 50]
            .map(|rtype| vec![0xc0, 12, 0, rtype, 0, 1, 0, 0, 0, 9, 0, 4]);
        prop_oneof![
            Just(b"\x03www\x07example\x00\x00\x1c\x00\x01".to_vec()),
            Just(b"\xc0\x0c".to_vec()),
            prop::sample::select(records.to_vec()),
            prop::collection::vec(any::<u8>(), 0..24),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_break_a_promise(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..200), nearly()]) {
            query(&bytes);
            answer(&bytes);
        }
    }
}
