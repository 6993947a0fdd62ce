//! Prefixes are synthesised while packets get through them, and only then.

use std::time::Duration;

use anyhow::Result;
use lab::{Host, wait};

const LIMIT: Duration = Duration::from_secs(20);
/// 192.0.2.7 in each of the prefixes: a connection to it is refused by this very host, which counts.
const THROUGH: [&str; 2] = ["2001:db8:64::c000:207", "2001:db8:65::c000:207"];

const CONFIG: &str = r#"{
    "listen": ["127.0.0.1"],
    "upstreams": ["udp://127.0.0.2"],
    "health": { "target": "192.0.2.7:9", "interval_ms": 100, "timeout_ms": 500 },
    "dns64": { "prefixes": ["2001:db8:64::/96", "2001:db8:65::/96"] }
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
    let mut resolver = host.command(translator).arg("dns64").arg("--config").arg(&config).spawn().unwrap();

    let outcome = story(&host);

    resolver.kill().unwrap();
    resolver.wait().unwrap();
    outcome.unwrap();
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
