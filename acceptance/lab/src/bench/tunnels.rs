//! WireGuard at both ends: the clients' one is always ours, made for measuring; the gateway's is a contender's.
//!
//! Client N is 2001:db8:N::1 inside and 2001:db8::5, port 46464 + N, outside. All are on one host: a packet's source
//! chooses the tunnel.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use contract::PrivateKey;
use serde_json::{Value, json};

use super::Contender;
use super::hosts::{Hosts, text};
use crate::{Process, wait};

pub(super) const GATEWAY_PORT: u16 = 51820;
const FIRST_CLIENT_PORT: u16 = 46464;
const MTU: &str = "1412";
/// The routing tables of clients: this plus their number.
const FIRST_TABLE: u16 = 100;
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn client_address(client: u8) -> String {
    format!("2001:db8:{client:x}::1")
}

fn client_prefix(client: u8) -> String {
    format!("2001:db8:{client:x}::/64")
}

fn client_endpoint(client: u8) -> String {
    format!("[2001:db8::5]:{}", FIRST_CLIENT_PORT + u16::from(client))
}

/// These keys guard nothing.
fn client_key(client: u8) -> PrivateKey {
    PrivateKey::from_random([client; 32])
}

fn gateway_key() -> PrivateKey {
    PrivateKey::from_random([0xfe; 32])
}

/// The state document of a gateway with these clients; returns its path.
pub(super) fn document(hosts: &Hosts, clients: u8) -> Result<String> {
    let peers: serde_json::Map<String, Value> = (1..=clients)
        .map(|client| {
            let peer = json!({
                "public_key": client_key(client).public_key().to_string(),
                "prefix": client_prefix(client),
                "ipv4": format!("198.18.0.{}", 1 + client),
                "endpoint": client_endpoint(client),
            });
            (format!("client{client}"), peer)
        })
        .collect();
    let gateway = json!({
        "public_key": gateway_key().public_key().to_string(),
        "private_key": gateway_key().to_base64().as_str(),
        "pool6": "64:ff9b::/96",
        "mtu": MTU.parse::<u16>()?,
        "keepalive_secs": 25,
        "address6": "fd64:ff9b::1",
        "ipv4_prefix": "198.18.0.0/16",
        // What one peer may start is not what is measured here.
        "policy": { "new_flows_per_second": 1_000_000 },
        "peers": peers,
    });
    let document = json!({ "format": 1, "serial": 1, "gateways": { "bench": gateway } });
    hosts.write("state.json", &document.to_string())
}

/// The userspace WireGuard on the gateway, set up by `wg`.
pub(super) fn start_wireguard(hosts: &Hosts, clients: u8) -> Result<Process> {
    let gateway = &hosts.gateway;
    // Boringtun would give up root, which the interface belongs to.
    let words = ["env", "WG_SUDO=true", text(&hosts.programs.wireguard)?, "-f", "wg0"];
    let mut process = gateway.spawn("wireguard", &words)?;
    wait::until("the interface wg0", LIMIT, || match process.ended()? {
        Some(status) => anyhow::bail!("it ended with {status}"),
        None => gateway.run(&["wg", "show", "wg0"]).map(Some),
    })
    .with_context(|| process.log())?;
    let mut config = format!("[Interface]\nListenPort = {GATEWAY_PORT}\nPrivateKey = {}\n", *gateway_key().to_base64());
    let mut routes = format!("ip link set wg0 mtu {MTU} up\n");
    for client in 1..=clients {
        let (key, prefix) = (client_key(client).public_key(), client_prefix(client));
        let endpoint = client_endpoint(client);
        write!(config, "[Peer]\nPublicKey = {key}\nAllowedIPs = {prefix}\nEndpoint = {endpoint}\n")?;
        writeln!(routes, "ip route add {prefix} dev wg0")?;
    }
    gateway.run(&["wg", "setconf", "wg0", &hosts.write("wg0.conf", &config)?])?;
    gateway.script(&routes)?;
    Ok(process)
}

/// The clients' ends, each with an interface, an address and a route to NAT64.
pub(super) fn start_ends(hosts: &Hosts, clients: u8) -> Result<Vec<Process>> {
    (1..=clients).map(|client| start_end(hosts, client)).collect()
}

fn start_end(hosts: &Hosts, client: u8) -> Result<Process> {
    let key = hosts.write(&format!("client{client}.key"), client_key(client).to_base64().as_str())?;
    let (tun, listen) = (format!("wg{client}"), (FIRST_CLIENT_PORT + u16::from(client)).to_string());
    let (peer, endpoint) = (gateway_key().public_key().to_string(), format!("[2001:db8::1]:{GATEWAY_PORT}"));
    let words = [text(&hosts.programs.load)?, "end", "--tun", &tun, "--mtu", MTU, "--listen", &listen];
    let far = ["--private-key", &key, "--peer", &peer, "--endpoint", &endpoint];
    let end = hosts.spawn(&hosts.client, "end", &[&words[..], &far].concat(), "ready")?;
    let (address, table) = (client_address(client), FIRST_TABLE + u16::from(client));
    let tcp = hosts.route_options();
    hosts.client.script(&format!(
        "ip link set {tun} up
         ip address add {address}/128 dev {tun} nodad
         ip route add 64:ff9b::/96 dev {tun} src {address} table {table} {tcp}
         ip -6 rule add from {address} lookup {table}
         ip route add 64:ff9b::/96 dev {tun} src {address} metric {table} {tcp}"
    ))?;
    Ok(end)
}

/// What does not go with the ends' interfaces.
pub(super) fn clear(hosts: &Hosts) -> Result<()> {
    let rules = (1..=Contender::MOST_CLIENTS).map(|client| {
        let table = FIRST_TABLE + u16::from(client);
        format!("ip -6 rule delete lookup {table} 2>/dev/null || :\n")
    });
    hosts.client.script(&rules.collect::<String>()).map(drop)
}
