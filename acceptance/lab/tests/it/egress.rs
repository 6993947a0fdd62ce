//! How translated packets leave a Pi that is connected to the IPv4 internet itself: seen from there, and by its own kernel.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::site::on_site;
use lab::topology::{DNS, WEB};
use lab::{Host, Process, Server, Site, wait};

use crate::life::{check_network_is, network_of};

/// The Pi's address on the IPv4 internet, and the one that it has later.
pub(crate) const UPLINK: &str = "203.0.115.10";
pub(crate) const LATER: &str = "203.0.115.11";
/// Somebody on the IPv4 internet whom nobody has spoken to.
const STRANGER: &str = "203.0.112.99";
pub(crate) const PAGE: &str = "http://web.example/";
/// How long a translator may take to follow an apply or a change of addresses.
const LIMIT: Duration = Duration::from_secs(10);

const SHARED: &str = "egress = \"shared\"\n egress_ports = \"40000-59999\"";
const ROUTED: &str = "egress = \"routed\"\n pool4 = [\"203.0.116.8/29\"]";

/// Says, from port 4000 of two addresses, whom each datagram comes from.
const OUTSIDE: &str = "
import select, socket, sys
sockets = []
for address in sys.argv[1:]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 4000))
    sockets.append(s)
print('ready', flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        _, peer = s.recvfrom(2048)
        s.sendto(('%s:%d' % peer).encode(), peer)
";

/// One socket speaks to all the addresses, and prints what each has seen; then what somebody else sends it.
const INSIDE: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
for address in sys.argv[1:]:
    s.sendto(b'who am I?', (address, 4000))
    print(s.recv(2048).decode(), flush=True)
s.settimeout(20)
print(s.recv(2048).decode(), flush=True)
";

/// Sends one datagram: from, to, port, text.
const SEND: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.sendto(sys.argv[4].encode(), (sys.argv[2], int(sys.argv[3])))
";

/// A Pi with an uplink of its own, and the service on the IPv4 internet.
pub(crate) fn connect_pi(site: &Site) -> Result<Process> {
    let (pi, internet4) = (&site.lab.pi, &site.lab.internet4);
    pi.link("wan", internet4, "pi", 9)?;
    pi.script(&format!("ip address add {UPLINK}/24 dev wan; ip route replace default via 203.0.115.1"))?;
    internet4.script(&format!(
        "ip address add 203.0.115.1/24 dev pi; ip address add {STRANGER}/24 dev eth0
         ip route add 203.0.116.8/29 via {UPLINK}"
    ))?;
    let service = internet4.spawn("outside", &["python3", "-c", OUTSIDE, &WEB.to_string(), &DNS.to_string()])?;
    wait::until("the service", LIMIT, || Ok(service.log().contains("ready").then_some(())))?;
    Ok(service)
}

/// A server behind a Pi with an uplink of its own and these options.
pub(crate) fn server_with(site: &mut Site, options: &str) -> Result<Server> {
    site.terraform.set_gateway_options(options)?;
    let web = site.with_connected_server("web")?;
    web.curl(PAGE)?;
    Ok(web)
}

/// Which of the two translations a server uses.
#[derive(Clone, Copy)]
enum Way {
    Nat64,
    Nat44,
}

/// What both servers outside see of one socket, which must be the same; and the stranger reaches that. Each check has a name
/// of its own, and so its own log.
fn check_endpoint_independence(site: &Site, web: &Server, check: &str, way: Way) -> Result<String> {
    let addresses = [WEB, DNS].map(|address| match way {
        Way::Nat64 => format!("64:ff9b::{address}"),
        Way::Nat44 => address.to_string(),
    });
    let words = [&["python3", "-c", INSIDE][..], &addresses.each_ref().map(String::as_str)].concat();
    let inside = web.host().spawn(check, &words)?;
    let seen = wait::until("both answers", LIMIT, || {
        let log = inside.log();
        let lines: Vec<_> = log.lines().map(str::to_owned).collect();
        Ok((lines.len() >= 2).then_some(lines))
    });
    let (seen, _) = seen.with_context(|| inside.log())?;
    assert_eq!(seen[0], seen[1], "one endpoint inside is one endpoint outside");

    let (address, port) = seen[0].split_once(':').context("an address and a port")?;
    site.lab.internet4.run(&["python3", "-c", SEND, STRANGER, address, port, "hello from a stranger"])?;

    let came = wait::until("the stranger's datagram", LIMIT, || {
        Ok(inside.log().contains("hello from a stranger").then_some(()))
    });
    came.with_context(|| inside.log())?;
    Ok(seen[0].clone())
}

/// Everything that is not UDP and works: TCP, echoes, fragments, and errors of routers and hosts.
fn check_the_rest(web: &Server) -> Result<()> {
    for host in [format!("64:ff9b::{WEB}"), WEB.to_string()] {
        web.curl(&if host.contains(':') { format!("http://[{host}]/") } else { format!("http://{host}/") })?;
        web.host().run(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", "-s", "4000", &host])?;
        let refused = web.host().attempt(&["python3", "-c", CLOSED_PORT, &host])?;
        assert_eq!(
            String::from_utf8_lossy(&refused.stdout).trim(),
            "refused",
            "an error of a host outside, from {host}"
        );
        // The engine takes one hop, the Pi's kernel the next.
        let lost = web.host().attempt(&["ping", "-n", "-c", "1", "-W", "3", "-t", "2", &host])?;
        let said = String::from_utf8_lossy(&lost.stdout).into_owned();
        assert!(said.contains("Time") && said.contains("exceeded"), "an error of the Pi's own kernel: {said}");
    }
    Ok(())
}

/// Whether a closed UDP port says that it is.
const CLOSED_PORT: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect((sys.argv[1], 4444))
s.send(b'?')
try:
    s.recv(1)
except ConnectionRefusedError:
    print('refused')
";

/// Entries of the Pi's connection tracking that are about packets of the servers.
pub(crate) fn tracked(pi: &Host) -> Result<Vec<String>> {
    let entries = pi.script("conntrack -L 2>/dev/null")?;
    let of_servers = entries.lines().filter(|line| line.contains(&WEB.to_string()) || line.contains(&DNS.to_string()));
    Ok(of_servers.map(str::to_owned).collect())
}

fn pool4(site: &Site) -> Result<String> {
    Ok(site.translator()?.status()?["gateway"]["pool4"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_shared_uplink_is_one_endpoint_to_everybody_and_nothing_is_tracked() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let web = server_with(site, SHARED)?;

        for (check, way) in [("nat64", Way::Nat64), ("nat44", Way::Nat44)] {
            let seen = check_endpoint_independence(site, &web, check, way)?;
            let (address, port) = seen.split_once(':').context("an address and a port")?;
            assert_eq!(address, UPLINK);
            assert!((40_000..60_000).contains(&port.parse::<u16>()?), "{seen}");
        }
        check_the_rest(&web)?;

        assert_eq!(tracked(&site.lab.pi)?, Vec::<String>::new());
        assert_eq!(pool4(site)?, format!("{UPLINK} ports 40000-59999 (shared)"));
        Ok(())
    });
}

#[test]
fn a_routed_pool_is_one_endpoint_to_everybody_and_nothing_is_tracked() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let web = server_with(site, ROUTED)?;

        for (check, way) in [("nat64", Way::Nat64), ("nat44", Way::Nat44)] {
            let seen = check_endpoint_independence(site, &web, check, way)?;
            assert!(seen.starts_with("203.0.116."), "{seen}");
        }
        check_the_rest(&web)?;

        assert_eq!(tracked(&site.lab.pi)?, Vec::<String>::new());
        assert_eq!(pool4(site)?, "203.0.116.8/29 (routed)");
        Ok(())
    });
}

#[test]
fn the_pi_itself_keeps_clear_of_the_ports_that_it_shares() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let ask = "import socket\nfor n in range(2000):\n s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n \
                   s.bind(('', 0))\n print(s.getsockname()[1])\n";
        let own_ports = || -> Result<usize> {
            let ports = site.lab.pi.run(&["python3", "-c", ask])?;
            Ok(ports.lines().filter(|port| matches!(port.parse(), Ok(40_000..=59_999_u32))).count())
        };
        assert!(own_ports()? > 0, "the kernel gives these ports to programs");
        site.lab.pi.script("echo 33000,50000-50002 >/proc/sys/net/ipv4/ip_local_reserved_ports")?;

        site.terraform.set_gateway_options(SHARED)?;
        site.apply(&[])?;
        site.start_translator(&[])?;

        let pi = Arc::clone(&site.lab.pi);
        let reserved = || pi.run(&["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"]);
        assert_eq!(reserved()?.trim(), "33000,40000-59999");
        let taken = site.lab.pi.run(&["python3", "-c", ask])?;
        assert!(!taken.lines().any(|port| matches!(port.parse(), Ok(40_000..=59_999_u32))), "{taken}");
        // And its own way out is the kernel's, as ever.
        site.lab.pi.run(&["curl", "-sS", "--fail", "--max-time", "5", &format!("http://{WEB}/")])?;
        site.lab.internet4.run(&["ping", "-n", "-c", "1", "-W", "5", UPLINK])?;
        assert!(site.stop_translator()?.success());
        assert_eq!(reserved()?.trim(), "33000,50000-50002");
        Ok(())
    });
}

#[test]
fn who_holds_a_shared_port_is_named_and_a_killed_translator_s_ports_are_given_back() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let pi = Arc::clone(&site.lab.pi);
        let reserved = || pi.run(&["cat", "/proc/sys/net/ipv4/ip_local_reserved_ports"]);
        pi.script("echo 33000,50000-50002 >/proc/sys/net/ipv4/ip_local_reserved_ports")?;
        let holder = pi.spawn("holder", &["python3", "-c", HOLDER])?;
        wait::until("the holder", LIMIT, || Ok(holder.log().contains("ready").then_some(())))?;

        site.terraform.set_gateway_options(SHARED)?;
        site.apply(&[])?;
        site.start_translator(&[])?;

        let log = site.translator()?.log();
        assert!(log.contains("hold ports of egress_ports 40000-59999: TCP 41000, UDP 41001;"), "{log}");
        drop(holder);
        site.kill_translator()?;
        assert_eq!(reserved()?.trim(), "33000,40000-59999", "what is left");
        site.terraform.set_gateway_options("")?;
        site.apply(&[])?;
        site.start_translator(&[])?;
        assert_eq!(reserved()?.trim(), "33000,50000-50002");
        assert!(site.stop_translator()?.success());
        assert_eq!(reserved()?.trim(), "33000,50000-50002");
        Ok(())
    });
}

/// Has three ports, one of which nobody outside can reach.
const HOLDER: &str = "
import signal, socket
sockets = []
for family, kind, address in [
    (socket.AF_INET6, socket.SOCK_STREAM, ('::', 41000)),
    (socket.AF_INET, socket.SOCK_DGRAM, ('0.0.0.0', 41001)),
    (socket.AF_INET, socket.SOCK_DGRAM, ('127.0.0.1', 41002)),
]:
    s = socket.socket(family, kind)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen()
    sockets.append(s)
print('ready', flush=True)
signal.pause()
";

#[test]
fn a_shared_uplink_that_gets_another_address_is_followed() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let web = server_with(site, SHARED)?;
        let before = check_endpoint_independence(site, &web, "before", Way::Nat64)?;
        assert!(site.translator()?.ask(&["bib", "list"])?.contains(&before));

        site.lab.pi.script(&format!(
            "ip address del {UPLINK}/24 dev wan; ip address add {LATER}/24 dev wan; ip route replace default via 203.0.115.1"
        ))?;
        wait::until("the new address", LIMIT, || Ok(pool4(site)?.starts_with(LATER).then_some(())))?;

        assert!(!site.translator()?.ask(&["bib", "list"])?.contains(UPLINK), "nothing of the old address is left");
        let after = check_endpoint_independence(site, &web, "after", Way::Nat64)?;
        assert!(after.starts_with(LATER), "{after}");
        check_the_rest(&web)?;
        site.lab.pi.script("ip route del default")?;
        wait::until("no uplink", LIMIT, || Ok(pool4(site)?.starts_with("nowhere").then_some(())))?;
        site.lab.pi.script("ip route add default via 203.0.115.1")?;
        wait::until("the way out", LIMIT, || Ok(web.reaches(PAGE)?.then_some(())))?;
        Ok(())
    });
}

#[test]
fn a_sender_behind_a_shared_uplink_learns_how_much_the_uplink_takes() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        site.lab.pi.script("ip link set wan mtu 1300")?;
        let web = server_with(site, SHARED)?;
        let script = "
import socket, sys, time
v6 = ':' in sys.argv[1]
s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(41 if v6 else 0, 23 if v6 else 10, 2)  # IPV6_MTU_DISCOVER, IP_MTU_DISCOVER = DO
s.connect((sys.argv[1], 4000))
for _ in range(50):
    mtu = s.getsockopt(41 if v6 else 0, 24 if v6 else 14)  # IPV6_MTU, IP_MTU
    if mtu < 1390:
        break
    try:
        s.send(bytes(mtu - (48 if v6 else 28)))
    except OSError:
        pass
    time.sleep(0.1)
print(mtu)
";

        // What leaves as 1300 bytes of IPv4 comes as 20 bytes more of IPv6.
        for (host, expected) in [(format!("64:ff9b::{WEB}"), "1320"), (WEB.to_string(), "1300")] {
            let mtu = web.host().run(&["python3", "-c", script, &host])?;
            assert_eq!(mtu.trim(), expected, "to {host}");
        }
        Ok(())
    });
}

#[test]
fn the_way_out_changes_while_the_tunnels_stay_and_leaves_nothing_behind() {
    on_site(|site| {
        let _outside = connect_pi(site)?;
        let before = network_of(&site.lab.pi)?;
        let web = server_with(site, "")?;
        let (pid, handshake) = (site.translator()?.pid(), web.latest_handshake()?);
        assert_eq!(tracked(&site.lab.pi)?.len(), 1, "a masqueraded connection is tracked");

        for (options, mark) in [(SHARED, "(shared)"), (ROUTED, "(routed)"), (SHARED, "(shared)"), ("", "(masqueraded)")]
        {
            site.set_gateway_options(options)?;
            wait::until(mark, LIMIT, || Ok(pool4(site)?.ends_with(mark).then_some(())))?;
            web.curl(PAGE).with_context(|| mark)?;
        }

        assert_eq!((site.translator()?.pid(), web.latest_handshake()?), (pid, handshake));
        site.set_gateway_options(SHARED)?;
        wait::until("(shared)", LIMIT, || Ok(pool4(site)?.ends_with("(shared)").then_some(())))?;
        assert!(site.stop_translator()?.success());
        check_network_is(&site.lab.pi, &before)
    });
}
