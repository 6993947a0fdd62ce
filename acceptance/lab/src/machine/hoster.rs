//! What a hoster has beside a server: the link, a DHCP server, and Hetzner's metadata service on 169.254.169.254.
//!
//! An IPv6-only server of Hetzner reaches the metadata service over IPv4 all the same: cloud-init before 25.3 asks there
//! within a DHCPv4 lease. What that lease carries is not published; this one has what can do most harm: a default route
//! into nothing and a resolver that nobody is.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Network;
use crate::{Host, Process, wait};

const LIMIT: Duration = Duration::from_secs(20);

/// The hoster's side of one server; dropping it switches it off.
#[derive(Debug)]
pub(crate) struct Hoster {
    _dhcp: Process,
    _metadata: Process,
}

impl Hoster {
    /// Everything that has to be there before the server is powered on; the link to it is there already.
    pub(crate) fn start(host: &Host, network: &Network, user_data: &str) -> Result<Self> {
        let link = network.interface();
        host.script(&format!(
            "ip address add fe80::1/64 dev {link}
             ip address add 172.31.1.1/24 dev {link}
             ip address add 169.254.169.254/32 dev {link}
             ip link set {link} up
             ip route add {} dev {link}",
            network.prefix()
        ))?;
        Ok(Self { _dhcp: lease(host, &link)?, _metadata: metadata(host, network, user_data)? })
    }
}

fn lease(host: &Host, link: &str) -> Result<Process> {
    let interface = format!("--interface={link}");
    let pid_file = format!("--pid-file=/run/dnsmasq-{link}.pid");
    let leases = format!("--dhcp-leasefile={}", host.directory().join(format!("leases-{link}")).display());
    let mut words = vec!["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--port=0"];
    words.extend(["--bind-interfaces", "--log-facility=-", "--dhcp-authoritative", "--no-ping"]);
    words.extend(["--dhcp-range=172.31.1.100,172.31.1.100,255.255.255.0,1h"]);
    words.extend(["--dhcp-option=option:router,172.31.1.1", "--dhcp-option=option:dns-server,185.12.64.1"]);
    words.extend([interface.as_str(), &pid_file, &leases]);
    let dnsmasq = host.spawn(&format!("dhcp-{link}"), &words)?;
    wait::until("the DHCP server", LIMIT, || Ok(dnsmasq.log().contains("started").then_some(())))
        .with_context(|| dnsmasq.log())?;
    Ok(dnsmasq)
}

fn metadata(host: &Host, network: &Network, user_data: &str) -> Result<Process> {
    let directory = host.directory().join(format!("metadata-{}", network.interface()));
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("metadata"), document(network))?;
    fs::write(directory.join("metadata_private-networks"), "[]\n")?;
    fs::write(directory.join("userdata"), user_data)?;
    let path = directory.to_str().context("a path that is text")?;
    let server = host.spawn("metadata", &["python3", "-c", include_str!("metadata.py"), path])?;
    wait::until("the metadata service", LIMIT, || Ok(server.log().contains("ready").then_some(())))
        .with_context(|| server.log())?;
    Ok(server)
}

/// As Hetzner's metadata service writes it for a server without IPv4.
fn document(network: &Network) -> String {
    let (name, instance) = (network.name(), network.instance);
    let config: String = network_config(network).lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "availability-zone: fsn1-dc14
hostname: {name}
instance-id: {instance}
local-ipv4: ''
network-config:
{config}public-ipv4: ''
public-keys: []
region: eu-central
vendor_data: ''
"
    )
}

/// How it is told to set its network up.
pub(crate) fn network_config(network: &Network) -> String {
    let (mac, address) = (network.mac(), network.address());
    format!(
        "version: 1
config:
- type: physical
  name: eth0
  mac_address: {mac}
  subnets:
  - ipv4: true
    type: dhcp
  - ipv6: true
    type: static
    address: {address}/64
    gateway: fe80::1
    dns_nameservers: ['2a01:4ff:ff00::add:2', '2a01:4ff:ff00::add:1']
"
    )
}
