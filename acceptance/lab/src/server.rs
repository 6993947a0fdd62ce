//! A server at the hoster: IPv6 only. Its WireGuard is not ours: the kernel's, or Debian's wireguard-go.

use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::machine::Network;
use crate::{Host, wait};

/// The tunnel's interface, on the server too.
pub const INTERFACE: &str = contract::INTERFACE;

/// One server; dropping it switches it off.
#[derive(Debug)]
pub struct Server {
    host: Host,
    network: Network,
}

impl Server {
    pub(crate) fn new(host: Host, network: Network) -> Self {
        Self { host, network }
    }

    /// The machine itself.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The name, in the lab as in terraform.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Its global address.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        self.network.address()
    }

    /// Its network as Hetzner's API writes it: what `hcloud_primary_ip.ip_network` would say.
    #[must_use]
    pub fn network(&self) -> String {
        self.network.prefix()
    }

    /// Brings the tunnel up from the text of a `wireguard_config`, unchanged.
    ///
    /// # Errors
    /// `wg-quick` refused the text.
    pub fn start_wireguard(&self, config: &str) -> Result<()> {
        let path = self.wireguard_file();
        fs::write(&path, config).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        self.wg_quick("up")
    }

    /// Takes the tunnel down.
    ///
    /// # Errors
    /// It was not up.
    pub fn stop_wireguard(&self) -> Result<()> {
        self.wg_quick("down")
    }

    fn wg_quick(&self, verb: &str) -> Result<()> {
        let path = self.wireguard_file();
        let words = ["env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go", "wg-quick", verb];
        self.host.run(&[words.map(AsRef::as_ref).as_slice(), &[path.as_os_str()]].concat())?;
        Ok(())
    }

    fn wireguard_file(&self) -> PathBuf {
        self.host.directory().join(format!("{INTERFACE}.conf"))
    }

    /// When the tunnel's current session was made, in seconds since 1970; `None` before the first.
    ///
    /// # Errors
    /// The tunnel is not up.
    pub fn latest_handshake(&self) -> Result<Option<u64>> {
        let table = self.host.run(&["wg", "show", INTERFACE, "latest-handshakes"])?;
        let seconds = table.split_whitespace().nth(1).context("wg shows one peer")?.parse()?;
        Ok((seconds != 0).then_some(seconds))
    }

    /// Waits until the translator has dialled in; returns how long that took.
    ///
    /// # Errors
    /// No handshake within `limit`.
    pub fn wait_for_tunnel(&self, limit: Duration) -> Result<Duration> {
        let what = format!("the tunnel of {}", self.name());
        wait::until(&what, limit, || self.latest_handshake()).map(|(_, took)| took)
    }

    /// The body of a page, by `curl`.
    ///
    /// # Errors
    /// No answer within 10 s, or not a success; the message is curl's.
    pub fn curl(&self, url: &str) -> Result<String> {
        self.host.run(&["curl", "--silent", "--show-error", "--fail", "--max-time", "10", url])
    }

    /// Whether a page can be fetched within 3 s: for pages that shall not be reached.
    ///
    /// # Errors
    /// `curl` could not be started.
    pub fn reaches(&self, url: &str) -> Result<bool> {
        Ok(self.host.attempt(&["curl", "--silent", "--fail", "--max-time", "3", url])?.status.success())
    }

    /// Those of the pages that can be fetched within 3 s, all asked for at once.
    ///
    /// # Errors
    /// `sh` could not be started.
    pub fn reached(&self, urls: &[String]) -> Result<Vec<String>> {
        let fetch = "curl --silent --fail --max-time 3 --globoff --output /dev/null \"$url\" && echo \"$url\"";
        let script = format!("for url in \"$@\"; do ({fetch} || :) & done; wait");
        let words: Vec<_> = ["sh", "-c", &script, "sh"].into_iter().chain(urls.iter().map(String::as_str)).collect();
        Ok(self.host.run(&words)?.lines().map(str::to_owned).collect())
    }

    /// One `ping`, answered within 5 s.
    ///
    /// # Errors
    /// It was not answered; the message is ping's.
    pub fn ping(&self, address: &str) -> Result<String> {
        self.host.run(&["ping", "-n", "-c", "1", "-W", "5", address])
    }

    /// Asks a DNS server for the A of a name.
    ///
    /// # Errors
    /// No answer within 5 s.
    pub fn dig(&self, server: &str, name: &str) -> Result<String> {
        let server = format!("@{server}");
        self.host.run(&["dig", &server, "+short", "+tries=2", "+time=5", name, "A"]).map(|text| text.trim().to_owned())
    }
}
