//! A contender at work on the host in the middle, from its start until nothing of it is left.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::hosts::{Hosts, SERVER, SERVER_THROUGH_NAT64};
use super::{Contender, tunnels};
use crate::{Process, Translator, wait};

/// From the start of a contender to its first forwarded packet.
const LIMIT: Duration = Duration::from_secs(20);

const MASQUERADE: &str = "nft 'table ip bench {
    chain postrouting { type nat hook postrouting priority srcnat; oifname wan masquerade; }
}'";

const TAYGA: &str = "
tun-device nat64
prefix 64:ff9b::/96
ipv4-addr 203.0.114.1
map 203.0.114.2 2001:db8::5
";

/// The addresses are private, so tayga must be told an IPv6 address of its own.
const TAYGA_WITH_PRIVATE_POOL: &str = "
tun-device nat64
prefix 64:ff9b::/96
ipv4-addr 192.168.255.1
ipv6-addr 2001:db8:64::1
dynamic-pool 192.168.255.0/24
";

/// What every start leaves behind goes by this; what hangs on a process's interface went with the process.
const CLEAR: &str = "
nft flush ruleset
ip link delete nat64 2>/dev/null || :";

/// A running contender; dropping it leaves the hosts as they were.
#[derive(Debug)]
pub struct Gateway<'h> {
    pub(super) hosts: &'h Hosts,
    /// Who it is.
    pub contender: Contender,
    /// What the clients' tunnels need, on the client.
    ends: Vec<Process>,
    processes: Vec<Process>,
    translator: Option<Translator>,
}

impl<'h> Gateway<'h> {
    /// Starts a contender in front of as many clients, which differ only if they come through tunnels, and waits until
    /// the server answers all of them.
    ///
    /// # Errors
    /// It does not start, or nothing gets through.
    pub fn start(hosts: &'h Hosts, contender: Contender, clients: u8) -> Result<Self> {
        let mut gateway = Self { hosts, contender, ends: Vec::new(), processes: Vec::new(), translator: None };
        match contender {
            Contender::Masquerade => gateway.masquerade()?,
            Contender::Tayga => gateway.start_tayga(TAYGA, "203.0.114.0/24")?,
            Contender::TaygaMasqueraded => gateway.start_masqueraded_tayga()?,
            Contender::Ours => {
                let options = ["--pool6", "64:ff9b::/96", "--pool4", "203.0.114.2"];
                gateway.start_translator(&[&["nat64"][..], &options].concat())?;
            }
            Contender::TunnelTayga => {
                gateway.start_masqueraded_tayga()?;
                let wireguard = tunnels::start_wireguard(hosts, clients)?;
                gateway.processes.push(wireguard);
            }
            Contender::TunnelOurs => {
                let document = tunnels::document(hosts, clients)?;
                let port = tunnels::GATEWAY_PORT.to_string();
                gateway.start_translator(&[
                    "run",
                    "--state",
                    &document,
                    "--gateway",
                    "bench",
                    "--listen-port",
                    &port,
                ])?;
            }
        }
        if contender.is_tunnel() {
            gateway.ends = tunnels::start_ends(hosts, clients)?;
        }
        (1..=clients).try_for_each(|client| gateway.wait_until_it_forwards(client))?;
        Ok(gateway)
    }

    fn masquerade(&self) -> Result<()> {
        self.hosts.gateway.script(MASQUERADE).map(drop)
    }

    fn start_masqueraded_tayga(&mut self) -> Result<()> {
        self.masquerade()?;
        self.start_tayga(TAYGA_WITH_PRIVATE_POOL, "192.168.255.0/24")
    }

    fn start_tayga(&mut self, config: &str, pool: &str) -> Result<()> {
        let (gateway, file) = (&self.hosts.gateway, self.hosts.write("tayga.conf", config)?);
        gateway.run(&["tayga", "--config", &file, "--mktun"])?;
        gateway.script(&format!(
            "ip link set nat64 up; ip route add {pool} dev nat64; ip route add 64:ff9b::/96 dev nat64"
        ))?;
        self.processes.push(gateway.spawn("tayga", &["tayga", "--config", &file, "--nodetach"])?);
        Ok(())
    }

    fn start_translator(&mut self, words: &[&str]) -> Result<()> {
        let host = Arc::clone(&self.hosts.gateway);
        let translator = Translator::start_binary(host, self.hosts.programs.translator.clone(), words)?;
        self.translator = Some(translator);
        Ok(())
    }

    fn wait_until_it_forwards(&mut self, client: u8) -> Result<()> {
        let mut ping = vec!["ping", "-n", "-c", "1", "-W", "1"];
        let source = self.source(client);
        ping.extend(source.iter().flat_map(|source| ["-I", source]));
        ping.push(self.target());
        let answered = wait::until("an answer to a ping", LIMIT, || self.hosts.client.run(&ping).map(Some));
        answered.with_context(|| format!("{} forwards nothing\n{}", self.contender, self.logs())).map(drop)
    }

    /// The server's address as clients of this gateway know it.
    #[must_use]
    pub(super) fn target(&self) -> &'static str {
        if self.contender.is_ipv4() { SERVER } else { SERVER_THROUGH_NAT64 }
    }

    /// The address of a client, where it has one for each tunnel. Clients are numbered from 1.
    pub(super) fn source(&self, client: u8) -> Option<String> {
        self.contender.is_tunnel().then(|| tunnels::client_address(client))
    }

    fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.processes.iter().map(Process::pid).chain(self.translator.as_ref().map(Translator::pid))
    }

    /// CPU time that its processes have used so far, threads and the kernel's work on their behalf included; `None` if
    /// it has no process.
    ///
    /// # Errors
    /// One of them has ended.
    pub(super) fn cpu_time(&self) -> Result<Option<Duration>> {
        let mut sum = None;
        for pid in self.pids() {
            let stat = self.hosts.gateway.run(&["cat", &format!("/proc/{pid}/stat")])?;
            *sum.get_or_insert(Duration::ZERO) += cpu_time(&stat).with_context(|| stat.clone())?;
        }
        Ok(sum)
    }

    /// The most memory that each of its processes ever had resident, added up, in bytes; `None` if it has no process.
    ///
    /// # Errors
    /// One of them has ended.
    pub(super) fn peak_resident_bytes(&self) -> Result<Option<u64>> {
        let mut sum = None;
        for pid in self.pids() {
            let status = self.hosts.gateway.run(&["cat", &format!("/proc/{pid}/status")])?;
            *sum.get_or_insert(0) += peak_resident_bytes(&status).context("VmHWM")?;
        }
        Ok(sum)
    }

    /// What its processes have said.
    #[must_use]
    pub fn logs(&self) -> String {
        let said = self.processes.iter().chain(&self.ends).map(Process::log);
        said.chain(self.translator.as_ref().map(Translator::log)).collect()
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        self.ends.clear();
        self.processes.clear();
        drop(self.translator.take());
        let _ = tunnels::clear(self.hosts);
        let _ = self.hosts.gateway.script(CLEAR);
    }
}

/// Fields 14 and 15 of /proc/PID/stat (proc_pid_stat(5)): user and system time, in ticks of 10 ms.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold blanks.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    Some(Duration::from_millis(10 * (ticks.next()?.ok()? + ticks.next()?.ok()?)))
}

fn peak_resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_whatever_the_process_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 9 9 20 0 1 0 5 6 7";

        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time("7 (cut) S 1"), None);
    }

    #[test]
    fn peak_memory_is_in_bytes() {
        assert_eq!(peak_resident_bytes("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(peak_resident_bytes("Name:\tx\n"), None);
    }
}
