//! Prefixes are synthesised while packets get through them, and only then.

use std::time::Duration;

use anyhow::Result;
use lab::site::{Site, on_site};
use lab::topology::{DNS, WEB};
use lab::{Host, Server, wait};

const LIMIT: Duration = Duration::from_secs(20);
/// 192.0.2.7 in each of the prefixes: a connection to it is refused by this very host, which counts; so does an echo.
const THROUGH: [&str; 2] = ["2001:db8:64::c000:207", "2001:db8:65::c000:207"];

const CONFIG: &str = r#"{
    "listen": ["127.0.0.1"],
    "upstreams": ["udp://127.0.0.2"],
    "health": { "target": "192.0.2.7:9", "interval_ms": 100, "timeout_ms": 500 },
    "dns64": { "prefixes": [
        "2001:db8:64::/96",
        { "prefix": "2001:db8:65::/96",
          "health": { "target": "192.0.2.7", "kind": "icmp", "interval_ms": 100, "timeout_ms": 500 } }
    ] }
}"#;

#[test]
fn an_unhealthy_prefix_leaves_the_answers_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start("resolver", directory.path().to_owned()).unwrap();
    let config = directory.path().join("dns64.json");
    std::fs::write(&config, CONFIG).unwrap();
    let translator = lab::binaries::built(lab::binaries::TRANSLATOR).unwrap();
    for address in THROUGH {
        route(&host, "add", address).unwrap();
    }
    let words = [translator.as_os_str(), "dns64".as_ref(), "--config".as_ref(), config.as_os_str()];
    let resolver = host.spawn("resolver", &words).unwrap();

    story(&host).unwrap_or_else(|error| panic!("{error:#}\n{}", resolver.log()));
}

fn story(host: &Host) -> Result<()> {
    become_told(host, [true, true])?;
    route(host, "del", THROUGH[0])?;
    become_told(host, [false, true])?;
    route(host, "del", THROUGH[1])?;
    become_told(host, [false, false])?;
    route(host, "add", THROUGH[0])?;
    become_told(host, [true, false])
}

fn become_told(host: &Host, wanted: [bool; 2]) -> Result<()> {
    wait::until(&format!("{wanted:?}"), LIMIT, || Ok((prefixes(host)? == wanted).then_some(())))?;
    Ok(())
}

fn route(host: &Host, verb: &str, address: &str) -> Result<String> {
    host.run(&["ip", "-6", "address", verb, &format!("{address}/128"), "dev", "lo"])
}

/// Which of the prefixes clients are told of (RFC 7050).
fn prefixes(host: &Host) -> Result<[bool; 2]> {
    let said = host.run(&["dig", "+tries=1", "+time=1", "@127.0.0.1", "ipv4only.arpa", "AAAA"])?;
    Ok(["2001:db8:64::", "2001:db8:65::"].map(|prefix| said.contains(prefix)))
}

/// What a gateway's server is told of: the gateway's own prefix, and one whose way is the machine's own.
const OWN: &str = "64:ff9b::cb00:7050";
const OTHER: &str = "2001:db8:65::cb00:7050";
const GATEWAY6: &str = "fd64:ff9b::1";

/// Both prefixes, the own one probed in this way.
fn block(own: &str) -> String {
    let often = "interval_ms = 100\n timeout_ms = 500";
    format!(
        "dns64 {{
           upstreams = [\"{DNS}\"]
           prefix {{
             prefix = \"64:ff9b::/96\"
             health {{
               {own}
               {often}
             }}
           }}
           prefix {{
             prefix = \"2001:db8:65::/96\"
             health {{
               target = \"{WEB}:9\"
               {often}
             }}
           }}
         }}"
    )
}

#[test]
fn a_gateway_synthesises_a_prefix_while_packets_get_through_its_data_path() {
    on_site(|site| {
        // As systemd has it on every machine; a network namespace begins without.
        site.lab.pi.script("echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")?;
        route(&site.lab.pi, "add", OTHER)?;
        site.terraform.set_gateway_options(&block(&format!("target = \"{WEB}\"\n kind = \"icmp\"")))?;
        let web = site.with_connected_server("web")?;
        let (user_data, handshake) = (site.terraform.output_entry("user_data", "web")?, web.latest_handshake()?);
        let pid = site.translator()?.pid();

        lives_and_dies(site, &web)?;
        // Changes apply at once: nobody has this address.
        site.set_gateway_options(&block("target = \"203.0.112.99\"\n kind = \"dns\""))?;
        is_answered(&web, &[OTHER])?;
        site.set_gateway_options(&block(&format!("target = \"{DNS}\"\n kind = \"dns\"")))?;
        is_answered(&web, &[OWN, OTHER])?;
        site.set_gateway_options(&block(&format!("target = \"{WEB}:80\"")))?;
        lives_and_dies(site, &web)?;

        assert_eq!(site.terraform.output_entry("user_data", "web")?, user_data);
        assert_eq!((site.translator()?.pid(), web.latest_handshake()?), (pid, handshake));
        Ok(())
    });
}

/// The way to the web server is cut behind the gateway, then the other prefix's too, and both are mended again.
fn lives_and_dies(site: &Site, web: &Server) -> Result<()> {
    is_answered(web, &[OWN, OTHER])?;
    let cut =
        format!("nft 'table ip cut {{ chain cut {{ type filter hook forward priority -1; ip daddr {WEB} drop; }}; }}'");
    site.lab.home.script(&cut)?;
    is_answered(web, &[OTHER])?;
    route(&site.lab.pi, "del", OTHER)?;
    let nothing = is_answered(web, &[])?;
    assert!(nothing.contains("status: NOERROR") && nothing.contains("no NAT64 prefix is healthy"), "{nothing}");
    let authority = nothing.lines().find(|line| line.contains("SOA")).unwrap_or_default();
    assert_eq!(authority.split_whitespace().nth(1), Some("5"), "for so many seconds it is believed: {nothing}");
    site.lab.home.script("nft delete table ip cut")?;
    is_answered(web, &[OWN])?;
    route(&site.lab.pi, "add", OTHER)?;
    is_answered(web, &[OWN, OTHER])?;
    Ok(())
}

/// Waits until the server hears of exactly these addresses.
fn is_answered(web: &Server, wanted: &[&str]) -> Result<String> {
    let (said, _) = wait::until(&format!("the answer to be {wanted:?}"), LIMIT, || {
        let server = format!("@{GATEWAY6}");
        let words = ["dig", &server, "+tries=1", "+time=3", "web.example", "AAAA"];
        let said = String::from_utf8_lossy(&web.host().attempt(&words)?.stdout).into_owned();
        let is_so = [OWN, OTHER].iter().all(|address| said.contains(address) == wanted.contains(address));
        Ok((is_so && said.contains("status: NOERROR")).then_some(said))
    })?;
    Ok(said)
}
