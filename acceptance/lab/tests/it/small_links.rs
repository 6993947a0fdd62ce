//! Links smaller than the tunnel on either side of it, with and without ICMP: transfers arrive whole all the same.

use std::fs::File;

use anyhow::Result;
use lab::site::{Site, on_site};
use lab::topology::{LARGE_FILE, WEB, write_large_file};
use lab::{Host, Server, web};

const BYTES: u64 = 4_000_000;

/// Nobody here hears of packets that are too big, nor does who is reached through here.
const FILTER_ICMP: &str = "nft -f - <<'RULES'
table inet silence {
    chain input {
        type filter hook input priority filter
        icmp type destination-unreachable counter drop
        icmpv6 type packet-too-big counter drop
    }
    chain output {
        type filter hook output priority filter
        icmp type destination-unreachable counter drop
        icmpv6 type packet-too-big counter drop
    }
}
RULES";

/// Runs what follows in the box.
const IN_BOX: [&str; 4] = ["ip", "netns", "exec", "box"];

/// A machine behind the server, on an Ethernet of 1500 bytes, that knows nothing of tunnels: IPv6 from the server's own
/// network, IPv4 behind the server's address. The server's end of the link takes `mtu` bytes.
fn add_box(server: &Server, mtu: u16) -> Result<()> {
    server.host().script(&format!(
        "
ip netns add box
ip link add box type veth peer name eth0 netns box
ip link set box mtu {mtu} up
ip address add 192.168.77.1/24 dev box
ip address add fe80::1/64 dev box nodad
ip route add 2001:db8:1:1:b::/80 dev box
ip -n box link set lo up
ip -n box link set eth0 up
ip -n box address add 192.168.77.2/24 dev eth0
ip -n box address add 2001:db8:1:1:b::2/80 dev eth0 nodad
ip -n box route add default via 192.168.77.1
ip -n box route add default via fe80::1 dev eth0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
nft -f - <<'RULES'
table ip box {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        ip saddr 192.168.77.0/24 masquerade
    }}
}}
RULES"
    ))?;
    Ok(())
}

const CURL: [&str; 6] = ["curl", "-sS", "--fail", "--globoff", "--max-time", "40"];

/// The web server, through NAT64 and through NAT44.
fn ways() -> [String; 2] {
    [format!("http://[64:ff9b::{WEB}]/"), format!("http://{WEB}/")]
}

/// Puts a file on the IPv4 internet, whole; `inside` are the words before the command.
fn upload(host: &Host, inside: &[&str]) -> Result<()> {
    let path = host.directory().join("upload");
    write_large_file(&mut File::create(&path)?, BYTES)?;
    let path = path.to_string_lossy();
    let sum = host.run(&["sha256sum", &path])?;
    for web in ways() {
        let received = host.run(&[inside, &CURL, &["-T", &path, &web]].concat())?;

        assert_eq!(received.trim(), &sum[..64], "up to {web}");
    }
    Ok(())
}

/// Fetches a file from the IPv4 internet, whole.
fn download(site: &Site, host: &Host, inside: &[&str]) -> Result<()> {
    let www = site.lab.subdirectory("www")?;
    web::publish_large_file(&www, BYTES)?;
    let sum = site.lab.workstation.run(&["sha256sum", &www.join(LARGE_FILE).to_string_lossy()])?;
    let path = host.directory().join("download");
    let path = path.to_string_lossy();
    for web in ways() {
        host.run(&[inside, &CURL, &["-o", &path, &format!("{web}{LARGE_FILE}")]].concat())?;

        assert_eq!(host.run(&["sha256sum", &path])?[..64], sum[..64], "down from {web}");
    }
    Ok(())
}

#[test]
fn a_small_link_to_the_ipv4_internet_is_learned_of() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        // The home answers super-packets with errors that quote their whole length.
        site.lab.home.run(&["ip", "link", "set", "wan4", "mtu", "1300"])?;

        upload(web.host(), &[])?;
        download(site, web.host(), &[])?;

        assert_eq!(site.translator()?.dropped("packet_too_big")?, 0, "it fits our links");
        Ok(())
    });
}

#[test]
fn a_small_link_behind_a_server_is_learned_of() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        add_box(&web, 1290)?;

        upload(web.host(), &IN_BOX)?;
        download(site, web.host(), &IN_BOX)
    });
}

#[test]
fn a_small_link_under_the_tunnel_costs_only_speed() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        // 1412 bytes inside are 1492 outside. What the server itself sends is its own WireGuard's to care for.
        site.lab.internet6.run(&["ip", "link", "set", "home", "mtu", "1400"])?;
        site.lab.home.run(&["ip", "link", "set", "wan6", "mtu", "1400"])?;

        download(site, web.host(), &[])?;

        assert_eq!(site.translator()?.dropped("send_failed")?, 0);
        let known = site.lab.pi.run(&["ip", "-6", "route", "get", &web.address().to_string()])?;
        assert!(known.contains("mtu 1400"), "the path was learned of: {known}");
        Ok(())
    });
}

#[test]
fn who_does_not_know_of_the_tunnel_needs_no_icmp() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        add_box(&web, 1500)?;
        web.host().script(FILTER_ICMP)?;
        site.lab.pi.script(FILTER_ICMP)?;
        site.lab.internet4.script(FILTER_ICMP)?;

        upload(web.host(), &IN_BOX)?;
        download(site, web.host(), &IN_BOX)?;

        let dropped = web.host().run(&["nft", "list", "table", "inet", "silence"])?;
        assert_eq!(dropped.matches("packets 0 ").count(), 4, "nothing was ever too big: {dropped}");
        Ok(())
    });
}
