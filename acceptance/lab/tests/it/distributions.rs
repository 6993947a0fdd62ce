//! Servers of several makes: whatever looks after a server's network and its names, it ends up with IPv4 and DNS64, and keeps them
//! when that program does its work again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::Container;
use lab::container::{Archive, Stack};
use lab::site::{Site, on_site};
use lab::topology::{HOME_PUBLIC, WEB, WEB_NAME};
use serde_json::json;

/// A timer of a minute, and the rest of a busy machine.
const HEAL_LIMIT: Duration = Duration::from_secs(120);

/// Hetzner's Debian 12.
const DEBIAN_12: Stack = Stack {
    name: "ifupdown-dhclient",
    archive: Archive::Debian,
    suite: "bookworm",
    packages: &["ifupdown", "isc-dhcp-client"],
};
/// Hetzner's Debian 13, whose DHCP client is another one.
const DEBIAN_13: Stack = Stack {
    name: "ifupdown-dhcpcd",
    archive: Archive::Debian,
    suite: "trixie",
    packages: &["ifupdown", "dhcpcd-base"],
};
const RESOLVCONF: Stack = Stack {
    name: "resolvconf",
    archive: Archive::Debian,
    suite: "bookworm",
    packages: &["ifupdown", "isc-dhcp-client", "resolvconf"],
};
const OPENRESOLV: Stack = Stack {
    name: "openresolv",
    archive: Archive::Debian,
    suite: "trixie",
    packages: &["ifupdown", "dhcpcd-base", "openresolv"],
};
/// What Ubuntu has.
const NETPLAN: Stack =
    Stack { name: "netplan", archive: Archive::Debian, suite: "trixie", packages: &["netplan.io", "systemd-resolved"] };
/// What Rocky, Alma and their kin have.
const NETWORK_MANAGER: Stack =
    Stack { name: "network-manager", archive: Archive::Debian, suite: "bookworm", packages: &["network-manager"] };
/// What Fedora has.
const NETWORK_MANAGER_RESOLVED: Stack = Stack {
    name: "network-manager-resolved",
    archive: Archive::Debian,
    suite: "trixie",
    packages: &["network-manager", "systemd-resolved"],
};

/// Debian's cloud-init would not choose it by itself; theirs does.
const RENDERER: (&str, &str) =
    ("etc/cloud/cloud.cfg.d/99-renderer.cfg", "system_info: {network: {renderers: [network-manager]}}\n");

/// `netplan apply` insists on telling udev, which no container has.
const NO_UDEV: (&str, &str) = ("usr/sbin/udevadm", "#!/bin/sh\nexit 0\n");

/// What a Rocky 8 says of itself: no kernel with WireGuard, and no Python where programs look for it.
const ROCKY_8: [(&str, &str); 5] = [
    ("usr/lib/os-release", "ID=rocky\nVERSION_ID=8.10\nPRETTY_NAME='Rocky Linux 8.10 (Green Obsidian)'\n"),
    (
        "usr/sbin/uname",
        "#!/bin/sh\n[ \"$*\" != -r ] || { echo 4.18.0-553.el8_10.x86_64; exit; }\nexec /usr/bin/uname \"$@\"\n",
    ),
    (
        "usr/sbin/ip",
        "#!/bin/sh\ncase \"$*\" in *wireguard) echo 'Error: Unknown device type.' >&2; exit 2 ;; esac\nexec /usr/bin/ip \"$@\"\n",
    ),
    ("usr/sbin/modprobe", "#!/bin/sh\nexit 1\n"),
    ("usr/sbin/python3", "#!/bin/sh\nexit 127\n"),
];

/// A running gateway, and a server of this make that has booted for the first time.
fn booted(site: &mut Site, stack: &Stack, files: &[(&str, &str)]) -> Result<Container> {
    let mut container = site.lab.add_container("web", stack)?;
    for (path, text) in files {
        container.put(path, text)?;
    }
    site.terraform.set("servers", json!({ "web": container.network().prefix() }))?;
    site.terraform.apply()?;
    container.set_user_data(&site.terraform.output_entry("user_data", "web")?)?;
    site.start_translator(&[])?;
    container.boot()?;
    Ok(container)
}

/// The IPv4 internet by literal and by name, and the name by DNS64.
fn check_ipv4(container: &Container) -> Result<()> {
    for host in [WEB.to_string(), WEB_NAME.to_owned()] {
        container.wait_for(
            "IPv4",
            HEAL_LIMIT,
            &format!("ip -4 route get {WEB} | grep -q 'dev hetznat0'; curl -sS --fail --max-time 5 http://{host}/"),
        )?;
        let page = container.run(&format!("curl -sS --fail --max-time 20 http://{host}/"))?;
        assert_eq!(page, format!("hello from an IPv4-only web server, you are {HOME_PUBLIC}\n"), "by {host}");
    }
    let status = container.run("hetznat-status")?;
    assert_eq!(status.matches("ok   ").count(), 5, "{status}");
    check_names(container)
}

/// A resolver without DNS64 would know no IPv6 address of it.
fn check_names(container: &Container) -> Result<()> {
    let addresses = container.run(&format!("getent ahostsv6 {WEB_NAME}")).with_context(|| container.report())?;
    assert!(addresses.starts_with("64:ff9b::cb00:7050 "), "{addresses}");
    Ok(())
}

/// Boots such a server, lets its network programs do their work again, boots it again. `names` is to print the same always.
fn check(stack: &Stack, files: &[(&str, &str)], names: (&str, &str), again: &[&str]) {
    on_site(|site| {
        let mut container = booted(site, stack, files)?;
        let check = |container: &Container| {
            check_ipv4(container)?;
            assert_eq!(container.run(names.0)?, names.1, "{}", container.report());
            anyhow::Ok(())
        };
        check(&container)?;
        for script in again {
            container.run(script)?;
            container
                .run(&format!("ip -4 route get {WEB} | grep -q 'dev hetznat0'"))
                .with_context(|| (*script).to_owned())?;
            check_names(&container).with_context(|| (*script).to_owned())?;
            check(&container).with_context(|| (*script).to_owned())?;
        }
        container.boot()?;
        check(&container)?;
        check_down(&container)?;
        check(&container)
    });
}

/// What an owner took down stays down when the timer heals, and comes back when it is asked to.
fn check_down(container: &Container) -> Result<()> {
    let gone =
        format!("! ip -4 route get {WEB} 2>/dev/null | grep hetznat0 && ! ip link show dev hetznat0 2>/dev/null");
    for script in
        ["hetznat down", "systemctl start hetznat-refresh.service", "hetznat down", "systemctl restart hetznat-watch"]
    {
        container.run(script)?;
        container.run(&gone).with_context(|| format!("after {script}"))?;
    }
    container.run("hetznat up")?;
    container.wait_for("IPv4 after up", HEAL_LIMIT, &format!("ip -4 route get {WEB} | grep 'dev hetznat0'"))?;
    Ok(())
}

/// What stands in /etc/resolv.conf.
const PLAIN: (&str, &str) = (
    "test ! -L /etc/resolv.conf; cat /etc/resolv.conf",
    "nameserver 2606:4700:4700::64\nnameserver 2001:4860:4860::64\nnameserver 2606:4700:4700::6400\noptions timeout:2\n",
);

#[test]
fn ifupdown_with_dhclient_leaves_names_and_routes_alone() {
    check(&DEBIAN_12, &[], PLAIN, &["dhclient -r eth0; dhclient -1 eth0", "systemctl restart networking"]);
}

#[test]
fn ifupdown_with_dhcpcd_leaves_names_and_routes_alone() {
    check(&DEBIAN_13, &[], PLAIN, &["dhcpcd -4 -n eth0", "systemctl restart networking"]);
}

#[test]
fn resolvconf_has_no_say_in_names() {
    check(&RESOLVCONF, &[], PLAIN, &["resolvconf -u", "systemctl restart networking"]);
}

#[test]
fn openresolv_has_no_say_in_names() {
    check(&OPENRESOLV, &[], PLAIN, &["resolvconf -u", "systemctl restart networking"]);
}

/// What systemd-resolved asks for everything, whatever it knows of single links.
const RESOLVED: (&str, &str) = (
    "resolvectl dns | sed -n 's/^Global: //p'; resolvectl domain | sed -n 's/^Global: //p'",
    "2606:4700:4700::64 2001:4860:4860::64 2606:4700:4700::6400\n~.\n",
);

#[test]
fn netplan_networkd_and_resolved_leave_names_and_routes_alone() {
    let again = [
        "netplan apply",
        "networkctl reload; networkctl renew eth0",
        "systemctl restart systemd-networkd systemd-resolved",
    ];
    check(&NETPLAN, &[NO_UDEV], RESOLVED, &again);
}

/// With netplan, networkd and resolved of its own, of three releases.
#[cfg(feature = "ubuntu")]
fn ubuntu(name: &'static str, suite: &'static str, packages: &'static [&'static str]) {
    let stack = Stack { name, archive: Archive::Ubuntu, suite, packages };
    check(&stack, &[NO_UDEV], RESOLVED, &["netplan apply", "systemctl restart systemd-networkd systemd-resolved"]);
}

#[test]
#[cfg(feature = "ubuntu")]
fn ubuntu_22_04_leaves_names_and_routes_alone() {
    ubuntu("ubuntu-22.04", "jammy", &["netplan.io"]);
}

#[test]
#[cfg(feature = "ubuntu")]
fn ubuntu_24_04_leaves_names_and_routes_alone() {
    ubuntu("ubuntu-24.04", "noble", &["netplan.io", "systemd-resolved"]);
}

#[test]
#[cfg(feature = "ubuntu")]
fn ubuntu_26_04_leaves_names_and_routes_alone() {
    ubuntu("ubuntu-26.04", "resolute", &["netplan.io", "systemd-resolved"]);
}

const NM_AGAIN: [&str; 2] = ["nmcli connection reload; nmcli device reapply eth0", "systemctl restart NetworkManager"];

#[test]
fn network_manager_leaves_names_and_routes_alone() {
    let names = (
        "grep nameserver /etc/resolv.conf",
        "nameserver 2606:4700:4700::64\nnameserver 2001:4860:4860::64\nnameserver 2606:4700:4700::6400\n",
    );
    check(&NETWORK_MANAGER, &[RENDERER], names, &NM_AGAIN);
}

#[test]
fn network_manager_with_resolved_leaves_names_and_routes_alone() {
    check(&NETWORK_MANAGER_RESOLVED, &[RENDERER], RESOLVED, &NM_AGAIN);
}

#[test]
fn a_rocky_8_is_refused_in_one_line_and_left_as_it_is() {
    on_site(|site| {
        let files: Vec<_> = [RENDERER].into_iter().chain(ROCKY_8).collect();
        site.terraform.set("extra_user_data", json!({ "web": "#cloud-config\nruncmd: [touch /run/user-runcmd]\n" }))?;
        let container = booted(site, &NETWORK_MANAGER, &files)?;

        let said = container.wait_for(
            "the service's end",
            HEAL_LIMIT,
            // What it said may reach the journal a moment later.
            "systemctl -q is-failed hetznat; journalctl --output=cat _COMM=hetznat _SYSTEMD_UNIT=hetznat.service | grep .",
        )?;
        assert_eq!(
            said,
            "hetznat: Linux 4.18.0-553.el8_10.x86_64 has no WireGuard; use an image with Linux 5.6 or newer: \
             Debian 12, Ubuntu 22.04, Rocky 9\n"
        );
        container.wait_for("the user's command", HEAL_LIMIT, "test -e /run/user-runcmd")?;
        container.run("grep -q 'nameserver 2a01:4ff:ff00::add:' /etc/resolv.conf")?;
        container
            .run("! ls /etc/NetworkManager/conf.d | grep hetznat; ! ls /etc/systemd/system/*.wants | grep hetznat")?;
        let units = container.run("systemctl list-units 'hetznat*' --all --no-legend --plain | cut -d ' ' -f 1")?;
        assert_eq!(units, "hetznat.service\n");
        Ok(())
    });
}
