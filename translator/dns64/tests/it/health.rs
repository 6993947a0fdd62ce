//! Which prefixes packets get through decides which addresses are made.

use dns64::{Healthy, Message, Policy, RecordType};
use serde_json::json;

use crate::resolver::{Asked, Resolver, Script};
use crate::text::{name, record};

fn resolver() -> Resolver {
    let policy = Policy::parse(&json!({ "prefixes": ["2001:db8:64::/96", "2001:db8:65::/96"] })).unwrap();
    let mut resolver = Resolver::new(policy);
    let a = Script { answers: vec![record("v4.example. 300 A 5.6.7.8")], ..Script::default() };
    let soa = record("example. 1200 SOA ns1.example. h.example. 1 7200 900 604800 1200");
    let aaaa = Script { authority: vec![soa], ..Script::default() };
    resolver.table = vec![(name("v4.example."), RecordType::A, a), (name("v4.example."), RecordType::AAAA, aaaa)];
    resolver
}

fn ask(resolver: &mut Resolver, text: &str) -> Message {
    Message::parse(&resolver.ask(&Asked::new(name(text), RecordType::AAAA))).unwrap()
}

#[test]
fn an_unhealthy_prefix_is_left_out_and_comes_back_without_a_question_to_the_upstream() {
    let mut resolver = resolver();
    assert_eq!(ask(&mut resolver, "v4.example.").answers.len(), 2);

    resolver.healthy = Healthy::ALL.with(0, false);
    assert_eq!(ask(&mut resolver, "v4.example.").answers, [record("v4.example. 300 AAAA 2001:db8:65::506:708")]);

    resolver.healthy = Healthy::ALL;
    assert_eq!(ask(&mut resolver, "v4.example.").answers.len(), 2);
    assert_eq!(resolver.log.len(), 2);
}

#[test]
fn with_none_healthy_there_is_nothing_for_a_short_time_and_a_reason() {
    let mut resolver = resolver();
    resolver.healthy = Healthy::ALL.with(0, false).with(1, false);

    let reply = ask(&mut resolver, "v4.example.");

    assert_eq!((reply.rcode, reply.answers.len(), reply.ede), (dns64::Rcode::NO_ERROR, 0, Some(0)));
    assert_eq!((reply.authority.len(), reply.authority[0].ttl), (1, 5));
}

#[test]
fn without_a_soa_record_of_the_upstream_the_short_time_is_said_by_one_of_ours() {
    let mut resolver = resolver();
    resolver.table[1].2.authority.clear();
    resolver.healthy = Healthy::ALL.with(0, false).with(1, false);

    let reply = ask(&mut resolver, "v4.example.");

    assert_eq!((reply.authority[0].rtype, reply.authority[0].ttl), (RecordType::SOA, 5));
}

#[test]
fn discovery_tells_of_the_healthy_prefixes_only() {
    let mut resolver = resolver();
    resolver.healthy = Healthy::ALL.with(1, false);
    assert_eq!(ask(&mut resolver, "ipv4only.arpa.").answers.len(), 2);

    resolver.healthy = resolver.healthy.with(0, false);
    let reply = ask(&mut resolver, "ipv4only.arpa.");
    assert_eq!((reply.answers.len(), reply.authority[0].ttl, reply.ede), (0, 5, Some(0)));
}
