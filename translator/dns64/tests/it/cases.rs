//! The behaviour cases of acceptance/dns64, each with the RFC section it comes from, through the core alone.

use std::net::IpAddr;

use dns64::{Dnssec, Ede, Message, Policy, Rcode, Record, RecordType, Security, Transport};
use serde_json::Value;

use crate::resolver::{Asked, Rcode_, Resolver, Script};
use crate::text::{ANY_TTL, name, record, rtype};

/// Cases of which the core knows nothing, and what they are about.
const ABOUT_THE_SERVER: [(&str, &str); 1] = [(
    "upstream-truncates-a-over-udp",
    "asking again over TCP is the server's: the core never sees the truncated answer",
)];

#[test]
fn every_public_case_holds_without_sockets() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../acceptance/dns64/cases.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let skipped = |case: &&Value| !ABOUT_THE_SERVER.iter().any(|(name, _)| case["name"] == *name);

    let wrong: Vec<String> = cases.iter().filter(skipped).flat_map(differences).collect();

    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(cases.iter().filter(skipped).count(), cases.len() - ABOUT_THE_SERVER.len());
}

fn differences(case: &Value) -> Vec<String> {
    let title = case["name"].as_str().unwrap();
    let policy = Policy::parse(&case["config"]);
    if case["expect"]["config_error"] == true {
        return policy.is_ok().then(|| format!("{title}: the configuration is accepted")).into_iter().collect();
    }
    let mut resolver = Resolver::new(policy.unwrap());
    resolver.table = table(&case["upstream"], case);
    let mut wrong = Vec::new();
    let steps = std::iter::once(case).chain(case["then"].as_array().into_iter().flatten());
    for step in steps {
        if step["upstream"].is_array() {
            resolver.table = table(&step["upstream"], case);
        }
        resolver.now_ms += step["wait_s"].as_u64().unwrap_or(0) * 1_000;
        let before = resolver.log.len();
        let reply = resolver.ask(&asked(&step["query"]));
        let message = Message::parse(&reply).unwrap();
        let seen = &resolver.log[before..];
        wrong.extend(
            compare(&step["expect"], &message, seen, &resolver.log).into_iter().map(|text| format!("{title}: {text}")),
        );
    }
    wrong
}

fn records(value: &Value) -> Vec<Record> {
    value.as_array().into_iter().flatten().map(|text| record(text.as_str().unwrap())).collect()
}

fn table(entries: &Value, case: &Value) -> Vec<(dns64::Name, RecordType, Script)> {
    let entry = |entry: &Value| {
        let (owner, kind) = (name(entry["qname"].as_str().unwrap()), rtype(entry["qtype"].as_str().unwrap()));
        let script = Script {
            rcode: Rcode_(rcode(entry["rcode"].as_str().unwrap())),
            answers: records(&entry["answers"]),
            authority: records(&entry["authority"]),
            additional: records(&entry["additional"]),
            is_silent: entry["drop"] == true,
            security: security(case, entry, &owner),
        };
        (owner, kind, script)
    };
    entries.as_array().unwrap().iter().map(entry).collect()
}

/// What a validator would have found out.
fn security(case: &Value, entry: &Value, owner: &dns64::Name) -> Option<Security> {
    let zone = name(case["signed"]["zone"].as_str()?);
    if case["config"]["validate"] != true || !owner.as_ref().is_at_or_below(zone.as_ref()) {
        return None;
    }
    if entry["unsigned"] == true {
        return Some(Security::Bogus(Ede::RRSIGS_MISSING));
    }
    let proof =
        if entry["answers"].as_array().is_some_and(Vec::is_empty) { "NSEC" } else { entry["qtype"].as_str()? };
    let is_bogus = |bogus: &Value| name(bogus[0].as_str().unwrap()) == *owner && bogus[1] == *proof;
    let bogus = case["signed"]["bogus"].as_array()?.iter().any(is_bogus);
    Some(if bogus { Security::Bogus(Ede::DNSSEC_BOGUS) } else { Security::Secure })
}

fn rcode(text: &str) -> Rcode {
    let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    Rcode(names.iter().position(|name| *name == text).unwrap_or_else(|| panic!("{text}")) as u16)
}

fn asked(query: &Value) -> Asked {
    let client: IpAddr = match (query["via"].as_str(), query["client"].as_str()) {
        (Some("ipv6"), _) => "::1".parse().unwrap(),
        (_, Some(client)) => client.parse().unwrap(),
        (_, None) => "127.0.0.1".parse().unwrap(),
    };
    Asked {
        name: name(query["qname"].as_str().unwrap()),
        rtype: rtype(query["qtype"].as_str().unwrap()),
        class: if query["class"] == "CH" { 3 } else { 1 },
        client,
        flags: Dnssec { records: query["do"] == true, unchecked: query["cd"] == true },
        recursion_desired: query["rd"] != false,
        payload: (query["edns"] != false).then(|| query["payload"].as_u64().unwrap_or(4_096) as u16),
        transport: if query["tcp"] == true { Transport::Tcp } else { Transport::Udp },
    }
}

fn compare(
    expect: &Value,
    got: &Message,
    seen: &[(dns64::Name, RecordType)],
    all: &[(dns64::Name, RecordType)],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = expect["rcode"].as_str().unwrap();
    if wanted != "*" && !wanted.split('|').any(|text| rcode(text) == got.rcode) {
        wrong.push(format!("{} instead of {wanted}", got.rcode));
    }
    let mut rest: Vec<&Record> = got.answers.iter().filter(|record| record.rtype != RecordType(46)).collect();
    for record in records(&expect["answers"]) {
        let fits = |got: &&Record| (&got.owner, got.rtype, &got.rdata) == (&record.owner, record.rtype, &record.rdata);
        match rest.iter().position(fits) {
            Some(at) if record.ttl == ANY_TTL || rest[at].ttl == record.ttl => drop(rest.remove(at)),
            Some(at) => wrong.push(format!("TTL {} instead of {} in {:?}", rest[at].ttl, record.ttl, rest.remove(at))),
            None if expect["answers_subset"] == true => {}
            None => wrong.push(format!("{record:?} is missing")),
        }
    }
    wrong.extend(rest.iter().filter(|_| wanted != "*").map(|record| format!("{record:?} is too much")));
    let check = |key: &str, is: Value| (!expect[key].is_null() && expect[key] != is).then(|| format!("{key} is {is}"));
    wrong.extend(check("ad", (got.flags & 0x20 != 0).into()));
    wrong.extend(check("tc", (got.flags & 0x200 != 0).into()));
    wrong.extend(check("opt", got.edns.is_some().into()));
    let soas = got.authority.iter().filter(|record| record.rtype == RecordType::SOA).count();
    wrong.extend(check("authority_count", soas.into()));
    let list = |key: &str| expect[key].as_array().cloned().unwrap_or_default();
    wrong.extend(list("authority_types").iter().filter(|_| soas == 0).map(|_| "no SOA".to_owned()));
    let question = |value: &Value| (name(value[0].as_str().unwrap()), rtype(value[1].as_str().unwrap_or("NS")));
    let asked = |value: &Value| seen.contains(&question(value));
    wrong.extend(list("no_upstream").iter().filter(|value| asked(value)).map(|value| format!("asked {value}")));
    wrong
        .extend(list("upstream_seen").iter().filter(|value| !asked(value)).map(|value| format!("did not ask {value}")));
    let often = |value: &&Value| {
        all.iter().filter(|asked| **asked == question(value)).count() as u64 > value[2].as_u64().unwrap()
    };
    wrong.extend(list("upstream_max").iter().filter(often).map(|value| format!("asked too often: {value}")));
    let signed = |value: &&Value| {
        let kind = rtype(value.as_str().unwrap());
        got.answers.iter().any(|record| record.as_ref().covered() == Some(kind))
    };
    wrong.extend(list("no_rrsig_over").iter().filter(signed).map(|value| format!("a signature over {value}")));
    wrong
}
