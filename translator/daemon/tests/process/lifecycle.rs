//! From start to end: what is set up, and that nothing of it stays behind.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;

use crate::namespace::Namespace;
use crate::state::State;
use crate::translator::{Translator, command_of_nobody};

#[test]
fn a_translator_sets_up_its_network_and_takes_it_down_again() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let Some(namespace) = Namespace::new() else { return };
        let state = State::new();
        let before = namespace.kernel_state();

        let mut translator = Translator::start(&namespace, &state, &[]);
        let during = namespace.kernel_state();
        translator.signal(signal);
        let status = translator.end();

        for expected in [
            "198.18.0.1/32 fd64:ff9b::1/128",
            "4646:\tfrom fd64:ff9b::1 lookup 46464",
            "198.18.0.0/16 dev hetznat0 proto static scope link mtu 1412",
            "198.18.255.254 dev hetznat0 proto static scope link",
            "default dev hetznat0 table 46464 proto static metric 1024 mtu 1412",
            "table inet hetznat {",
            "\n1\n0\n",
        ] {
            assert!(during.contains(expected), "no {expected:?} in {during}");
        }
        assert_eq!(status.code(), Some(0), "{}", translator.log());
        assert_eq!(namespace.kernel_state(), before);
        assert!(!state.directory().join("run").exists());
    }
}

#[test]
fn forwarding_that_was_on_stays_on() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh("sysctl -qw net.ipv4.ip_forward=1");
    let before = namespace.kernel_state();

    let mut translator = Translator::start(&namespace, &state, &[]);
    translator.signal(Signal::SIGTERM);
    translator.end();

    assert_eq!(namespace.kernel_state(), before);
}

#[test]
fn a_killed_translator_s_leftovers_do_not_stop_the_next() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let before = namespace.kernel_state();
    let mut killed = Translator::start(&namespace, &state, &[]);
    killed.signal(Signal::SIGKILL);
    killed.end();
    assert!(namespace.kernel_state().contains("lookup 46464"), "the test needs a leftover");

    let mut next = Translator::start(&namespace, &state, &[]);
    next.signal(Signal::SIGTERM);
    next.end();

    // Who killed the first also kept it from switching forwarding off.
    namespace.sh("sysctl -qw net.ipv4.ip_forward=0");
    assert_eq!(namespace.kernel_state(), before);
}

#[test]
fn systemd_hears_of_readiness_life_and_the_end() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();

    let mut translator = Translator::start(&namespace, &state, &[]);

    translator.expect_notification("WATCHDOG=1");
    translator.expect_notification("WATCHDOG=1");
    translator.signal(Signal::SIGTERM);
    translator.expect_notification("STOPPING=1");
    translator.end();
}

#[test]
fn the_control_socket_is_for_the_owner_and_the_group() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();

    let translator = Translator::start(&namespace, &state, &[]);

    let socket = state.directory().join("run/control.sock");
    assert_eq!(std::fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o660);
    let status = translator.status();
    assert_eq!(status["document"]["state"], "applied");
    assert_eq!(status["document"]["serial"], 42);
    assert_eq!(status["gateway"]["interface"], "hetznat0");
    assert_eq!(status["datapath"]["peers"][0]["name"], "web");
}

#[test]
fn an_idle_translator_is_small() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();

    let translator = Translator::start(&namespace, &state, &[]);
    translator.status();

    let resident = translator.resident_kib();
    assert!(resident < 40 * 1024, "{resident} KiB");
}

#[test]
fn the_log_holds_no_key() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();

    let mut translator = Translator::start(&namespace, &state, &["--log-format", "json"]);
    translator.signal(Signal::SIGTERM);
    translator.end();

    let log = translator.log();
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
    assert!(!log.contains(crate::state::gateway_key().to_base64().as_str()));
}

#[test]
fn flushed_rules_come_back() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let mut translator = Translator::start(&namespace, &state, &[]);
    let before = namespace.kernel_state();
    namespace.sh("nft flush ruleset");

    // As systemd does when nftables.service is reloaded.
    translator.signal(Signal::SIGHUP);
    translator.expect_notification("STATUS=serving, document serial 42");

    assert_eq!(namespace.kernel_state(), before);
}

#[test]
fn one_capability_and_no_root_are_enough() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let before = namespace.kernel_state();
    let command = command_of_nobody(&namespace, &state);

    let mut translator = Translator::start_by(command, &state, &[]);
    let during = namespace.kernel_state();
    translator.signal(Signal::SIGTERM);

    assert_eq!(translator.end().code(), Some(0), "{}", translator.log());
    assert!(during.contains("table inet hetznat {") && during.contains("from fd64:ff9b::1 lookup 46464"), "{during}");
    assert_eq!(namespace.kernel_state(), before);
}
