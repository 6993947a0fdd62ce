//! A server of another distribution's make, without a kernel of its own: Debian's systemd boots in namespaces of a host of the
//! lab, with the network programs of one [`Stack`] and Debian's cloud-init.
//!
//! What differs from a [`crate::Machine`]: the kernel is this machine's; the data source is NoCloud, because cloud-init asks no
//! firmware in a container; and where the kernel has no WireGuard, Debian's wireguard-go takes its place.

mod root;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::host::printed;
use crate::machine::Network;
use crate::machine::hoster::{Hoster, network_config};
use crate::{Host, Process, wait};

pub use root::{Archive, Stack};

const BOOT: &str = include_str!("container/boot.sh");
/// What stands before programs of the container, where its `PATH` looks first.
const IN_FRONT: [(&str, &str); 2] =
    [("usr/sbin/ip", include_str!("container/ip.sh")), ("usr/sbin/python3", include_str!("container/python3.sh"))];
const SEED: &str = "var/lib/cloud/seed/nocloud";

/// What a container may take to boot, with others at work beside it.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// A server that boots in namespaces; dropping it switches it off.
#[derive(Debug)]
pub struct Container {
    // Dropped in this order: what runs in the host before the host.
    init: Option<Process>,
    _hoster: Hoster,
    host: Host,
    network: Network,
    root: PathBuf,
    /// As the host counts it.
    pid: Option<u32>,
}

impl Container {
    /// A container that is switched off, on the link of a network; the hoster's router has the other end.
    pub(crate) fn new(router: &Arc<Host>, host: Host, network: Network, stack: &Stack) -> Result<Self> {
        let root = stack.root()?;
        host.run(&["ip", "link", "set", "eth0", "address", &network.mac()])?;
        let hoster = Hoster::start(router, &network, "")?;
        let container = Self { init: None, _hoster: hoster, host, network, root, pid: None };
        for (path, text) in IN_FRONT {
            container.put(path, text)?;
        }
        Ok(container)
    }

    /// Where it is.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Lays a program over the root file system, before it boots.
    ///
    /// # Errors
    /// The disk is full.
    pub fn put(&self, path: &str, text: &str) -> Result<()> {
        let file = self.over().join(path);
        fs::create_dir_all(file.parent().context("a path below the root")?)?;
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// What is laid over the root file system.
    fn over(&self) -> PathBuf {
        self.host.directory().join("over")
    }

    /// Gives cloud-init this user data, as Hetzner's data source reads it: out of base64.
    ///
    /// # Errors
    /// It is no base64.
    pub fn set_user_data(&self, user_data: &str) -> Result<()> {
        // A virtual link has no permanent address that networkd would match.
        let network: String = network_config(&self.network)
            .lines()
            .filter(|line| !line.contains("mac_address"))
            .map(|line| format!("{line}\n"))
            .collect();
        self.put(
            &format!("{SEED}/meta-data"),
            &format!("instance-id: '{}'\nlocal-hostname: {}\n", self.network.instance_id(), self.network.name()),
        )?;
        self.put(&format!("{SEED}/network-config"), &network)?;
        self.put(&format!("{SEED}/user-data.base64"), user_data)?;
        let seed = self.over().join(SEED).display().to_string();
        self.host.script(&format!("cd {seed}; base64 -d user-data.base64 >user-data; rm user-data.base64"))?;
        Ok(())
    }

    /// Boots it, and waits until cloud-init has come to its end.
    ///
    /// # Errors
    /// It has not in time.
    pub fn boot(&mut self) -> Result<()> {
        self.power_off()?;
        let pid_file = self.host.directory().join("init");
        let _ = fs::remove_file(&pid_file);
        let (root, over) = (self.root.display().to_string(), self.over().display().to_string());
        let (group, file) = (self.control_group(), pid_file.display().to_string());
        self.init = Some(self.host.spawn("container", &["sh", "-c", BOOT, "boot.sh", &root, &over, &group, &file])?);
        let pid = wait::until("the first process", BOOT_LIMIT, || {
            Ok(fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok()))
        });
        self.pid = Some(pid.with_context(|| self.report())?.0);
        self.wait_for("cloud-init's end", BOOT_LIMIT, "cloud-init status | grep -qE 'status: (done|error)'").map(drop)
    }

    /// Takes its power away: nothing is stopped in order.
    ///
    /// # Errors
    /// Its processes do not end.
    pub fn power_off(&mut self) -> Result<()> {
        let Some(init) = self.init.take() else { return Ok(()) };
        drop(init);
        let remove = format!("find /run/cgroup/{} -depth -type d -exec rmdir {{}} +", self.control_group());
        wait::until("the end of its processes", BOOT_LIMIT, || self.host.script(&remove).map(Some))?;
        // Its tunnel was the kernel's, or wireguard-go's, which has ended; addresses and routes are the network namespace's.
        self.host.script("ip link del dev hetznat0 2>/dev/null || :; ip address flush dev eth0; ip link set eth0 down; nft flush ruleset")?;
        Ok(())
    }

    /// Of this container alone, whatever runs beside the lab.
    fn control_group(&self) -> String {
        let lab = self.host.directory().parent().and_then(|lab| lab.file_name()).unwrap_or_default();
        format!("{}-{}", lab.to_string_lossy(), self.host.name())
    }

    /// Runs a shell script in it, whatever becomes of it.
    ///
    /// # Errors
    /// It is switched off.
    pub fn attempt(&self, script: &str) -> Result<Output> {
        let pid = self.pid.context("it is switched off")?.to_string();
        let mut words = vec!["nsenter", "--target", &pid, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root"];
        words.extend([
            "env",
            "-i",
            "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL=C.UTF-8",
            "sh",
            "-euc",
            script,
        ]);
        self.host.attempt(&words)
    }

    /// Runs a shell script in it; returns what it printed.
    ///
    /// # Errors
    /// It failed.
    pub fn run(&self, script: &str) -> Result<String> {
        printed(&format!("{}# {script}", self.network.name()), &self.attempt(script)?)
    }

    /// Waits until a script succeeds in it; returns what it printed.
    ///
    /// # Errors
    /// It did not within `limit`; the message carries what the container has said.
    pub fn wait_for(&self, what: &str, limit: Duration, script: &str) -> Result<String> {
        wait::until(what, limit, || self.run(script).map(Some)).map(|(said, _)| said).with_context(|| self.report())
    }

    /// The end of what it has said.
    #[must_use]
    pub fn report(&self) -> String {
        let journal = self.run("journalctl --boot --no-pager --lines=80; systemctl list-jobs");
        let console = self.init.as_ref().map(Process::log).unwrap_or_default();
        format!(
            "== journal of {}\n{}\n== console\n{console}",
            self.network.name(),
            journal.unwrap_or_else(|error| format!("{error:#}"))
        )
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The lab is over: what cannot be taken down in order goes with the host.
        let _ = self.power_off();
    }
}
