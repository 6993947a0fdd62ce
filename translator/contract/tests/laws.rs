//! What holds for every document and for every input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use contract::{
    Discovery, Dns64, Dns64Policy, Dns64Prefix, Document, Egress, GATEWAY_LABEL, GROUP_LABEL, Gateway, Group,
    GroupSecret, Health, LabelSelector, MAX_DOCUMENT_BYTES, Match, Name, ParseError, Peer, Policy, Pool6, PrivateKey,
    PublicKey,
};
use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use serde_json::Value;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_rendered_is_read_back_unchanged(document in documents()) {
        let rendered = document.render();

        let parsed = Document::parse(rendered.as_bytes()).unwrap();

        prop_assert_eq!(&parsed, &document);
        prop_assert_eq!(parsed.render(), rendered);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(Document::parse(&bytes).is_err());
    }

    #[test]
    fn a_damaged_document_never_panics(document in documents(), position: prop::sample::Index, byte: u8) {
        let mut bytes = document.render().into_bytes();
        let position = position.index(bytes.len());
        bytes[position] = byte;

        if let Ok(parsed) = Document::parse(&bytes) {
            prop_assert!(Document::parse(parsed.render().as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_truncated_document_is_never_read_as_a_smaller_one(document in documents(), end: prop::sample::Index) {
        let rendered = document.render();
        // Without the last brace and the newline behind it.
        let end = end.index(rendered.len() - 1);

        prop_assert!(Document::parse(&rendered.as_bytes()[..end]).is_err());
    }
}

#[test]
fn an_oversized_document_is_refused_before_it_is_parsed() {
    let bytes = vec![b'x'; MAX_DOCUMENT_BYTES + 1];

    assert_eq!(Document::parse(&bytes), Err(ParseError::TooLarge { bytes: MAX_DOCUMENT_BYTES + 1 }));
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let bytes = format!("{{\"format\": 1, \"x\": {}", "[".repeat(1_000_000));

    assert!(matches!(Document::parse(bytes.as_bytes()), Err(ParseError::Json { .. })));
}

#[test]
fn the_lowest_free_address_skips_what_is_taken_and_what_is_reserved() {
    let mut gateway = gateway(1);
    gateway.ipv4_prefix = "198.18.0.0/29".parse().unwrap();

    let mut given = Vec::new();
    while let Some(ipv4) = gateway.lowest_free_ipv4() {
        given.push(ipv4.to_string());
        let number = u8::try_from(given.len()).unwrap();
        gateway.peers.insert(name(number), peer(number, ipv4));
    }

    assert_eq!(given, ["198.18.0.2", "198.18.0.3", "198.18.0.4", "198.18.0.5"]);
    assert_eq!((gateway.address4(), gateway.pool4()), (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 6)));
}

#[test]
fn a_freed_address_is_given_again() {
    let mut gateway = gateway(1);
    for number in 1..=3 {
        let ipv4 = gateway.lowest_free_ipv4().unwrap();
        gateway.peers.insert(name(number), peer(number, ipv4));
    }

    gateway.peers.remove(&name(2));

    assert_eq!(gateway.lowest_free_ipv4(), Some(Ipv4Addr::new(198, 18, 0, 3)));
}

#[test]
fn a_known_key_among_the_unknown_ones_is_not_written_twice() {
    let mut document = Document::default();
    document.other.insert("serial".to_owned(), Value::from(7));

    assert!(Document::parse(document.render().as_bytes()).is_ok());
}

fn documents() -> impl Strategy<Value = Document> {
    let gateways = prop::collection::btree_map(names(), gateways(), 0..4);
    (any::<u64>(), gateways, others()).prop_map(|(serial, gateways, other)| Document { serial, gateways, other })
}

fn gateways() -> impl Strategy<Value = Gateway> {
    let options = (egresses(), prop::option::of(dns64s()), prop::option::of(policies()));
    (plain_gateways(), options).prop_map(|(gateway, (egress, dns64, policy))| Gateway {
        egress,
        dns64,
        policy,
        ..gateway
    })
}

fn egresses() -> impl Strategy<Value = Egress> {
    let ports = (1024..=u16::MAX, 0..=1000_u16).prop_map(|(first, more)| {
        let ports = format!("{first}-{}", first.saturating_add(more)).parse().unwrap();
        Egress::Shared { ports }
    });
    let pool4 = (1..=200_u8, 24..=32_u8).prop_map(|(octet, length)| {
        let net = Ipv4Net::new([203, octet, 113, 0].into(), length).unwrap();
        Egress::Routed { pool4: vec![net] }
    });
    prop_oneof![Just(Egress::Masquerade), ports, pool4]
}

fn dns64s() -> impl Strategy<Value = Dns64> {
    let upstreams = ["udp://[2001:db8::53]", "tls://1.1.1.1#cloudflare-dns.com", "https://dns.google/dns-query"];
    let upstream = prop::sample::select(upstreams.map(|text| text.parse().unwrap()).to_vec());
    let has_lan = any::<bool>();
    (prop::collection::vec(upstream, 1..4), has_lan, dns64_policies(), others()).prop_map(
        |(upstreams, has_lan, policy, other)| Dns64 {
            upstreams,
            listen: if has_lan { vec!["192.168.1.10".parse().unwrap()] } else { Vec::new() },
            clients: if has_lan { vec!["192.168.1.0/24".parse().unwrap()] } else { Vec::new() },
            trust_anchors: Vec::new(),
            policy,
            other,
        },
    )
}

fn healths() -> impl Strategy<Value = Health> {
    let (address, port) = (1_u32..0xe000_0000, prop::option::of(1..=u16::MAX));
    let numbers = prop::array::uniform2(prop::option::of(100_u32..10_000));
    (address, port, numbers, prop::option::of(1_u32..100), others()).prop_map(
        |(address, port, [interval_ms, timeout_ms], fall, other)| Health {
            target: contract::Target { address: address.into(), port },
            kind: port.map(|_| contract::ProbeKind::Dns),
            interval_ms,
            timeout_ms,
            fall,
            rise: fall,
            other,
        },
    )
}

fn dns64_policies() -> impl Strategy<Value = Dns64Policy> {
    let prefix = (any::<bool>(), matches(), prop::option::of(healths()), others()).prop_map(
        |(has_suffix, mapped, health, other)| Dns64Prefix {
            suffix: has_suffix.then(|| "::1".parse().unwrap()),
            mapped,
            health,
            other,
            ..Dns64Prefix::new("2001:db8:122::/48".parse::<Pool6>().unwrap())
        },
    );
    let flags = prop::array::uniform5(prop::option::of(any::<bool>()));
    let domains = prop::collection::vec("[a-z]{1,9}(\\.[a-z]{1,9})?\\.?".prop_map(|text| text.parse().unwrap()), 0..3);
    (prop::collection::vec(prefix, 0..2), matches(), flags, domains, others()).prop_map(
        |(prefixes, exclude, [translate_all, allow_ipv4, validate, break_dnssec, cache], ignore_aaaa, other)| {
            Dns64Policy {
                prefixes,
                exclude,
                translate_all,
                ignore_aaaa,
                allow_ipv4,
                validate,
                break_dnssec,
                cache,
                other,
                ..Dns64Policy::default()
            }
        },
    )
}

fn matches() -> impl Strategy<Value = Option<Vec<Match>>> {
    let texts = ["any", "!10.0.0.0/8", "2001:db8::/32", "!any"];
    let element = prop::sample::select(texts.map(|text| text.parse().unwrap()).to_vec());
    prop::option::of(prop::collection::vec(element, 0..3))
}

fn policies() -> impl Strategy<Value = Policy> {
    let ports = prop::collection::vec((1..=u16::MAX).prop_map(|port| format!("udp/{port}").parse().unwrap()), 0..3);
    (ports, any::<bool>(), prop::option::of(1..=u32::MAX), others()).prop_map(
        |(denied_ports, has_lists, flows_per_peer, other)| Policy {
            allow: if has_lists { vec!["192.168.178.0/24".parse().unwrap()] } else { Vec::new() },
            home_addresses: if has_lists { vec![Ipv4Addr::new(203, 0, 113, 7)] } else { Vec::new() },
            denied_ports,
            flows_per_peer,
            other,
            ..Policy::default()
        },
    )
}

fn plain_gateways() -> impl Strategy<Value = Gateway> {
    let peers = prop::collection::btree_map(names(), (any::<u8>(), 0..4_u8, ".{0,9}", others()), 0..6);
    (prop::bool::weighted(0.1), 1280..=u16::MAX, any::<u16>(), ".{0,9}", peers, others(), others()).prop_map(
        |(has_private_key, mtu, keepalive_secs, owner, peers, other, other_of_discovery)| {
            let mut gateway = Gateway { mtu, keepalive_secs, owner, other, ..gateway(0) };
            if has_private_key {
                let (public_key, private_key) = PAIR.clone();
                (gateway.public_key, gateway.private_key) = (public_key, Some(private_key));
            }
            for (number, (name, (port, kind, owner, other))) in (1..).zip(peers) {
                let owner_is_odd = owner.len() % 2 == 1;
                let mut peer = Peer { owner, other, ..peer(number, gateway.lowest_free_ipv4().unwrap()) };
                peer.endpoint = peer.endpoint.filter(|_| kind != 0);
                if kind == 2 {
                    let previous_secret = owner_is_odd.then(|| GroupSecret::from_random([number + 100; 32]));
                    let label_selector = LabelSelector::equals(GROUP_LABEL, &name);
                    let secret = GroupSecret::from_random([number; 32]);
                    let group = Group {
                        secret,
                        previous_secret,
                        label_selector,
                        owner: "x".to_owned(),
                        other: BTreeMap::new(),
                    };
                    gateway.groups.insert(name.clone(), group);
                }
                if kind == 3 {
                    (peer.prefix, peer.endpoint) = (None, None);
                    gateway.discovery = Some(discovery(other_of_discovery.clone()));
                }
                if let Some(endpoint) = &mut peer.endpoint {
                    endpoint.set_port(u16::from(port) + 1);
                }
                gateway.peers.insert(name, peer);
            }
            gateway
        },
    )
}

fn names() -> impl Strategy<Value = Name> {
    "[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

/// Keys of later versions: any JSON under names that this version does not use.
fn others() -> impl Strategy<Value = BTreeMap<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no infinity", |number| number.is_finite()).prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    let json = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(".{0,5}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("x-.{0,9}", json, 0..3)
}

fn gateway(number: u8) -> Gateway {
    Gateway {
        public_key: public_key(number),
        private_key: None,
        pool6: Pool6::default(),
        mtu: 1412,
        keepalive_secs: 25,
        address6: Ipv6Addr::new(0xfd64, 0xff9b, 0, 0, 0, 0, 0, 1),
        ipv4_prefix: "198.18.0.0/16".parse().unwrap(),
        egress: Egress::default(),
        dns64: None,
        discovery: None,
        policy: None,
        owner: String::new(),
        groups: BTreeMap::new(),
        peers: BTreeMap::new(),
        other: BTreeMap::new(),
    }
}

fn discovery(other: BTreeMap<String, Value>) -> Discovery {
    Discovery { label_selector: LabelSelector::equals(GATEWAY_LABEL, &name(0)), other }
}

fn peer(number: u8, ipv4: Ipv4Addr) -> Peer {
    let prefix = Ipv6Net::new(Ipv6Addr::new(0x2001, 0xdb8, 1, number.into(), 0, 0, 0, 0), 64).unwrap();
    Peer {
        public_key: public_key(number),
        prefix: Some(prefix),
        ipv4,
        endpoint: Some(contract::parse_endpoint(&prefix.to_string()).unwrap()),
        owner: String::new(),
        other: BTreeMap::new(),
    }
}

fn name(number: u8) -> Name {
    format!("peer-{number}").parse().unwrap()
}

/// Any 32 bytes are a public key; deriving real ones is most of the time that an unoptimised build would take.
fn public_key(number: u8) -> PublicKey {
    PrivateKey::from_random([number; 32]).to_base64().parse().unwrap()
}

static PAIR: LazyLock<(PublicKey, PrivateKey)> = LazyLock::new(|| {
    let private_key = PrivateKey::from_random([0xa5; 32]);
    (private_key.public_key(), private_key)
});
