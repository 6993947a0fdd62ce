//! Requirements of RFC 6147 and its neighbours beyond the public cases: every value that a rule names, and the combinations.

use std::net::{Ipv4Addr, Ipv6Addr};

use dns64::{Ede, Message, Rcode, Record, RecordType, Transport};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::resolver::{Asked, Rcode_, Resolver};
use crate::rules::{SOA, aaaa, ask, resolver};
use crate::text::{name, record};

/// A name with one A record and this answer to the question for AAAA.
fn v4only(policy: Value, a: &[&str], soa: &[&str]) -> Resolver {
    resolver(policy, &[("v4.example.", "AAAA", &[], soa), ("v4.example.", "A", a, &[])])
}

const A: &[&str] = &["v4.example. 300 A 5.6.7.8"];
const MADE: &str = "v4.example. 300 AAAA 64:ff9b::506:708";

fn addresses(message: &Message) -> Vec<Ipv6Addr> {
    let address = |record: &Record| <[u8; 16]>::try_from(&record.rdata[..]).ok().map(Ipv6Addr::from);
    message.answers.iter().filter(|record| record.rtype == RecordType::AAAA).filter_map(address).collect()
}

/// R1, R3: what there is comes unchanged, and the A records are not asked for.
#[test]
fn real_addresses_are_the_answer_and_the_only_question() {
    let records: &[&str] = &["d.example. 77 AAAA 2600::1", "d.example. 77 AAAA 2600::2"];
    let mut resolver = resolver(
        json!({}),
        &[("d.example.", "AAAA", records, &[]), ("d.example.", "A", &["d.example. 9 A 5.6.7.8"], &[])],
    );

    let reply = ask(&mut resolver, &aaaa("d.example."));

    assert_eq!(reply.answers, records.iter().map(|text| record(text)).collect::<Vec<_>>());
    assert_eq!((reply.ede, resolver.log.len()), (None, 1));
}

/// R4: whatever the policy prefers.
#[test]
fn a_name_that_does_not_exist_has_no_addresses_made() {
    for policy in
        [json!({}), json!({ "translate_all": true }), json!({ "ignore_aaaa": ["."] }), json!({ "exclude": ["any"] })]
    {
        let mut resolver = v4only(policy, A, &[SOA]);
        resolver.table[0].2.rcode = Rcode_(Rcode::NX_DOMAIN);

        let reply = ask(&mut resolver, &aaaa("v4.example."));

        assert_eq!((reply.rcode, reply.answers.len(), resolver.log.len()), (Rcode::NX_DOMAIN, 0, 1));
    }
}

/// R5, R6, R13: every error but that one, and silence, is as if there were nothing.
#[test]
fn any_other_error_of_the_question_for_aaaa_is_an_empty_answer() {
    for code in (0..24).filter(|code| *code != Rcode::NX_DOMAIN.0) {
        let mut resolver = v4only(json!({}), &["v4.example. 3600 A 5.6.7.8"], &[]);
        resolver.table[0].2.rcode = Rcode_(Rcode(code));

        let made = record("v4.example. 600 AAAA 64:ff9b::506:708");
        assert_eq!(ask(&mut resolver, &aaaa("v4.example.")).answers, [made], "RCODE {code}");
    }
    let mut silent = v4only(json!({}), A, &[]);
    silent.table[0].2.is_silent = true;
    assert_eq!(ask(&mut silent, &aaaa("v4.example.")).answers, [record(MADE)]);
}

/// R7: every A record, each once, and none of them beside what is made.
#[test]
fn every_a_record_becomes_one_address() {
    let a: Vec<String> = (1..=9).map(|octet| format!("v4.example. 300 A 9.9.9.{octet}")).collect();
    let a: Vec<&str> = a.iter().map(String::as_str).collect();

    let reply = ask(&mut v4only(json!({}), &a, &[SOA]), &aaaa("v4.example."));

    assert_eq!(
        addresses(&reply),
        (1..=9).map(|octet| Ipv6Addr::from(0x64_ff9b_u128 << 96 | 0x0909_0900 | octet)).collect::<Vec<_>>()
    );
    assert_eq!(reply.answers.len(), 9);
}

/// R8: with nothing to make, the answer to the question for A is the basis, and its error comes before "nothing of this type".
#[test]
fn without_a_records_the_answer_is_the_basis_that_section_5_1_6_names() {
    let codes = [Rcode::NO_ERROR, Rcode::SERV_FAIL, Rcode::REFUSED];
    for (of_aaaa, of_a) in codes.into_iter().flat_map(|aaaa| codes.map(|a| (aaaa, a))) {
        let mut resolver = v4only(json!({}), &[], &[SOA]);
        resolver.table[1].2.authority = vec![record(SOA)];
        (resolver.table[0].2.rcode, resolver.table[1].2.rcode) = (Rcode_(of_aaaa), Rcode_(of_a));

        let reply = ask(&mut resolver, &aaaa("v4.example."));

        assert_eq!((reply.rcode, reply.answers.len()), (of_a, 0), "{of_aaaa} and {of_a}");
        let soas = reply.authority.iter().filter(|record| record.rtype == RecordType::SOA).count();
        assert_eq!(soas, 1, "{of_aaaa} and {of_a}");
    }
}

/// R10, R56: hints, mail, text and everything else stay as they are, however eager the policy is.
#[test]
fn no_other_type_is_touched() {
    let types = [
        ("A", "5.6.7.8"),
        ("MX", "10 mx.example."),
        ("TXT", "text"),
        ("HTTPS", "ipv4hint"),
        ("CNAME", "x.example."),
        ("NS", "ns.example."),
    ];
    for (kind, data) in types {
        let text = format!("o.example. 300 {kind} {data}");
        let mut resolver = resolver(json!({ "translate_all": true }), &[("o.example.", kind, &[&text], &[])]);

        let reply = ask(&mut resolver, &Asked::new(name("o.example."), crate::text::rtype(kind)));

        assert_eq!((reply.answers, resolver.log.len()), (vec![record(&text)], 1), "{kind}");
    }
}

/// R11: who is no client gets what there is; the first entry that matches decides, IPv4 clients count by their own address.
#[test]
fn a_client_that_the_list_does_not_name_gets_what_there_is() {
    let lists = [
        (json!({ "clients": ["2001:db8::/32"] }), "2001:db8::99", 1),
        (json!({ "clients": ["!2001:db8::99", "any"] }), "2001:db8::99", 0),
        (json!({ "clients": ["!2001:db8::99", "any"] }), "2001:db8::98", 1),
        (json!({ "clients": ["10.0.0.0/8"] }), "::ffff:10.1.2.3", 1),
        (json!({ "clients": ["none"] }), "2001:db8::99", 0),
        (json!({ "clients": [] }), "2001:db8::99", 0),
        (json!({ "allow_ipv4": false }), "10.1.2.3", 0),
        (json!({ "allow_ipv4": false }), "::ffff:10.1.2.3", 0),
        (json!({ "allow_ipv4": false }), "2001:db8::99", 1),
    ];
    for (policy, client, made) in lists {
        let asked = Asked { client: client.parse().unwrap(), ..aaaa("v4.example.") };

        let reply = ask(&mut v4only(policy.clone(), A, &[SOA]), &asked);

        assert_eq!((reply.answers.len(), reply.authority.len()), (made, 1 - made), "{policy} {client}");
    }
}

proptest! {
    /// R12, R13, R14: §5.1.7, whatever the MINIMUM field says.
    #[test]
    fn the_ttl_is_the_smaller_of_both_and_600_without_a_soa_record(a in 0_u32..100_000, soa in prop::option::of((0_u32..100_000, 0_u32..100_000))) {
        let a_record = format!("v4.example. {a} A 5.6.7.8");
        let soa_record = soa.map(|(ttl, minimum)| format!("example. {ttl} SOA ns.example. h.example. 1 1 1 1 {minimum}"));
        let soas: Vec<&str> = soa_record.iter().map(String::as_str).collect();

        let reply = ask(&mut v4only(json!({}), &[&a_record], &soas), &aaaa("v4.example."));

        prop_assert_eq!(reply.answers[0].ttl, a.min(soa.map_or(600, |(ttl, _)| ttl)));
    }
}

/// R15, R16: what is made grows old like what it is made of; aliases keep their own time; what has none is asked again.
#[test]
fn time_passes_for_what_is_made_too() {
    let mut resolver = resolver(
        json!({}),
        &[
            ("a.example.", "AAAA", &["a.example. 50 CNAME v4.example."], &[SOA]),
            ("a.example.", "A", &["a.example. 50 CNAME v4.example.", A[0]], &[]),
            ("zero.example.", "AAAA", &[], &[SOA]),
            ("zero.example.", "A", &["zero.example. 0 A 5.6.7.8"], &[]),
        ],
    );
    ask(&mut resolver, &aaaa("a.example."));
    resolver.now_ms += 20_000;

    let reply = ask(&mut resolver, &aaaa("a.example."));
    assert_eq!(reply.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [30, 280]);
    assert_eq!(resolver.log.len(), 2);
    for _ in 0..2 {
        assert_eq!(ask(&mut resolver, &aaaa("zero.example.")).answers[0].ttl, 0);
    }
    assert_eq!(resolver.log.iter().filter(|(_, rtype)| *rtype == RecordType::A).count(), 3);
}

/// R20, R22: table 1 of RFC 6052 §2.4, through an answer.
#[test]
fn every_prefix_length_embeds_as_the_table_of_rfc_6052_says() {
    let rows = [
        ("2001:db8::/32", "2001:db8:c000:221::"),
        ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
        ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
        ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
        ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
        ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
    ];
    for (prefix, address) in rows {
        let mut resolver = v4only(json!({ "prefixes": [prefix] }), &["v4.example. 300 A 192.0.2.33"], &[SOA]);

        assert_eq!(addresses(&ask(&mut resolver, &aaaa("v4.example."))), [address.parse::<Ipv6Addr>().unwrap()]);
    }
}

/// R21: a suffix stands behind every address of its prefix, and says nothing when an address is read.
#[test]
fn a_suffix_is_written_and_not_read() {
    let prefix = json!({ "prefixes": [{ "prefix": "2001:db8:122::/48", "suffix": "::12:3456" }] });
    let mut resolver = v4only(prefix, A, &[SOA]);
    assert_eq!(
        addresses(&ask(&mut resolver, &aaaa("v4.example."))),
        ["2001:db8:122:506:7:800:12:3456".parse::<Ipv6Addr>().unwrap()]
    );

    for suffix in ["6.5.4.3.2.1.0.0", "0.0.0.0.0.0.0.0"] {
        resolver = self::resolver(json!({ "prefixes": ["2001:db8:122::/48"] }), &[]);
        let asked = format!("{suffix}.0.0.8.0.7.0.0.0.6.0.5.0.2.2.1.0.8.b.d.0.1.0.0.2.ip6.arpa.");
        ask(&mut resolver, &Asked::new(name(&asked), RecordType::PTR));
        assert_eq!(resolver.log.pop(), Some((name("8.7.6.5.in-addr.arpa."), RecordType::PTR)), "{asked}");
    }
}

/// R24, R25: one record for each prefix that stands for the address, in the order of the prefixes.
#[test]
fn ranges_of_ipv4_have_prefixes_of_their_own() {
    let prefixes = json!([
        { "prefix": "2001:db8:1::/96", "mapped": ["10.0.0.0/8"] },
        { "prefix": "2001:db8:2::/96", "mapped": ["!10.0.0.0/8", "any"] },
        "2001:db8:3::/96",
    ]);
    let made = |address: &str| {
        let a = format!("v4.example. 300 A {address}");
        let reply = ask(
            &mut v4only(json!({ "prefixes": prefixes, "mapped": ["!9.0.0.0/8", "any"] }), &[&a], &[SOA]),
            &aaaa("v4.example."),
        );
        addresses(&reply).iter().map(|address| address.segments()[2]).collect::<Vec<_>>()
    };

    assert_eq!(made("10.1.2.3"), [1, 3]);
    assert_eq!(made("5.6.7.8"), [2, 3]);
    assert_eq!(made("9.9.9.9"), [2]);
}

/// R26, R27: the well-known prefix stands for global addresses only, others for any.
#[test]
fn addresses_that_are_not_global_are_dropped_for_the_well_known_prefix_alone() {
    let special = [
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
    ];
    for address in special {
        let both = [format!("v4.example. 300 A {address}"), A[0].to_owned()];
        let both: Vec<&str> = both.iter().map(String::as_str).collect();
        let count = |policy: Value, records: &[&str]| {
            addresses(&ask(&mut v4only(policy, records, &[SOA]), &aaaa("v4.example."))).len()
        };

        assert_eq!(count(json!({}), &both), 1, "{address}");
        assert_eq!(count(json!({}), &both[..1]), 0, "{address}");
        assert_eq!(count(json!({ "prefixes": ["2001:db8::/96"] }), &both), 2, "{address}");
        assert_eq!(count(json!({ "prefixes": ["64:ff9b:1::/48"] }), &both), 2, "{address}");
    }
    let neighbours = [
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
    ];
    for address in neighbours {
        let a = format!("v4.example. 300 A {address}");
        let reply = ask(&mut v4only(json!({}), &[&a], &[SOA]), &aaaa("v4.example."));
        let bits = u128::from(address.parse::<Ipv4Addr>().unwrap().to_bits());
        assert_eq!(addresses(&reply), [Ipv6Addr::from(0x64_ff9b_u128 << 96 | bits)]);
    }
}

/// R28, R29, R30, R31: what is on the list is not there; what is left over is the answer, and what is not is made.
#[test]
fn excluded_addresses_never_appear() {
    let lists = [
        (json!({}), &["::ffff:1.2.3.4"][..], &["64:ff9b::506:708"][..]),
        (json!({}), &["::ffff:1.2.3.4", "2600::1"], &["2600::1"]),
        (json!({ "exclude": [] }), &["::ffff:1.2.3.4"], &["::ffff:1.2.3.4"]),
        (json!({ "exclude": ["::/0"] }), &["2600::1"], &["64:ff9b::506:708"]),
        (json!({ "exclude": ["64:ff9b::/96"] }), &["64:ff9b::101:101", "2600::1"], &["2600::1"]),
        (json!({ "exclude": ["!2000::/3", "any"] }), &["fd00::1", "2600::1"], &["2600::1"]),
        (json!({ "exclude": ["!2000::/3", "any"] }), &["fd00::1"], &["64:ff9b::506:708"]),
    ];
    for (policy, real, expected) in lists {
        let real: Vec<String> = real.iter().map(|address| format!("v4.example. 300 AAAA {address}")).collect();
        let mut resolver = v4only(policy.clone(), A, &[]);
        resolver.table[0].2.answers = real.iter().map(|text| record(text)).collect();

        let got = addresses(&ask(&mut resolver, &aaaa("v4.example.")));

        assert_eq!(got, expected.iter().map(|text| text.parse::<Ipv6Addr>().unwrap()).collect::<Vec<_>>(), "{policy}");
    }
}

/// R33, R34, R35: what holds for a name holds at the end of a chain.
#[test]
fn the_end_of_a_chain_is_judged_like_a_name() {
    let chain = "c.example. 60 CNAME v4.example.";
    let asked = |of_aaaa: &[&str], rcode: Rcode, a: &[&str]| {
        let mut resolver =
            resolver(json!({}), &[("c.example.", "AAAA", of_aaaa, &[SOA]), ("c.example.", "A", a, &[SOA])]);
        resolver.table[0].2.rcode = Rcode_(rcode);
        let reply = ask(&mut resolver, &aaaa("c.example."));
        (reply.rcode, reply.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), addresses(&reply).len())
    };
    let excluded = [chain, "v4.example. 300 AAAA ::ffff:1.2.3.4"];
    let through = [chain, A[0]];

    assert_eq!(asked(&excluded, Rcode::NO_ERROR, &through), (Rcode::NO_ERROR, vec![60, 300], 1), "R34");
    assert_eq!(asked(&[], Rcode::SERV_FAIL, &through), (Rcode::NO_ERROR, vec![60, 300], 1), "R35");
    assert_eq!(asked(&[chain], Rcode::NO_ERROR, &[chain]), (Rcode::NO_ERROR, vec![60], 0), "R33");
    assert_eq!(
        asked(&[chain], Rcode::NO_ERROR, &[chain, "v4.example. 300 A 10.0.0.1"]),
        (Rcode::NO_ERROR, vec![60], 0),
        "R33"
    );
}

/// R55: no OPT record answers a question without one; R54: nothing larger than what the client takes.
#[test]
fn the_size_of_an_answer_is_the_clients() {
    let many: Vec<String> = (0..40).map(|octet| format!("v4.example. 300 A 9.9.9.{octet}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for payload in [None, Some(0), Some(512), Some(700), Some(1_232), Some(4_096), Some(u16::MAX)] {
        let mut resolver = v4only(json!({}), &many, &[SOA]);

        let bytes = resolver.ask(&Asked { payload, ..aaaa("v4.example.") });

        let most = usize::from(payload.unwrap_or(0).clamp(512, 1_232));
        let message = Message::parse(&bytes).unwrap();
        assert!(bytes.len() <= most, "{} for {payload:?}", bytes.len());
        assert_eq!((message.edns.is_some(), message.is_truncated()), (payload.is_some(), most < 1_150), "{payload:?}");
        let whole = resolver.ask(&Asked { payload, transport: Transport::Tcp, ..aaaa("v4.example.") });
        assert_eq!(Message::parse(&whole).unwrap().answers.len(), 40);
    }
}

/// What is made says so (RFC 8914), what is not says why.
#[test]
fn an_answer_says_what_was_done_to_it() {
    let ede = |a: &[&str]| ask(&mut v4only(json!({}), a, &[SOA]), &aaaa("v4.example.")).ede;

    assert_eq!(ede(A), Some(Ede::SYNTHESIZED.0));
    assert_eq!(ede(&["v4.example. 300 A 10.0.0.1"]), Some(Ede::OTHER.0));
    assert_eq!(ede(&[]), None);
}
