//! The hosts of a measurement, and what runs on them all the time.
//!
//! ```text
//!  client ── 2001:db8::/64, 10.0.0.0/24 ── gateway ── 203.0.112.0/24 ── server
//! ```
//! The links are veth pairs with the offloads that the kernel gives them. The server routes 203.0.114.0/24 to the gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Train;
use crate::directory::Directory;
use crate::router::hosts_in_a_row;
use crate::{Host, Process, binaries, wait};

/// The server's address, in IPv4 and as NAT64 shows it.
pub(super) const SERVER: &str = "203.0.112.80";
pub(super) const SERVER_THROUGH_NAT64: &str = "64:ff9b::203.0.112.80";

/// Ports of the server.
const FIRST_IPERF_PORT: u16 = 5201;
pub(super) const ACCEPT_PORT: u16 = 7001;
pub(super) const ECHO_PORT: u16 = 7002;
pub(super) const COUNT_PORT: u16 = 7003;

/// Where a client's flows go; clients are numbered from 1.
pub(super) fn iperf_port(client: u8) -> u16 {
    FIRST_IPERF_PORT + u16::from(client) - 1
}

const LIMIT: Duration = Duration::from_secs(20);

const CLIENT_SET_UP: &str = "
ip address add 10.0.0.5/24 dev eth0
ip address add 2001:db8::5/64 dev eth0";

const GATEWAY_SET_UP: &str = "
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv4/ip_forward
ip address add 10.0.0.1/24 dev lan
ip address add 2001:db8::1/64 dev lan
ip address add 203.0.112.1/24 dev wan";

/// What runs on the hosts and is not on the PATH.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `hetznat-translator`.
    pub translator: PathBuf,
    /// `hetznat-load`.
    pub load: PathBuf,
    /// A userspace WireGuard that takes `-f INTERFACE` and is set up by `wg`: `boringtun-cli`, `wireguard-go`.
    pub wireguard: PathBuf,
}

impl Programs {
    /// Ours as they were built beside the running program, and Debian's wireguard-go.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn beside_this_one() -> Result<Self> {
        Ok(Self {
            translator: binaries::built(binaries::TRANSLATOR)?,
            load: binaries::built(binaries::LOAD)?,
            wireguard: binaries::find("wireguard-go").context("wireguard-go is missing (package wireguard-go)")?,
        })
    }
}

/// Three hosts in a row, without a gateway in the middle yet.
#[derive(Debug)]
pub struct Hosts {
    // Dropped in this order: what runs in the hosts, the hosts, then the files.
    services: Vec<Process>,
    /// Has IPv4 only for masquerading's sake.
    pub(super) client: Host,
    /// Where the contenders take turns.
    pub(super) gateway: Arc<Host>,
    /// IPv4 only.
    pub(super) server: Host,
    pub(super) programs: Programs,
    /// Of TCP, on client and server.
    pub(super) congestion_control: String,
    /// Logs are appended to; each process has its own.
    started: AtomicU32,
    directory: Directory,
}

impl Hosts {
    /// Builds the hosts, where TCP has this congestion control, and starts the server's services.
    ///
    /// # Errors
    /// Not root, a program of [`crate::packages`] is missing, or the kernel has no such congestion control.
    pub fn start(programs: Programs, congestion_control: &str) -> Result<Self> {
        let directory = Directory::create()?;
        let (client, gateway, server) = hosts_in_a_row(&directory, "gateway")?;
        client.script(CLIENT_SET_UP)?;
        gateway.script(GATEWAY_SET_UP)?;
        let started = AtomicU32::new(0);
        let congestion_control = congestion_control.to_owned();
        let services = Vec::new();
        let mut hosts = Self { services, client, gateway, server, programs, congestion_control, started, directory };
        hosts.set_routes()?;
        hosts.serve()?;
        Ok(hosts)
    }

    fn set_routes(&self) -> Result<()> {
        let tcp = self.route_options();
        let of_client = format!("ip route add default via 10.0.0.1 {tcp}; ip route add default via 2001:db8::1 {tcp}");
        let of_server = format!(
            "ip route replace 203.0.112.0/24 dev eth0 {tcp}; ip route replace 203.0.114.0/24 via 203.0.112.1 {tcp}"
        );
        let set = self.client.script(&of_client).and_then(|_| self.server.script(&of_server));
        let refused =
            || format!("the kernel has no congestion control {} for TCP; choose another", self.congestion_control);
        set.with_context(refused).map(drop)
    }

    /// What tells TCP on a route which congestion control to take; a namespace's sysctl grants few but the machine's own.
    pub(super) fn route_options(&self) -> String {
        format!("congctl {}", self.congestion_control)
    }

    fn serve(&mut self) -> Result<()> {
        for (command, port) in [("accept", ACCEPT_PORT), ("echo", ECHO_PORT)] {
            let service = self.serve_load(&[command, &format!("0.0.0.0:{port}")])?;
            self.services.push(service);
        }
        Ok(())
    }

    /// An iperf3 on the server for one run of one client: one that serves for ever stays busy with who has gone silently.
    pub(super) fn serve_iperf(&self, client: u8) -> Result<Process> {
        let port = iperf_port(client).to_string();
        let words = ["iperf3", "--server", "--one-off", "--forceflush", "--port", &port];
        self.spawn(&self.server, "iperf3", &words, "Server listening")
    }

    /// A `hetznat-load` on the server that says when it is ready.
    pub(super) fn serve_load(&self, words: &[&str]) -> Result<Process> {
        let load = [text(&self.programs.load)?];
        self.spawn(&self.server, words[0], &[&load, words].concat(), "ready")
    }

    /// Whether the client's device takes trains of datagrams whole, or the kernel cuts them before.
    pub(super) fn set_trains(&self, train: Train) -> Result<()> {
        let switch = if train == Train::Whole { "on" } else { "off" };
        self.client.run(&["ethtool", "--features", "eth0", "tx-udp-segmentation", switch]).map(drop)
    }

    /// A process with a log of its own, once it has said that it is ready.
    pub(super) fn spawn(&self, host: &Host, name: &str, words: &[&str], ready: &str) -> Result<Process> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut process = host.spawn(&format!("{name}-{number}"), words)?;
        wait::until(name, LIMIT, || match process.ended()? {
            Some(status) => anyhow::bail!("it ended with {status}"),
            None => Ok(process.log().contains(ready).then_some(())),
        })
        .with_context(|| process.log())?;
        Ok(process)
    }

    /// Writes a file that every host sees.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<String> {
        let path = self.directory.subdirectory("files")?.join(name);
        std::fs::write(&path, content).with_context(|| path.display().to_string())?;
        Ok(text(&path)?.to_owned())
    }
}

pub(super) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
