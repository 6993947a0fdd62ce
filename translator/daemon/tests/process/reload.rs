//! A running translator follows its document, and serves on when the document is no good.

use contract::{Document, Peer, PrivateKey};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::namespace::Namespace;
use crate::state::{State, document, edited};
use crate::translator::Translator;

fn peers(status: &Value) -> Vec<&str> {
    let peers = status["datapath"]["peers"].as_array().unwrap();
    peers.iter().map(|peer| peer["name"].as_str().unwrap()).collect()
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |status| status["document"]["state"] == state
}

fn second_peer() -> Peer {
    let mut peer = document().gateways.into_values().next().unwrap().peers.into_values().next().unwrap();
    peer.public_key = PrivateKey::from_random([3; 32]).public_key();
    peer.prefix = "2001:db8:1:3::/64".parse().ok();
    peer.ipv4 = "198.18.0.3".parse().unwrap();
    peer.endpoint = Some("[2001:db8:1:3::1]:46464".parse().unwrap());
    peer
}

#[test]
fn peers_come_and_go_with_the_document() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let translator = Translator::start(&namespace, &state, &[]);

    state.write(&edited(|gateway| {
        gateway.peers.insert("db".parse().unwrap(), second_peer());
    }));
    let status = translator.wait_for_status("two peers", |status| status["document"]["serial"] == 43);
    assert_eq!(peers(&status), ["db", "web"]);

    state.write(&document());
    let status = translator.wait_for_status("one peer", |status| status["document"]["serial"] == 42);
    assert_eq!(peers(&status), ["web"]);
}

#[test]
fn a_bad_document_changes_nothing_and_status_says_why() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let translator = Translator::start(&namespace, &state, &[]);
    let newer = document().render().replace("\"format\": 1", "\"format\": 4");
    let half = document().render()[..200].to_owned();

    for (text, reason) in [(half.as_str(), "EOF"), (&newer, "format version 4 is newer"), ("", "EOF"), ("[]", "")] {
        state.scribble(text);
        let status = translator.wait_for_status("refused for this reason", |status| {
            status["document"]["reason"].as_str().is_some_and(|found| found.contains(reason))
        });
        assert_eq!(status["document"]["state"], "refused");
        assert_eq!(status["document"]["serial"], 42);
        assert_eq!(peers(&status), ["web"]);
    }

    std::fs::remove_file(state.path()).unwrap();
    let missing = "no such file";
    let reason = |status: &Value| status["document"]["reason"].as_str().is_some_and(|found| found.contains(missing));
    translator.wait_for_status("refused because it is missing", reason);

    state.write(&edited(|_| ()));
    translator.wait_for_status("applied again", is("applied"));
}

#[test]
fn a_gateway_that_is_taken_out_of_the_document_loses_its_peers() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let copy = state.directory().join("last-good.json");
    let translator = Translator::start(&namespace, &state, &["--last-good", copy.to_str().unwrap()]);
    assert!(copy.exists());

    state.write(&Document { serial: 43, ..Document::default() });
    let status = translator.wait_for_status("withdrawn", is("withdrawn"));

    assert!(peers(&status).is_empty());
    assert!(!copy.exists());
    state.write(&document());
    let status = translator.wait_for_status("applied again", is("applied"));
    assert_eq!(peers(&status), ["web"]);
}

#[test]
fn a_start_without_a_document_uses_the_last_good_copy() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let copy = state.directory().join("last-good.json");
    let arguments = ["--last-good", copy.to_str().unwrap()];
    let mut first = Translator::start(&namespace, &state, &arguments);
    first.signal(Signal::SIGTERM);
    first.end();
    std::fs::remove_file(state.path()).unwrap();

    let second = Translator::start(&namespace, &state, &arguments);

    let status = second.status();
    assert_eq!(status["document"]["state"], "refused");
    assert_eq!(peers(&status), ["web"]);
    state.write(&edited(|_| ()));
    second.wait_for_status("applied", is("applied"));
}

#[test]
fn changed_addresses_set_everything_up_afresh() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let before = namespace.kernel_state();
    let mut translator = Translator::start(&namespace, &state, &[]);

    state.write(&edited(|gateway| {
        gateway.address6 = "fd00::1".parse().unwrap();
        gateway.ipv4_prefix = "100.100.0.0/24".parse().unwrap();
        gateway.peers.clear();
    }));
    translator.wait_for_status("serial 43", |status| status["document"]["serial"] == 43);

    let during = namespace.kernel_state();
    for expected in [
        "100.100.0.1/32 fd00::1/128",
        "from fd00::1 lookup 46464",
        "elements = { 100.100.0.254 }",
        "ip saddr @pool4 masquerade",
    ] {
        assert!(during.contains(expected), "no {expected:?} in {during}");
    }
    assert!(!during.contains("198.18.0.1") && !during.contains("fd64:ff9b::1"), "{during}");
    translator.signal(Signal::SIGTERM);
    translator.end();
    assert_eq!(namespace.kernel_state(), before);
}

#[test]
fn addresses_that_cannot_be_had_bring_the_old_ones_back() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh("ip tuntap add lan mode tap; ip link set lan up; ip route add 100.100.0.0/24 dev lan");
    let translator = Translator::start(&namespace, &state, &[]);

    state.write(&edited(|gateway| {
        gateway.ipv4_prefix = "100.100.0.0/24".parse().unwrap();
        gateway.peers.clear();
    }));
    let status = translator.wait_for_status("refused", is("refused"));

    assert!(status["document"]["reason"].as_str().unwrap().contains("has a route for 100.100.0.0/24"), "{status:#}");
    assert_eq!(peers(&status), ["web"]);
    assert!(namespace.kernel_state().contains("198.18.0.1/32 fd64:ff9b::1/128"));
}

#[test]
fn a_changed_mtu_changes_the_routes() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let translator = Translator::start(&namespace, &state, &[]);

    state.write(&edited(|gateway| gateway.mtu = 1380));
    translator.wait_for_status("serial 43", |status| status["gateway"]["mtu_bytes"] == 1380);

    let routes = namespace.kernel_state();
    assert!(
        !routes.contains("mtu 1412") && routes.contains("198.18.0.0/16 dev hetznat0 proto static scope link mtu 1380")
    );
    assert!(routes.contains("default dev hetznat0 table 46464 proto static metric 1024 mtu 1380"), "{routes}");
}

#[test]
fn sighup_reads_the_private_key_again() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let (old, new) = (PrivateKey::from_random([7; 32]), PrivateKey::from_random([8; 32]));
    let key = state.directory().join("private.key");
    let with_key =
        |key: &PrivateKey| edited(|gateway| (gateway.public_key, gateway.private_key) = (key.public_key(), None));
    std::fs::write(&key, old.to_base64().as_bytes()).unwrap();
    state.write(&with_key(&old));
    let translator = Translator::start(&namespace, &state, &["--private-key", key.to_str().unwrap()]);
    state.write(&with_key(&new));
    translator.wait_for_status("refused", is("refused"));

    std::fs::write(&key, new.to_base64().as_bytes()).unwrap();
    translator.signal(Signal::SIGHUP);

    let status = translator.wait_for_status("applied", is("applied"));
    assert_eq!(status["gateway"]["public_key"], new.public_key().to_string());
}
