//! The stand-alone mode on a router: traffic both ways, errors, settings, and that nothing stays behind.

use std::time::Duration;

use anyhow::Result;
use lab::router::{CLIENT, POOL4, ROUTER, SERVER, on_router, ping, udp};
use lab::{Router, wait, web};

const LIMIT: Duration = Duration::from_secs(10);

/// An IPv4 address as hosts inside see it.
fn inside(address: &str) -> String {
    format!("64:ff9b::{address}")
}

fn curl(host: &lab::Host, url: &str) -> Result<String> {
    host.run(&["curl", "-sS", "--fail", "--max-time", "5", "--globoff", url])
}

/// Packets and bytes that the kernel counted on the translator's interface, both ways together.
fn frames(router: &Router) -> Result<(u64, u64)> {
    let counters = router
        .router
        .script("cd /sys/class/net/nat64/statistics; cat rx_packets tx_packets; echo; cat rx_bytes tx_bytes")?;
    let sum = |text: &str| text.lines().filter_map(|line| line.parse::<u64>().ok()).sum();
    let (packets, bytes) = counters.split_once("\n\n").unwrap_or_default();
    Ok((sum(packets), sum(bytes)))
}

#[test]
fn a_client_without_ipv4_pings_asks_and_fetches() {
    on_router(|router| {
        let _echo = router.echo(&router.server, "0.0.0.0", 7)?;
        router.translate(&[])?;

        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));
        assert_eq!(udp(&router.client, &inside(SERVER), 7, "hello")?, format!("hello from {POOL4}"));
        let page = curl(&router.client, &format!("http://[{}]/", inside(SERVER)))?;
        assert_eq!(page, format!("hello from an IPv4-only web server, you are {POOL4}\n"));
        Ok(())
    });
}

#[test]
fn every_prefix_leads_out_and_answers_come_back_from_it() {
    on_router(|router| {
        router.serve_page_of_the_client()?;
        router.translate(&["--pool6", "2001:db8:64::/48", "--static", "tcp,203.0.114.2:80,[2001:db8::5]:80"])?;
        assert!(router.kernel_state()?.contains("2001:db8:64::/48 dev nat64"));

        // RFC 6052 §2.2: in a /48 the address steps over bits 64 to 71.
        for server in [&inside(SERVER), "2001:db8:64:cb00:70:5000::"] {
            assert!(ping(&router.client, &[server])?.contains("1 received"), "{server}");
            let page = curl(&router.client, &format!("http://[{server}]/"))?;
            assert_eq!(page, format!("hello from an IPv4-only web server, you are {POOL4}\n"));
        }
        let page = curl(&router.server, &format!("http://{POOL4}/"))?;
        let first = inside(SERVER).parse::<std::net::Ipv6Addr>()?;
        assert_eq!(page, format!("hello from an IPv6-only web server, you are {first}\n"));
        Ok(())
    });
}

#[test]
fn the_translator_s_own_host_is_a_client_too() {
    on_router(|router| {
        router.translate(&[])?;

        assert!(ping(&router.router, &[&inside(SERVER)])?.contains("1 received"));
        let page = curl(&router.router, &format!("http://[{}]/", inside(SERVER)))?;
        assert!(page.ends_with(&format!("you are {POOL4}\n")), "{page}");
        Ok(())
    });
}

#[test]
fn fifty_megabytes_arrive_whole_in_super_packets() {
    on_router(|router| {
        web::publish_large_file(&router.web_directory()?, 50_000_000)?;
        let sent =
            router.server.run(&["sha256sum", router.web_directory()?.join(web::LARGE_FILE).to_str().unwrap()])?;
        router.translate(&[])?;

        let url = format!("http://[{}]/{}", inside(SERVER), web::LARGE_FILE);
        let received = router.client.script(&format!("curl -sS -g --fail --max-time 60 '{url}' | sha256sum"))?;

        assert_eq!(received[..64], sent[..64]);
        let (packets, bytes) = frames(router)?;
        assert!(bytes > 100_000_000, "{bytes} bytes");
        // Acknowledgements included: cut into segments, the mean would be below 1000.
        assert!(bytes / packets > 3_000, "{bytes} bytes in {packets} frames");
        Ok(())
    });
}

/// Prints the number in each datagram, in the order they come, until the last one.
const COLLECT: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 4000))
print('ready', flush=True)
while True:
    datagram = s.recv(2048)
    assert datagram == datagram[:1] * len(datagram)
    print(datagram[0], len(datagram), flush=True)
";

/// Sends 200 datagrams, each of its own number: fifty of one length, then of another.
const SEND: &str = "
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for number in range(200):
    s.sendto(bytes([number]) * (100 + number // 50), (sys.argv[1], 4000))
";

#[test]
fn datagrams_that_waited_together_arrive_in_order_and_cost_a_few_packets() {
    on_router(|router| {
        let server = router.server.spawn("collect", &["python3", "-u", "-c", COLLECT])?;
        wait::until("the collector", LIMIT, || Ok(server.log().contains("ready").then_some(())))?;
        router.translate(&[])?;
        // Neighbours are known, and nothing but the datagrams is counted.
        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));
        let written = || -> Result<u64> {
            Ok(router.router.run(&["cat", "/sys/class/net/nat64/statistics/rx_packets"])?.trim().parse()?)
        };
        let before = written()?;

        router.translator()?.signal("STOP")?;
        router.client.run(&["python3", "-c", SEND, &inside(SERVER)])?;
        router.translator()?.signal("CONT")?;

        let expected: String = (0..200).map(|number| format!("{number} {}\n", 100 + number / 50)).collect();
        wait::until("the last datagram", LIMIT, || Ok(server.log().contains("199 103").then_some(())))?;
        assert_eq!(server.log().trim_start_matches("ready\n"), expected);
        let packets = written()? - before;
        assert!(packets < 40, "{packets} packets for 200 datagrams");
        Ok(())
    });
}

/// Ten sends of forty datagrams of 1200 bytes each (`UDP_SEGMENT`), numbered; both ends do the same, the server second.
const DATAGRAMS: &str = "
import socket, sys
to = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if to else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 1200)
s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: nothing is lost at the ends
s.settimeout(20)
s.bind(('', 4000))
def send(peer):
    for base in range(0, 400, 40):
        s.sendto(b''.join(n.to_bytes(2, 'big') * 600 for n in range(base, base + 40)), peer)
def receive():
    seen = [s.recvfrom(2000) for _ in range(400)]
    assert [data for data, _ in seen] == [n.to_bytes(2, 'big') * 600 for n in range(400)]
    return seen[0][1]
if to:
    send((to[0], 4000))
    receive()
    print('whole')
else:
    print('ready', flush=True)
    send(receive())
";

#[test]
fn datagrams_that_were_sent_together_stay_together_both_ways() {
    on_router(|router| {
        router.translate(&[])?;
        let server = router.server.spawn("datagrams", &["python3", "-u", "-c", DATAGRAMS])?;
        wait::until("the server", LIMIT, || Ok(server.log().contains("ready").then_some(())))?;

        let said = router.client.run(&["python3", "-u", "-c", DATAGRAMS, &inside(SERVER)])?;

        assert_eq!(said.trim(), "whole", "{}", server.log());
        let (packets, bytes) = frames(router)?;
        assert!(bytes > 1_900_000, "{bytes} bytes");
        // In and out again, each way: 1600 frames if they were cut.
        assert!(packets < 150, "{bytes} bytes in {packets} frames");
        Ok(())
    });
}

#[test]
fn every_hop_answers_when_the_hop_limit_ends_there() {
    on_router(|router| {
        router.translate(&[])?;
        let server = inside(SERVER);
        let hop = |limit: &str| ping(&router.client, &["-t", limit, &server]);

        let (kernel6, translator) = (hop("1")?, hop("2")?);
        assert!(kernel6.contains("From 2001:db8::1") && kernel6.contains("Hop limit"), "{kernel6}");
        let pool4 = "From 64:ff9b::cb00:7202";
        assert!(translator.contains(pool4) && translator.contains("Hop limit"), "{translator}");
        let kernel4 = hop("3")?;
        assert!(kernel4.contains("From 64:ff9b::cb00:7001") && kernel4.contains("Hop limit"), "{kernel4}");
        assert!(hop("4")?.contains("1 received"));
        Ok(())
    });
}

#[test]
fn errors_come_from_the_addresses_that_were_given() {
    on_router(|router| {
        router.translate(&[
            "--address4",
            ROUTER,
            "--address6",
            "2001:db8::64",
            "--static",
            "icmp,203.0.114.2:7,[2001:db8::5]:7",
        ])?;

        let towards_client = ping(&router.client, &["-t", "2", &inside(SERVER)])?;
        // One hop to the router, one through the translator.
        let towards_server = ping(&router.server, &["-t", "2", "-e", "7", POOL4])?;

        assert!(towards_client.contains("From 2001:db8::64"), "{towards_client}");
        assert!(towards_server.contains(&format!("From {ROUTER}")), "{towards_server}");
        let reached = ping(&router.server, &["-t", "4", "-e", "7", POOL4])?;
        assert!(reached.contains("1 received"), "{reached}");
        Ok(())
    });
}

#[test]
fn ports_are_those_that_were_given_to_each_protocol() {
    on_router(|router| {
        let _echo = router.echo(&router.server, "0.0.0.0", 7)?;
        router.translate(&["--pool4", "203.0.114.4-203.0.114.5", "--ports", "3000-3099", "--ports", "icmp,7-7"])?;
        assert!(router.kernel_state()?.contains("203.0.114.4/31 dev nat64"));

        udp(&router.client, &inside(SERVER), 7, "hello")?;
        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));

        let bib: serde_json::Value = serde_json::from_str(&router.translator()?.ask(&["bib", "list", "--json"])?)?;
        for entry in bib.as_array().unwrap() {
            let port = entry["outer"].as_str().unwrap().rsplit(':').next().unwrap().parse::<u16>()?;
            let expected = if entry["protocol"] == "icmp" { 7..=7 } else { 3000..=3099 };
            assert!(expected.contains(&port), "{entry}");
        }
        assert_eq!(bib.as_array().unwrap().len(), 2, "{bib}");
        Ok(())
    });
}

#[test]
fn a_router_inside_answers_the_outside_from_the_pool_of_error_sources() {
    on_router(|router| {
        router.translate(&["--error-source4", "203.0.114.100", "--static", "icmp,203.0.114.2:7,[2001:db8::5]:7"])?;
        assert!(ping(&router.server, &["-e", "7", POOL4])?.contains("1 received"));

        // The router's own kernel is the router inside: behind the translator no hop is left.
        let expired = ping(&router.server, &["-t", "3", "-e", "7", POOL4])?;

        assert!(expired.contains("From 203.0.114.100") && expired.contains("Time to live exceeded"), "{expired}");
        Ok(())
    });
}

#[test]
fn a_mapping_lets_the_outside_in_until_it_is_removed() {
    on_router(|router| {
        router.serve_page_of_the_client()?;
        let _echo = router.echo(&router.client, "::", 1001)?;
        router.translate(&[])?;
        let translator = router.translator()?;
        assert!(udp(&router.server, POOL4, 1000, "hello").is_err());

        translator.ask(&["bib", "add", "udp", "203.0.114.2:1000", &format!("[{CLIENT}]:1001")])?;
        translator.ask(&["bib", "add", "tcp", "203.0.114.2:8080", &format!("[{CLIENT}]:80")])?;

        let from = inside(SERVER).parse::<std::net::Ipv6Addr>()?;
        assert_eq!(udp(&router.server, POOL4, 1000, "hello")?, format!("hello from {from}"));
        let page = curl(&router.server, &format!("http://{POOL4}:8080/"))?;
        assert_eq!(page, format!("hello from an IPv6-only web server, you are {from}\n"));
        let bib: serde_json::Value = serde_json::from_str(&translator.ask(&["bib", "list", "--json"])?)?;
        assert!(bib.as_array().unwrap().iter().all(|entry| entry["static"] == true), "{bib:#}");
        let sessions = translator.ask(&["sessions", "list"])?;
        assert!(sessions.contains("[2001:db8::5]:1001") && sessions.contains(SERVER), "{sessions}");

        translator.ask(&["bib", "remove", "udp", "203.0.114.2:1000"])?;
        assert!(udp(&router.server, POOL4, 1000, "hello").is_err());
        Ok(())
    });
}

#[test]
fn a_setting_holds_from_the_moment_it_is_set() {
    on_router(|router| {
        router.translate(&[])?;
        let translator = router.translator()?;
        let large = ["-M", "do", "-s", "1400", &inside(SERVER)];
        let own = [inside(ROUTER)];
        assert!(ping(&router.client, &large)?.contains("1 received"));
        assert!(ping(&router.client, &own.each_ref().map(String::as_str))?.contains("Administratively prohibited"));

        translator.ask(&["config", "set", "mtu4", "1400"])?;
        translator.ask(&["config", "set", "allow", ROUTER])?;

        let refused = ping(&router.client, &large)?;
        assert!(refused.contains("Packet too big: mtu=1420"), "{refused}");
        assert!(ping(&router.client, &own.each_ref().map(String::as_str))?.contains("1 received"));
        Ok(())
    });
}

#[test]
fn the_mtu_of_the_next_hop_is_followed() {
    on_router(|router| {
        router.translate(&[])?;
        let translator = router.translator()?;
        assert_eq!(translator.status()?["nat64"]["mtu4"]["bytes"], 1500);

        router.router.script("ip link set wan mtu 1400; ip link set lan mtu 1300")?;

        wait::until("the new MTUs", LIMIT, || {
            let nat64 = translator.status()?["nat64"].take();
            let mtus = (&nat64["mtu4"]["bytes"], &nat64["mtu6"]["bytes"]);
            Ok((mtus == (&1400.into(), &1300.into())).then_some(()))
        })?;
        Ok(())
    });
}

#[test]
fn sigterm_leaves_nothing_behind() {
    on_router(|router| {
        let before = router.kernel_state()?;
        router.translate(&["--address4", ROUTER])?;
        let during = router.kernel_state()?;
        assert!(during.contains("64:ff9b::/96 dev nat64") && during.contains("203.0.114.2 dev nat64"), "{during}");
        assert!(ping(&router.client, &[&inside(SERVER)])?.contains("1 received"));

        let status = router.stop_translator()?;

        assert!(status.success(), "{status}");
        assert_eq!(router.kernel_state()?, before);
        Ok(())
    });
}
