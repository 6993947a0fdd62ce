//! What RFC 6147 and its neighbours ask for, where no case of acceptance/dns64 asks for it.

use dns64::{Dnssec, Message, Policy, Rcode, Record, RecordType, Transport};
use serde_json::{Value, json};

use crate::resolver::{Asked, Rcode_, Resolver, Script};
use crate::text::{name, record, rtype};

pub(crate) const SOA: &str = "example. 1200 SOA ns1.example. h.example. 1 7200 900 604800 1200";

/// A resolver whose upstream says `answers` to questions for the name and type in front.
pub(crate) fn resolver(policy: Value, entries: &[(&str, &str, &[&str], &[&str])]) -> Resolver {
    let mut resolver = Resolver::new(Policy::parse(&policy).unwrap());
    for (owner, kind, answers, authority) in entries {
        let records = |texts: &[&str]| texts.iter().map(|text| record(text)).collect();
        let script = Script { answers: records(answers), authority: records(authority), ..Script::default() };
        resolver.table.push((name(owner), rtype(kind), script));
    }
    resolver
}

pub(crate) fn ask(resolver: &mut Resolver, asked: &Asked) -> Message {
    Message::parse(&resolver.ask(asked)).unwrap()
}

pub(crate) fn aaaa(text: &str) -> Asked {
    Asked::new(name(text), RecordType::AAAA)
}

/// R2: another class is as if there were no DNS64.
#[test]
fn nothing_is_made_for_another_class() {
    let mut resolver = resolver(json!({}), &[("v4.example.", "A", &["v4.example. 300 A 5.6.7.8"], &[])]);
    let asked = Asked { class: 3, ..aaaa("v4.example.") };

    let reply = ask(&mut resolver, &asked);

    assert_eq!((reply.answers.len(), resolver.log.len()), (0, 0));
}

/// R17, R30: what is excluded never appears, and limits how long what is made instead is good.
#[test]
fn the_ttl_of_excluded_records_limits_those_made_in_their_place() {
    let mut resolver = resolver(
        json!({ "exclude": ["2001:eeee::/32"] }),
        &[
            ("x.example.", "AAAA", &["x.example. 60 AAAA 2001:eeee::1"], &[]),
            ("x.example.", "A", &["x.example. 300 A 5.6.7.8"], &[]),
        ],
    );

    assert_eq!(ask(&mut resolver, &aaaa("x.example.")).answers, [record("x.example. 60 AAAA 64:ff9b::506:708")]);
}

/// R28: an own list replaces the default one.
#[test]
fn each_prefix_has_its_list_and_an_address_counts_that_one_of_them_leaves() {
    let prefixes =
        json!([{ "prefix": "2001:db8:64::/96", "exclude": ["any"] }, { "prefix": "2001:db8:65::/96", "exclude": [] }]);
    let records: &[&str] = &["x.example. 60 AAAA ::ffff:1.2.3.4"];
    let mut resolver = resolver(json!({ "prefixes": prefixes }), &[("x.example.", "AAAA", records, &[])]);

    assert_eq!(ask(&mut resolver, &aaaa("x.example.")).answers, [record(records[0])]);
}

/// R32: one alias per answer.
#[test]
fn a_chain_is_followed_through_answers_of_one_alias_each() {
    let mut resolver = resolver(
        json!({}),
        &[
            ("a.example.", "AAAA", &["a.example. 300 CNAME b.test."], &[]),
            ("b.test.", "AAAA", &["b.test. 200 CNAME c.test."], &[]),
            ("c.test.", "AAAA", &[], &["test. 100 SOA ns.test. h.test. 1 1 1 1 50"]),
            ("a.example.", "A", &["a.example. 300 CNAME b.test."], &[]),
            ("b.test.", "A", &["b.test. 200 CNAME c.test."], &[]),
            ("c.test.", "A", &["c.test. 400 A 5.6.7.8"], &[]),
        ],
    );

    let reply = ask(&mut resolver, &aaaa("a.example."));

    let expected =
        ["a.example. 300 CNAME b.test.", "b.test. 200 CNAME c.test.", "c.test. 100 AAAA 64:ff9b::506:708"].map(record);
    assert_eq!(reply.answers, expected);
}

/// R33: the end of the chain does not exist.
#[test]
fn a_chain_to_a_name_that_does_not_exist_is_passed_on() {
    let chain: &[&str] = &["a.example. 300 CNAME nowhere.example."];
    let mut resolver = resolver(json!({}), &[("a.example.", "AAAA", chain, &[SOA])]);
    resolver.table[0].2.rcode = Rcode_(Rcode::NX_DOMAIN);

    let reply = ask(&mut resolver, &aaaa("a.example."));

    assert_eq!((reply.rcode, reply.answers, reply.authority.len()), (Rcode::NX_DOMAIN, vec![record(chain[0])], 1));
}

/// An alias that leads back is an error of the zone, not of ours.
#[test]
fn a_circle_of_aliases_is_a_failure() {
    let circle: &[&str] = &["a.example. 300 CNAME b.example.", "b.example. 300 CNAME a.example."];
    let mut resolver = resolver(
        json!({}),
        &[("a.example.", "AAAA", circle, &[]), ("a.example.", "A", circle, &[]), ("b.example.", "A", circle, &[])],
    );

    assert_eq!(ask(&mut resolver, &aaaa("a.example.")).rcode, Rcode::SERV_FAIL);
}

/// RFC 6672 §3.1.
#[test]
fn a_dname_without_its_cname_gets_one() {
    let dname: &[&str] = &["d.example. 300 DNAME t.example."];
    let mut resolver = resolver(
        json!({}),
        &[("x.d.example.", "AAAA", dname, &[]), ("x.t.example.", "AAAA", &["x.t.example. 60 AAAA 2600::1"], &[])],
    );

    let reply = ask(&mut resolver, &aaaa("x.d.example."));

    let expected = [dname[0], "x.d.example. 300 CNAME x.t.example.", "x.t.example. 60 AAAA 2600::1"].map(record);
    assert_eq!(reply.answers, expected);
}

/// Records of other names in an answer are nothing that was asked for.
#[test]
fn what_does_not_belong_to_the_name_is_left_out() {
    let mixed: &[&str] = &["x.example. 60 AAAA 2600::1", "bank.example. 60 AAAA 2600::666"];
    let mut resolver = resolver(json!({}), &[("x.example.", "AAAA", mixed, &[])]);

    assert_eq!(ask(&mut resolver, &aaaa("x.example.")).answers, [record(mixed[0])]);
}

/// R41, R42, R53: the additional section stays as it is.
#[test]
fn no_synthetic_records_appear_in_the_additional_section() {
    let mut resolver = resolver(json!({}), &[("m.example.", "MX", &["m.example. 300 MX 10 mx.example."], &[])]);
    resolver.table[0].2.additional = vec![record("mx.example. 300 A 5.6.7.8")];

    let reply = ask(&mut resolver, &Asked::new(name("m.example."), RecordType::MX));

    assert_eq!(reply.additional, [record("mx.example. 300 A 5.6.7.8")]);
}

/// R51: where the reverse name is an alias itself (RFC 2317), the data is copied.
#[test]
fn a_ptr_behind_an_alias_is_copied() {
    let delegated: &[&str] = &[
        "8.7.6.5.in-addr.arpa. 300 CNAME 8.0-15.7.6.5.in-addr.arpa.",
        "8.0-15.7.6.5.in-addr.arpa. 200 PTR host.example.",
    ];
    let mut resolver = resolver(json!({}), &[("8.7.6.5.in-addr.arpa.", "PTR", delegated, &[])]);
    let asked = "8.0.7.0.6.0.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.";

    let reply = ask(&mut resolver, &Asked::new(name(asked), RecordType::PTR));

    assert_eq!(reply.answers, [record(&format!("{asked} 200 PTR host.example."))]);
}

/// R52: RFC 8020, a name above others exists.
#[test]
fn names_between_a_prefix_and_its_addresses_have_nothing_and_exist() {
    let mut resolver = resolver(json!({}), &[]);

    for short in ["b.9.f.f.4.6.0.0.ip6.arpa.", "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa."] {
        let reply = ask(&mut resolver, &Asked::new(name(short), RecordType::PTR));
        let is_inside = short.len() > 60;
        assert_eq!(reply.rcode == Rcode::NO_ERROR, is_inside, "{short}");
        assert_eq!(resolver.log.is_empty(), is_inside, "{short}");
        resolver.log.clear();
    }
}

/// R50: all six lengths.
#[test]
fn a_reverse_name_under_every_length_finds_its_address() {
    let prefixes = ["2001:32::/32", "2001:40::/40", "2001:48::/48", "2001:56::/56", "2001:64::/64", "2001:96::/96"];
    for prefix in prefixes {
        let mut resolver = resolver(json!({ "prefixes": [prefix] }), &[]);
        let pool6: contract::Pool6 = prefix.parse().unwrap();
        let bits = pool6.embed([1, 2, 3, 5].into()).to_bits();
        let nibbles: String = (0..32).map(|index| format!("{:x}.", bits >> (4 * index) & 0xf)).collect();

        ask(&mut resolver, &Asked::new(name(&format!("{nibbles}ip6.arpa.")), RecordType::PTR));

        assert_eq!(resolver.log, [(name("5.3.2.1.in-addr.arpa."), RecordType::PTR)], "{prefix}");
    }
}

/// R54: what is made must fit, too.
#[test]
fn an_answer_that_does_not_fit_says_so_and_is_whole_over_tcp() {
    let many: Vec<String> = (0..60).map(|n| format!("m.example. 300 A 9.9.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut resolver = resolver(json!({}), &[("m.example.", "A", &many, &[]), ("m.example.", "AAAA", &[], &[SOA])]);

    let mut size = |payload, transport| {
        let bytes = resolver.ask(&Asked { payload, transport, ..aaaa("m.example.") });
        let message = Message::parse(&bytes).unwrap();
        (bytes.len() <= payload.unwrap_or(512).min(1_232).into(), message.is_truncated(), message.answers.len())
    };

    assert_eq!(size(None, Transport::Udp), (true, true, 0));
    assert_eq!(size(Some(4_096), Transport::Udp), (true, true, 0));
    assert_eq!(size(Some(512), Transport::Tcp), (false, false, 60));
}

/// `no_synth`: a name and what is below stay as they are.
#[test]
fn names_can_be_left_alone() {
    let mut resolver = resolver(
        json!({ "no_synth": ["legacy.example"] }),
        &[
            ("a.legacy.example.", "AAAA", &[], &[SOA]),
            ("a.legacy.example.", "A", &["a.legacy.example. 300 A 5.6.7.8"], &[]),
        ],
    );

    let reply = ask(&mut resolver, &aaaa("a.legacy.example."));

    assert_eq!((reply.answers.len(), reply.authority.len()), (0, 1));
}

/// R16, R18: what has no time to live is asked again.
#[test]
fn the_smaller_of_ttl_and_minimum_says_when_to_ask_again() {
    let soa = "example. 1200 SOA ns1.example. h.example. 1 7200 900 604800 30";
    let mut resolver = resolver(
        json!({}),
        &[("f.example.", "AAAA", &[], &[soa]), ("f.example.", "A", &["f.example. 3600 A 5.6.7.8"], &[])],
    );
    let ttl = |resolver: &mut Resolver| ask(resolver, &aaaa("f.example.")).answers[0].ttl;

    assert_eq!(ttl(&mut resolver), 1_200);
    resolver.now_ms += 29_000;
    assert_eq!((ttl(&mut resolver), resolver.log.len()), (1_171, 2));
    resolver.now_ms += 1_000;
    ttl(&mut resolver);
    assert_eq!(resolver.log.len(), 3);
}

/// A signature over the A records of a name; nobody looks at more of it than what it covers.
fn signature(owner: &str) -> Record {
    let rdata = [&[0, 1, 13, 2][..], &[0; 14], b"\x07example\x00", &[7; 64]].concat();
    Record { owner: name(owner), rtype: RecordType::RRSIG, ttl: 300, rdata: rdata.into() }
}

/// R43, and BIND's `break-dnssec no`: signed addresses are left to who asks for signatures, if that is wanted.
#[test]
fn what_is_signed_is_kept_for_who_asks_for_signatures_only_where_break_dnssec_says_no() {
    let records = |break_dnssec: Value, asks_for_signatures: bool| {
        let mut resolver = resolver(
            json!({ "break_dnssec": break_dnssec }),
            &[
                ("s.example.", "AAAA", &[], &[SOA]),
                ("s.example.", "A", &["s.example. 300 A 5.6.7.8"], &[]),
                ("u.example.", "AAAA", &[], &[SOA]),
                ("u.example.", "A", &["u.example. 300 A 5.6.7.8"], &[]),
            ],
        );
        resolver.table[1].2.answers.push(signature("s.example."));
        let flags = Dnssec { records: asks_for_signatures, unchecked: false };
        ["s.example.", "u.example."].map(|text| {
            let reply = ask(&mut resolver, &Asked { flags, ..aaaa(text) });
            (reply.rcode == Rcode::NO_ERROR, reply.answers.len(), reply.authority.len())
        })
    };
    let (made, nothing) = ((true, 1, 0), (true, 0, 1));

    assert_eq!(records(Value::Null, true), [made, made]);
    assert_eq!(records(json!(true), true), [made, made]);
    assert_eq!(records(json!(false), true), [nothing, made], "nobody signed the second");
    assert_eq!(records(json!(false), false), [made, made]);
}
