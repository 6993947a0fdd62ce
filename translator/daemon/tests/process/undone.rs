//! A start that fails undoes what it did, prints one line, and ends with the documented code.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::namespace::Namespace;
use crate::state::State;
use crate::translator::{BINARY, Translator, command_of_nobody, finish, run_arguments};

/// Runs a command that must fail, and leave the kernel and the directory as they were; its code and line.
fn fails(namespace: &Namespace, state: &State, command: &mut Command) -> String {
    let before = (namespace.kernel_state(), files(state));

    let (code, stdout, stderr) = finish(command.args(run_arguments(state)));

    assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{stderr}");
    assert_eq!((namespace.kernel_state(), files(state)), before);
    state.redact(&format!("{} {}", code.unwrap(), stderr.trim_end()))
}

fn files(state: &State) -> Vec<String> {
    let entries = std::fs::read_dir(state.directory()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Prepares a namespace with a shell script, runs the translator in it, and compares what it says.
fn check(script: &str, expected: &str) {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh(script);

    let line = fails(&namespace, &state, &mut namespace.command(BINARY));

    assert_eq!(line, expected);
}

/// Like [`check`], but the script changes what the translator alone sees of the file system.
fn check_with_mounts(script: &str, expected: &str) {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let mut command = namespace.command("unshare");
    command.args(["--mount", "sh", "-euc", &format!("{script}; exec \"$@\""), "sh", BINARY]);

    let line = fails(&namespace, &state, &mut command);

    assert_eq!(line, expected);
}

#[test]
fn without_the_tun_device() {
    check_with_mounts(
        "mount -t tmpfs none /dev/net",
        "69 error: /dev/net/tun is missing; load the module with modprobe tun, or hand the device to the container \
         (--device /dev/net/tun)",
    );
}

#[test]
fn without_nft() {
    check_with_mounts(
        "mount --bind /dev/null $(command -v nft)",
        "69 error: nft is missing; install it with apt install nftables",
    );
}

#[test]
fn without_ipv6() {
    check(
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
        "69 error: IPv6 is off on this machine; switch it on (net.ipv6.conf.all.disable_ipv6=0, no ipv6.disable=1 at boot)",
    );
}

#[test]
fn with_an_interface_of_that_name() {
    check(
        "ip tuntap add hetznat0 mode tap",
        "71 error: the interface name hetznat0 is taken; stop what uses it, or choose another with --tun NAME",
    );
}

#[test]
fn with_a_route_in_the_way() {
    check(
        "ip tuntap add lan mode tap; ip link set lan up; ip route add 198.18.0.0/16 dev lan",
        "71 error: ipv4_prefix 198.18.0.0/16: this machine has a route for 198.18.0.0/16 already; set another \
         ipv4_prefix in Terraform",
    );
}

#[test]
fn with_forwarding_that_cannot_be_switched_on() {
    check_with_mounts(
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
        "71 error: IPv4 forwarding is off and cannot be switched on from here (read-only file system); install the \
         shipped sysctl.d/50-hetznat-translator.conf, or run sysctl -w net.ipv4.ip_forward=1",
    );
}

#[test]
fn with_a_file_in_the_control_socket_s_place() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let command = &mut namespace.command("env");
    // The option of `run_arguments` wins over the environment, so the path itself is occupied.
    std::fs::create_dir(state.directory().join("run")).unwrap();
    std::fs::write(state.directory().join("run/control.sock"), "precious").unwrap();

    let line = fails(&namespace, &state, command.arg(BINARY));

    assert_eq!(
        line,
        "71 error: cannot listen on the control socket [DIR]/run/control.sock: a file that is no socket is in its \
         place; choose another path with --control SOCKET"
    );
}

#[test]
fn without_the_capability() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let mut command = namespace.command("setpriv");

    let line = fails(&namespace, &state, command.args(["--bounding-set", "-net_admin", BINARY]));

    assert_eq!(
        line,
        "77 error: CAP_NET_ADMIN is missing; start it by systemd (systemctl start hetznat-translator) or as root"
    );
}

#[test]
fn without_the_right_to_read_the_document() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    let mut command = command_of_nobody(&namespace, &state);
    std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o000)).unwrap();

    let line = fails(&namespace, &state, &mut command);

    assert_eq!(
        line,
        "66 error: cannot read the state file [DIR]/state.json: permission denied; make the user that runs this its \
         owner; terraform apply keeps it"
    );
}

#[test]
fn with_a_taken_udp_port() {
    let Some(namespace) = Namespace::new() else { return };
    let state = State::new();
    namespace.sh("ip link add vx type vxlan id 1 dstport 5555 remote ::1 dev lo && ip link set vx up");
    let before = namespace.kernel_state();

    let mut command = namespace.command(BINARY);
    let (code, _, stderr) = finish(command.args(run_arguments(&state)).args(["--listen-port", "5555"]));

    assert_eq!(code, Some(71), "{stderr}");
    assert!(stderr.starts_with("error: cannot start the tunnels: ") && stderr.contains("5555"), "{stderr}");
    assert_eq!((stderr.lines().count(), namespace.kernel_state()), (1, before));
}

#[test]
fn beside_another_translator() {
    let Some(namespace) = Namespace::new() else { return };
    let (first, second) = (State::new(), State::new());
    let running = Translator::start(&namespace, &first, &[]);
    let mut same_socket = namespace.command(BINARY);
    let mut same_name = namespace.command(BINARY);
    let mut nothing_shared = namespace.command("env");

    let lines = [
        fails_beside(&namespace, &first, &mut same_socket),
        fails(&namespace, &second, &mut same_name),
        fails(&namespace, &second, nothing_shared.args(["HETZNAT_TUN=hetznat1", BINARY])),
    ];

    insta::assert_snapshot!(lines.join("\n"));
    running.status();
}

/// Like [`fails`], but the running translator's own files come and go.
fn fails_beside(namespace: &Namespace, state: &State, command: &mut Command) -> String {
    let before = namespace.kernel_state();

    let (code, _, stderr) = finish(command.args(run_arguments(state)));

    assert_eq!(namespace.kernel_state(), before);
    state.redact(&format!("{} {}", code.unwrap(), stderr.trim_end()))
}
