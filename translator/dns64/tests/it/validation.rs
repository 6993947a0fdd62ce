//! DNSSEC (RFC 6147 §3, §5.5) and the names that are answered here (RFC 8880), beyond the public cases.

use dns64::{Dnssec, Ede, Message, Rcode, RecordType, Security};
use serde_json::{Value, json};

use crate::resolver::{Asked, Resolver};
use crate::rules::{SOA, aaaa, ask, resolver};
use crate::text::{name, record};

const BOGUS: Security = Security::Bogus(Ede::DNSSEC_BOGUS);

/// An IPv4-only name of which a validator found this.
fn judged(of_aaaa: Security, of_a: Security) -> Resolver {
    let a: &[&str] = &["s.example. 300 A 5.6.7.8"];
    let mut resolver =
        resolver(json!({ "validate": true }), &[("s.example.", "AAAA", &[], &[SOA]), ("s.example.", "A", a, &[])]);
    (resolver.table[0].2.security, resolver.table[1].2.security) = (Some(of_aaaa), Some(of_a));
    resolver
}

fn with(flags: (bool, bool)) -> Asked {
    let (records, unchecked) = flags;
    Asked { flags: Dnssec { records, unchecked }, ..aaaa("s.example.") }
}

fn is_authentic(message: &Message) -> bool {
    message.flags & 0x20 != 0
}

/// R36, R37: AD for who set DO, and only if both answers are secure.
#[test]
fn made_addresses_are_authentic_only_if_everything_was_and_do_is_set() {
    let kinds = [Security::Secure, Security::Insecure, Security::Unchecked];
    for (of_aaaa, of_a) in kinds.into_iter().flat_map(|aaaa| kinds.map(|a| (aaaa, a))) {
        for dnssec_ok in [false, true] {
            let reply = ask(&mut judged(of_aaaa, of_a), &with((dnssec_ok, false)));

            let secure = (of_aaaa, of_a) == (Security::Secure, Security::Secure);
            assert_eq!((reply.answers.len(), is_authentic(&reply)), (1, dnssec_ok && secure), "{of_aaaa:?} {of_a:?}");
        }
    }
}

/// R38: one that is bogus is enough, whatever the client asks for besides CD.
#[test]
fn nothing_is_made_of_what_is_bogus() {
    for (of_aaaa, of_a) in
        [(BOGUS, Security::Secure), (Security::Secure, BOGUS), (BOGUS, BOGUS), (Security::Insecure, BOGUS)]
    {
        for dnssec_ok in [false, true] {
            let reply = ask(&mut judged(of_aaaa, of_a), &with((dnssec_ok, false)));

            assert_eq!((reply.rcode, reply.answers.len()), (Rcode::SERV_FAIL, 0), "{of_aaaa:?} {of_a:?}");
            assert_eq!(reply.ede, Some(Ede::DNSSEC_BOGUS.0));
        }
    }
}

/// R39, R40, R42: who sets CD gets what there is, bogus or not, with DO or without, from a validator or not, and cached or not.
#[test]
fn who_validates_by_itself_gets_what_there_is() {
    for (validate, dnssec_ok) in [(true, true), (true, false), (false, true), (false, false)] {
        for of_aaaa in [Security::Secure, BOGUS] {
            let mut resolver = judged(of_aaaa, Security::Secure);
            resolver.policy = dns64::Policy::parse(&json!({ "validate": validate })).unwrap();
            ask(&mut resolver, &with((dnssec_ok, false)));

            let reply = ask(&mut resolver, &with((dnssec_ok, true)));

            assert_eq!((reply.rcode, reply.answers.len(), reply.authority.len()), (Rcode::NO_ERROR, 0, 1));
        }
    }
}

/// R44, R45: local, for every prefix and type; no list of addresses hides the two.
#[test]
fn ipv4only_arpa_is_answered_here() {
    let prefixes = json!(["2001:db8:122::/48", "64:ff9b::/96"]);
    let policy = json!({ "prefixes": prefixes, "mapped": ["none"] });
    let answers = |text: &str, rtype: RecordType| {
        let mut resolver = resolver(policy.clone(), &[]);
        let reply = ask(&mut resolver, &Asked::new(name(text), rtype));
        (reply.rcode, reply.answers.len(), reply.authority.len(), resolver.log.len())
    };

    assert_eq!(answers("ipv4only.arpa.", RecordType::AAAA), (Rcode::NO_ERROR, 4, 0, 0));
    assert_eq!(answers("IPv4Only.ARPA.", RecordType::A), (Rcode::NO_ERROR, 2, 0, 0));
    for rtype in
        [RecordType::MX, RecordType::TXT, RecordType::NS, RecordType::SOA, RecordType::HTTPS, RecordType::DNSKEY]
    {
        assert_eq!(answers("ipv4only.arpa.", rtype), (Rcode::NO_ERROR, 0, 1, 0), "{rtype}");
    }
    for below in ["www.ipv4only.arpa.", "a.b.ipv4only.arpa."] {
        assert_eq!(answers(below, RecordType::AAAA), (Rcode::NX_DOMAIN, 0, 1, 0), "{below}");
    }
    assert_eq!(answers("ipv4only.arpa.", RecordType::DS).3, 1, "only this one is asked for");
    assert_eq!(answers("notipv4only.arpa.", RecordType::A).3, 1);
}

/// R45, R47: in the form of each prefix length, for a time in which a new prefix is soon seen.
#[test]
fn every_prefix_length_is_discovered() {
    let rows = [
        ("2001:db8::/32", "2001:db8:c000:aa::"),
        ("2001:db8:100::/40", "2001:db8:1c0:0:aa::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:0:aa00::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:aa::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:0:aa00::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:aa"),
    ];
    for (prefix, address) in rows {
        let reply = ask(&mut resolver(json!({ "prefixes": [prefix] }), &[]), &aaaa("ipv4only.arpa."));

        assert_eq!(reply.answers[0], record(&format!("ipv4only.arpa. 300 AAAA {address}")));
    }
}

fn reverse(policy: &Value, asked: &str) -> (Rcode, Vec<String>, usize) {
    let mut resolver = resolver(
        policy.clone(),
        &[("8.7.6.5.in-addr.arpa.", "PTR", &["8.7.6.5.in-addr.arpa. 300 PTR h.example."], &[])],
    );
    let reply = ask(&mut resolver, &Asked::new(name(asked), RecordType::PTR));
    let target = |record: &dns64::Record| record.as_ref().target().unwrap().to_string();
    (reply.rcode, reply.answers.iter().map(target).collect(), resolver.log.len())
}

/// R46, R50, R52: the names of the two addresses are known, those of others lead to the IPv4 name, the rest is nobody's here.
#[test]
fn reverse_names_are_answered_by_prefix() {
    let wkp = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.";

    for last in ["a.a.0.0.0.0.0.c", "b.a.0.0.0.0.0.c"] {
        let expected = (Rcode::NO_ERROR, vec!["ipv4only.arpa.".to_owned()], 0);
        assert_eq!(reverse(&json!({}), &format!("{last}.{wkp}")), expected);
        assert_eq!(reverse(&json!({}), &format!("{last}.{wkp}").to_uppercase()), expected);
    }
    let both = vec!["8.7.6.5.in-addr.arpa.".to_owned(), "h.example.".to_owned()];
    assert_eq!(reverse(&json!({}), &format!("8.0.7.0.6.0.5.0.{wkp}")), (Rcode::NO_ERROR, both, 1));
    let elsewhere = reverse(&json!({ "prefixes": ["2001:db8::/96"] }), &format!("a.a.0.0.0.0.0.c.{wkp}"));
    assert_eq!((elsewhere.0, elsewhere.2), (Rcode::NX_DOMAIN, 1), "no prefix of ours");
    let unnamed = reverse(&json!({}), &format!("9.0.7.0.6.0.5.0.{wkp}"));
    assert_eq!((unnamed.0, unnamed.1.len(), unnamed.2), (Rcode::NX_DOMAIN, 0, 1), "R51");
}
