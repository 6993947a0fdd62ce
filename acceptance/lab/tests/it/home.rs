//! What the home notices of a translator in it: nothing.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::site::on_site;
use lab::topology::{PI, PI_LAN, WEB};
use lab::{Process, wait};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(10);

/// One router advertisement to everybody on a link (RFC 4861 §4.2), for a /64 to make addresses of: interface, prefix.
const ADVERTISE: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(sys.argv[1]))
header = bytes([134, 0, 0, 0, 64, 0, 0, 0]) + bytes(8)
hour = (3600).to_bytes(4, 'big')
prefix = bytes([3, 4, 64, 0xc0]) + hour + hour + bytes(4) + socket.inet_pton(socket.AF_INET6, sys.argv[2])
s.sendto(header + prefix, ('ff02::1', 0))
";

/// One socket that speaks to port 53 of an address over and over, and prints where from it is spoken to.
const SPEAK: &str = "
import socket, sys
question = bytes.fromhex('000101000001000000000000') + b'\\x03dns\\x07example\\x00' + bytes.fromhex('00010001')
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.settimeout(0.2)
while True:
    s.sendto(question, (sys.argv[1], 53))
    try:
        print(s.recvfrom(2048)[1][0], flush=True)
    except TimeoutError:
        pass
";

#[test]
fn the_pi_goes_on_listening_to_its_router() {
    on_site(|site| {
        site.apply(&[])?;
        site.start_translator(&[])?;
        let (pi, home) = (&site.lab.pi, &site.lab.home);
        pi.script("echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_ra")?;

        home.run(&["python3", "-c", ADVERTISE, "lan", "2001:db8:4000:2::"])?;

        let addresses = || pi.run(&["ip", "-6", "address", "show", "dev", "eth0", "scope", "global"]);
        let heard = || Ok(addresses()?.contains(" 2001:db8:4000:2:").then_some(()));
        wait::until("an address of the prefix that was advertised", LIMIT, heard)
            .with_context(|| format!("{:?}", addresses()))?;
        Ok(())
    });
}

fn wait_for_more(speaking: &Process) -> Result<()> {
    let before = speaking.log().lines().count();
    let more = || Ok((speaking.log().lines().count() >= before + 3).then_some(()));
    wait::until("three answers more", LIMIT, more).with_context(|| speaking.log()).map(drop)
}

#[test]
fn a_host_at_home_gets_no_flow_and_reaches_no_flow_of_a_server() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let home = &site.lab.home;
        let speaking =
            web.host().spawn("speaking", &["python3", "-c", SPEAK, &format!("64:ff9b::{}", lab::topology::DNS)])?;
        wait_for_more(&speaking)?;
        let outside = || -> Result<Vec<String>> {
            let bib: Value = serde_json::from_str(&site.translator()?.ask(&["bib", "list", "--json"])?)?;
            let outer = |entry: &Value| entry["outer"].as_str().map(str::to_owned);
            Ok(bib.as_array().into_iter().flatten().filter_map(outer).collect())
        };
        let before = outside()?;
        assert_eq!(before.len(), 1, "{before:?}");
        let (address, port) = before[0].rsplit_once(':').context("an address and a port")?;

        // Both ways lead to the Pi as to a router.
        home.script(&format!("ip route add 64:ff9b::/96 via {PI}; ip route add {address}/32 via {PI_LAN}"))?;
        let ping = home.attempt(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", &format!("64:ff9b::{WEB}")])?;
        let send = "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                    s.sendto(b'from a neighbour', (sys.argv[1], int(sys.argv[2])))\n";
        home.run(&["python3", "-c", send, address, port])?;
        wait_for_more(&speaking)?;

        assert!(!ping.status.success(), "{}", String::from_utf8_lossy(&ping.stdout));
        let from: Vec<_> = speaking.log().lines().map(str::to_owned).collect();
        assert!(from.iter().all(|from| *from == from_dns()), "{from:?}");
        assert_eq!(outside()?, before, "the server's flow is the only one");
        Ok(())
    });
}

/// The DNS server, as a server sees it.
fn from_dns() -> String {
    let [a, b, c, d] = lab::topology::DNS.octets();
    format!("64:ff9b::{:x}:{:x}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}
