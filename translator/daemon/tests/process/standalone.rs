//! The stand-alone mode: what it sets up and takes down, what it refuses, what it can be told while it runs.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::namespace::Namespace;
use crate::state::State;
use crate::translator::{BINARY, Translator, finish};

/// The shortest arguments, with the control socket where [`Translator`] looks for it.
fn arguments(state: &State) -> Vec<String> {
    let control = state.directory().join("run/control.sock");
    ["nat64", "--pool4", "192.0.2.2-192.0.2.4", "--control", control.to_str().unwrap()].map(str::to_owned).to_vec()
}

fn start<'a>(namespace: &Namespace, state: &'a State, more: &[&str]) -> Translator<'a> {
    Translator::start_with(namespace.command(BINARY), state, &arguments(state), more)
}

/// Runs a command that asks the translator; its code and everything it printed.
fn ask(state: &State, line: &str) -> String {
    let control = state.directory().join("run/control.sock");
    let mut command = Command::new(BINARY);
    let (code, stdout, stderr) = finish(command.args(line.split(' ')).arg("--control").arg(control));
    state.redact(&format!("$ {line}\n{} {stdout}{stderr}", code.unwrap()))
}

/// What the translator says of itself when it must fail in a namespace; the kernel is as it was.
fn fails(namespace: &Namespace, more: &[&str]) -> String {
    let state = State::new();
    let before = namespace.kernel_state();

    let (code, stdout, stderr) = finish(namespace.command(BINARY).args(arguments(&state)).args(more));

    assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{stderr}");
    assert_eq!(namespace.kernel_state(), before);
    assert!(!state.directory().join("run").exists());
    state.redact(&format!("{} {}", code.unwrap(), stderr.trim_end()))
}

#[test]
fn the_pools_are_routed_while_it_runs_and_no_longer() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let Some(namespace) = Namespace::new() else { return };
        let state = State::new();
        let before = namespace.kernel_state();

        let mut translator = start(&namespace, &state, &["--tun", "xlat", "--pool6", "2001:db8:64::/48"]);
        let during = namespace.kernel_state();
        translator.signal(signal);
        let status = translator.end();

        for expected in [
            "2001:db8:64::/48 dev xlat proto static",
            "192.0.2.2/31 dev xlat proto static scope link",
            "192.0.2.4 dev xlat proto static scope link",
            "\n0\n0\n",
        ] {
            assert!(during.contains(expected), "no {expected:?} in {during}");
        }
        assert_eq!(status.code(), Some(0), "{}", translator.log());
        assert_eq!(namespace.kernel_state(), before);
        assert!(!state.directory().join("run").exists());
    }
}

#[test]
fn a_killed_one_leaves_nothing_but_its_socket() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let before = namespace.kernel_state();

    let mut killed = start(&namespace, &state, &[]);
    killed.signal(Signal::SIGKILL);
    killed.end();

    assert_eq!(namespace.kernel_state(), before);
    start(&namespace, &state, &[]);
}

#[test]
fn what_keeps_packets_from_flowing_is_said_in_the_log() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh("ip address add 192.0.2.3/32 dev lo; sysctl -qw net.ipv6.conf.all.forwarding=1");

    let translator = start(&namespace, &state, &[]);

    let log = translator.log();
    for expected in ["net.ipv4.ip_forward is 0", "pool4 address 192.0.2.3 is this machine's own"] {
        assert!(log.contains(expected), "no {expected:?} in {log}");
    }
    assert!(!log.contains("net.ipv6.conf.all.forwarding"), "{log}");
}

#[test]
fn mtus_are_those_of_the_routes_and_follow_them() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh(
        "ip tuntap add wan mode tap; ip tuntap add lan mode tap; ip link set wan mtu 1492 up; ip link set lan up; \
         ip address add 198.51.100.1/24 dev wan; ip address add 10.0.0.1/24 dev lan; \
         ip route add default via 198.51.100.254; ip address add 2001:db8::1/64 dev lan nodad",
    );
    let translator = start(&namespace, &state, &[]);
    let mtus = |status: &serde_json::Value| ["mtu4", "mtu6"].map(|key| status["nat64"][key]["bytes"].as_u64().unwrap());
    assert_eq!(mtus(&translator.status()), [1492, 1500]);

    namespace.sh("ip route change default via 198.51.100.254 mtu 1400; ip link set lan mtu 9000");

    translator.wait_for_status("the new MTUs", |status| mtus(status) == [1400, 9000]);
}

#[test]
fn systemd_hears_of_readiness_life_and_the_end() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();

    let mut translator = start(&namespace, &state, &[]);

    translator.expect_notification("WATCHDOG=1");
    translator.signal(Signal::SIGTERM);
    translator.expect_notification("STOPPING=1");
    translator.end();
}

#[test]
fn one_capability_is_enough_and_none_is_said() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let mut command = namespace.command("setpriv");
    command.args(["--bounding-set", "-all,+net_admin", BINARY]);
    Translator::start_with(command, &state, &arguments(&state), &[]);

    let mut command = namespace.command("setpriv");
    command.args(["--bounding-set", "-net_admin", BINARY]).args(arguments(&State::new()));
    let (code, _, stderr) = finish(&mut command);

    assert_eq!(code, Some(77));
    assert!(stderr.starts_with("error: CAP_NET_ADMIN is missing"), "{stderr}");
}

#[test]
fn a_start_that_fails_is_undone_and_says_why() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.sh("ip tuntap add lan mode tap; ip link set lan up; ip route add 192.0.2.4 dev lan; \
         ip route add 2001:db8:64::/96 dev lan; ip tuntap add taken mode tun");

    let report = [
        fails(&namespace, &["--tun", "taken"]),
        fails(&namespace, &[]),
        fails(&namespace, &["--pool6", "2001:db8:64::/96"]),
        fails(&namespace, &["--static", "udp,192.0.2.9:53,[2001:db8::5]:53"]),
        fails(&namespace, &["--ports", "1000-2000", "--static", "udp,192.0.2.2:53,[2001:db8::5]:53"]),
    ];

    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn without_ipv6_it_does_not_start() {
    let Some(namespace) = Namespace::new() else { return };
    namespace.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");

    assert!(fails(&namespace, &[]).starts_with("69 error: IPv6 is off on this machine"));
}

#[test]
fn beside_another_one_pools_must_differ() {
    let Some(namespace) = Namespace::new() else { return };
    let first = State::new();
    let _running = start(&namespace, &first, &["--tun", "first"]);

    let line = fails(&namespace, &["--tun", "second"]);

    assert_eq!(
        line,
        "71 error: --pool6 64:ff9b::/96: this machine has a route for it already; remove that, or choose another --pool6"
    );
}

#[test]
fn where_the_control_socket_is_taken_the_start_is_undone() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let _running = start(&namespace, &state, &[]);
    let before = namespace.kernel_state();
    let control = state.directory().join("run/control.sock");

    let options = ["nat64", "--tun", "second", "--pool6", "2001:db8:64::/96", "--pool4", "198.51.100.7", "--control"];
    let (code, _, stderr) = finish(namespace.command(BINARY).args(options).arg(control));

    assert_eq!(code, Some(71), "{stderr}");
    assert_eq!(namespace.kernel_state(), before);
}

#[test]
fn tables_are_shown_and_changed() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let translator = start(&namespace, &state, &["--static", "icmp,192.0.2.2:7,[2001:db8::5]:8"]);

    let report: Vec<String> = [
        "bib list",
        "bib add udp 192.0.2.2:1000 [2001:db8::5]:1001",
        "bib add udp 192.0.2.2:1000 [2001:db8::6]:1001",
        "bib add udp 192.0.2.3:1000 [2001:db8::5]:1001",
        "bib add tcp 192.0.2.5:1000 [2001:db8::5]:1001",
        "bib list",
        "bib list --json",
        "bib remove udp 192.0.2.2:1000",
        "bib remove udp 192.0.2.2:1000",
        "sessions list",
        "sessions list --json",
    ]
    .map(|line| ask(&state, line))
    .into();

    insta::assert_snapshot!(report.join(""));
    drop(translator);
}

#[test]
fn settings_are_changed_while_it_runs() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let _translator = start(&namespace, &state, &["--mtu4", "1400", "--mtu6", "1300"]);

    let report: Vec<String> = [
        "config set lowest-ipv6-mtu 1290",
        "config set mtu4 1492",
        "config set mtu6 9000",
        "config set mtu4 auto",
        "config set filtering address-dependent",
        "config set hairpinning off",
        "config set unsolicited silent",
        "config set traffic-class 0",
        "config set tos copy",
        "config set own-errors off",
        "config set udp-without-checksum drop",
        "config set pooling soft",
        "config set tcp-opening 300",
        "config set tcp-closing 239",
        "config set allow 10.0.0.0/8,192.168.1.1",
        "config set allow none",
        "config set allow everything",
        "config set mtu4 67",
    ]
    .map(|line| ask(&state, line))
    .into();

    insta::assert_snapshot!(report.join(""));
}

#[test]
fn a_gateway_has_tables_too_but_its_settings_come_from_terraform() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let _gateway = Translator::start(&namespace, &state, &[]);

    let report: Vec<String> =
        ["bib add tcp 198.18.255.254:8080 [2001:db8:1:2::1]:80", "bib list", "sessions list", "config set mtu4 1400"]
            .map(|line| ask(&state, line))
            .into();

    insta::assert_snapshot!(report.join(""));
}
