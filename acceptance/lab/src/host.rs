//! A host of the lab: network, mount, pid and UTS namespaces, held open by a process that dies with the lab.
//!
//! Invariant: nothing here has a name outside the host. The first process of the pid namespace reads a pipe whose other
//! end only the lab holds; when the lab is gone, so is that process, and the kernel ends every other one of the host.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::Process;

/// Every command that is waited for ends within this, so that a test can fail but never hang.
const COMMAND_LIMIT_SECS: &str = "120";

/// Environment variables of the lab that its hosts see.
const PASSED_ON: [&str; 4] = ["RUST_BACKTRACE", "RUST_LOG", "TERM", "TF_LOG"];

/// What runs first in a host: its own /run, /sys, name, resolver and host table, then readiness, then the wait for the end.
/// /etc/resolv.conf may be a link into /run, which is empty now: the bind mount needs its target.
const FIRST_PROCESS: &str = r#"
set -eu
mount -t tmpfs run /run
mount -t sysfs sysfs /sys
mkdir -p /run/lock /run/wireguard
echo "$1" >/proc/sys/kernel/hostname
for file in resolv.conf hosts nsswitch.conf; do
    target=$(readlink -m "/etc/$file")
    [ -e "$target" ] || { mkdir -p "$(dirname "$target")"; : >"$target"; }
    mount --bind "$2/etc/$file" "$target"
done
for family in ipv4 ipv6; do
    for scope in all default; do
        [ ! -e /proc/sys/net/$family/conf/$scope/accept_dad ] || echo 0 >/proc/sys/net/$family/conf/$scope/accept_dad
        [ ! -e /proc/sys/net/$family/conf/$scope/accept_ra ] || echo 0 >/proc/sys/net/$family/conf/$scope/accept_ra
    done
done
ip link set lo up
echo ready
exec cat >/dev/null
"#;

/// One machine of the lab.
#[derive(Debug)]
pub struct Host {
    name: String,
    holder: Child,
    alive: Option<ChildStdin>,
    directory: PathBuf,
}

impl Host {
    /// Starts a host whose files (logs, its /etc/resolv.conf) live in `directory`.
    ///
    /// # Errors
    /// Namespaces could not be made: most often because the lab does not run as root.
    pub fn start(name: &str, directory: PathBuf) -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "the lab makes network namespaces, which needs root; run it again as root"
        );
        write_etc(name, &directory)?;
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--uts",
                "--pid",
                "--fork",
                "--mount-proc",
                "sh",
                "-c",
                FIRST_PROCESS,
                "sh",
                name,
            ])
            .arg(&directory)
            .env("PATH", path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("unshare (package util-linux)")?;
        let alive = holder.stdin.take();
        let mut host = Self { name: name.to_owned(), holder, alive, directory };
        host.wait_until_ready()?;
        Ok(host)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let stdout = self.holder.stdout.take().context("the holder's stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "host {}: its namespaces could not be set up (see the message above)", self.name);
        Ok(())
    }

    /// The name, which is also its host name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the host's logs are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process that holds the namespaces, as seen from outside.
    #[must_use]
    pub fn holder_pid(&self) -> u32 {
        self.holder.id()
    }

    /// A command line that gives a person a shell in this host.
    #[must_use]
    pub fn entry(&self) -> String {
        format!("nsenter {} bash", self.nsenter_arguments().join(" "))
    }

    fn nsenter_arguments(&self) -> [String; 5] {
        let pid = self.holder.id();
        // The holder itself stays in the outer pid namespace: only its child is the first process of the inner one.
        [
            format!("--target={pid}"),
            "--net".to_owned(),
            "--mount".to_owned(),
            "--uts".to_owned(),
            format!("--pid=/proc/{pid}/ns/pid_for_children"),
        ]
    }

    /// A command inside the host, not started; the caller sets arguments and streams. Ctrl-C does not reach it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(self.nsenter_arguments()).arg("--").arg(program);
        // The machine's proxies, locale and terraform settings are not the lab's; what helps to debug may pass.
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| PASSED_ON.iter().any(|passed| name == passed)));
        command.env("PATH", path()).env("HOME", &self.directory).env("LC_ALL", "C");
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Errors
    /// Only if it could not be started.
    pub fn attempt<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<Output> {
        let mut command = self.command("timeout");
        command.args(["--kill-after=2", COMMAND_LIMIT_SECS]).args(words);
        command.output().context("nsenter (package util-linux)")
    }

    /// Runs a command that must succeed; returns what it printed.
    ///
    /// # Errors
    /// It could not be started or ended with a code that is not zero; the message carries what it said.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<String> {
        let line: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        printed(&format!("{}$ {}", self.name, line.join(" ")), &self.attempt(words)?)
    }

    /// Runs a shell script; the first failing command ends it.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn script(&self, text: &str) -> Result<String> {
        self.run(&["sh", "-euc", text])
    }

    /// Starts a process that runs until it is stopped; its output goes to a log of that name.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn<S: AsRef<std::ffi::OsStr>>(&self, name: &str, words: &[S]) -> Result<Process> {
        Process::start(self, name, words)
    }

    /// Creates an Ethernet link between two hosts; the MAC addresses are made from `number`, so every run has the same.
    ///
    /// # Errors
    /// `ip` refused, for example because a name is taken.
    pub fn link(&self, interface: &str, other: &Self, other_interface: &str, number: u8) -> Result<()> {
        // Only the network namespace is entered: `netns` wants a pid as the outer /proc counts them.
        let output = Command::new("nsenter")
            .args([&format!("--target={}", self.holder_pid()), "--net", "ip", "link", "add", interface])
            .args(["address", &format!("02:00:00:00:{number:02x}:01"), "type", "veth", "peer", "name", other_interface])
            .args(["address", &format!("02:00:00:00:{number:02x}:02"), "netns", &other.holder_pid().to_string()])
            .env("PATH", path())
            .output()
            .context("nsenter (package util-linux)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "link {interface} from {} to {}: {said}", self.name, other.name);
        self.run(&["ip", "link", "set", interface, "up"])?;
        other.run(&["ip", "link", "set", other_interface, "up"])?;
        Ok(())
    }

    /// The host asks this resolver from now on.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn use_resolver(&self, address: std::net::IpAddr) -> Result<()> {
        // Written in place: the host has this very file mounted over its /etc/resolv.conf.
        let path = self.directory.join("etc/resolv.conf");
        fs::write(&path, format!("nameserver {address}\n")).with_context(|| path.display().to_string())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.holder.wait();
    }
}

/// What a command printed, unless it failed; then all it said, below the prompt it was typed at.
///
/// # Errors
/// It failed.
pub(crate) fn printed(prompt: &str, output: &Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    bail!("{prompt}\n{stdout}{}({})", String::from_utf8_lossy(&output.stderr), output.status)
}

fn write_etc(name: &str, directory: &Path) -> Result<()> {
    let etc = directory.join("etc");
    fs::create_dir_all(&etc).with_context(|| etc.display().to_string())?;
    fs::write(etc.join("resolv.conf"), "")?;
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n"))?;
    fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files dns\n")?;
    Ok(())
}

/// Debian keeps `ip`, `nft` and `dnsmasq` where a user's PATH may not look.
pub(crate) fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}
