//! A server that really boots: Debian's kernel and cloud-init under qemu, with what Hetzner puts around it.
//!
//! What differs from the hoster: the firmware says the vendor and a serial, but the metadata service and the DHCP server
//! are stand-ins (see `hoster`); the disk is debootstrap's and not Hetzner's image; there is no rescue system, no private
//! network, and no firewall before the server.

mod accelerator;
pub(crate) mod hoster;
mod image;

use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::host::printed;
use crate::{Host, Process, wait};
use hoster::Hoster;
use image::Image;

/// What a machine may take to answer SSH, with its processor emulated and others at work beside it.
pub const BOOT_LIMIT: Duration = Duration::from_secs(600);

/// Where a server is: on the link `serverN` of the hoster's router, with a network of its own.
#[derive(Debug, Clone)]
pub struct Network {
    name: String,
    number: u8,
    /// Hetzner's data source takes it for the instance's id; the firmware and the metadata service both say it.
    instance: u64,
}

impl Network {
    /// The place of the server of that name; `number` is nobody else's.
    pub(crate) fn new(name: &str, number: u8) -> Self {
        Self { name: name.to_owned(), number, instance: 12_345_678 }
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's global address.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 1, self.number.into(), 0, 0, 0, 1)
    }

    /// What the hoster's metadata service tells it that it is.
    #[must_use]
    pub fn instance_id(&self) -> u64 {
        self.instance
    }

    /// Its network as Hetzner's API writes it: what `hcloud_primary_ip.ip_network` would say.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("2001:db8:1:{:x}::/64", self.number)
    }

    /// The interface of the hoster's router.
    pub(crate) fn interface(&self) -> String {
        format!("server{}", self.number)
    }

    pub(crate) fn mac(&self) -> String {
        format!("96:00:00:08:{:02x}:da", self.number)
    }
}

/// A server that is booted from nothing; dropping it switches it off, and its disk is as before.
#[derive(Debug)]
pub struct Machine {
    /// The hoster's router, where qemu runs.
    hoster: Arc<Host>,
    network: Network,
    directory: PathBuf,
    image: Image,
    // Dropped in this order: qemu holds the link.
    qemu: Option<Process>,
    services: Option<Hoster>,
}

impl Machine {
    /// A machine that is switched off, with a key to enter it by.
    pub(crate) fn new(hoster: Arc<Host>, network: Network, directory: PathBuf) -> Result<Self> {
        let image = Image::get()?;
        let key = directory.join("key");
        hoster.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", &key.display().to_string()])?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
        Ok(Self { hoster, network, directory, image, qemu: None, services: None })
    }

    /// Where it is.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// It is the server that the hoster's API knows by this id.
    pub fn set_instance_id(&mut self, id: u64) {
        self.network.instance = id;
    }

    /// What `authorized_keys` must hold for [`Machine::run`].
    ///
    /// # Errors
    /// The file is gone.
    pub fn public_key(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.join("key.pub"))?.trim().to_owned())
    }

    /// Switches it on with this user data; returns the moment at which that happened.
    ///
    /// # Errors
    /// qemu or one of the hoster's services did not start.
    pub fn power_on(&mut self, user_data: &str) -> Result<Instant> {
        self.hoster.run(&["ip", "tuntap", "add", "dev", &self.network.interface(), "mode", "tap"])?;
        self.services = Some(Hoster::start(&self.hoster, &self.network, user_data)?);
        let accelerator = accelerator::choose(&self.image)?;
        let words = self.qemu(accelerator);
        let moment = Instant::now();
        self.qemu = Some(self.hoster.spawn(&format!("qemu-{}", self.network.interface()), &words)?);
        Ok(moment)
    }

    fn qemu(&self, accelerator: &str) -> Vec<String> {
        let Self { network, image, .. } = self;
        let fixed = "qemu-system-x86_64 -nodefaults -no-user-config -display none -machine pc -smp 2 -m 1G -cpu max,la57=off \
                     -device virtio-rng-pci -device virtio-blk-pci,drive=disk -device virtio-net-pci,netdev=uplink,romfile=";
        let mut words: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
        // The card of a device that was written last.
        let card = words.pop().unwrap_or_default();
        words.push(format!("{card},mac={}", network.mac()));
        let drive = format!("file={},format=raw,if=none,id=disk,snapshot=on,cache=unsafe", image.disk.display());
        let netdev = format!("tap,id=uplink,ifname={},script=no,downscript=no", network.interface());
        let firmware = format!("type=1,manufacturer=Hetzner,product=vServer,serial={}", network.instance);
        let console = format!("file:{}", self.console_file().display());
        for (option, value) in [
            ("-accel", accelerator.to_owned()),
            ("-kernel", image.kernel.display().to_string()),
            ("-initrd", image.initrd.display().to_string()),
            ("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off random.trust_cpu=on".to_owned()),
            ("-drive", drive),
            ("-netdev", netdev),
            ("-smbios", firmware),
            ("-serial", console),
        ] {
            words.extend([option.to_owned(), value]);
        }
        words
    }

    fn console_file(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// What the machine has written to its console.
    #[must_use]
    pub fn console(&self) -> String {
        let bytes = fs::read(self.console_file()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Runs a shell script in the machine, over SSH as root, whatever becomes of it.
    ///
    /// # Errors
    /// `ssh` could not be started.
    pub fn attempt(&self, script: &str) -> Result<Output> {
        let (key, login) = (self.directory.join("key"), format!("root@{}", self.network.address()));
        let fixed = "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
                     -o LogLevel=ERROR -o ConnectTimeout=10 -i";
        let mut words: Vec<_> = fixed.split_whitespace().map(str::to_owned).collect();
        words.extend([key.display().to_string(), login, format!("set -eu; {script}")]);
        self.hoster.attempt(&words)
    }

    /// Runs a shell script in the machine, over SSH as root; returns what it printed.
    ///
    /// # Errors
    /// It failed, or the machine could not be entered.
    pub fn run(&self, script: &str) -> Result<String> {
        printed(&format!("{}# {script}", self.network.name()), &self.attempt(script)?)
    }

    /// Waits until a script succeeds in the machine; returns what it printed.
    ///
    /// # Errors
    /// It did not within `limit`, or the machine has switched itself off; the message carries the end of the console.
    pub fn wait_for(&mut self, what: &str, limit: Duration, script: &str) -> Result<String> {
        let found = wait::until(what, limit, || match self.qemu.as_mut().context("it is switched off")?.ended()? {
            Some(status) => bail!("qemu ended with {status}"),
            None => self.run(script).map(Some),
        });
        found.map(|(said, _)| said).with_context(|| self.report())
    }

    /// Restarts it from inside, and waits until it is entered again.
    ///
    /// # Errors
    /// As [`Machine::wait_for`].
    pub fn reboot(&mut self) -> Result<Instant> {
        let boot = self.run("cat /proc/sys/kernel/random/boot_id")?;
        let moment = Instant::now();
        // The connection may end before the answer.
        self.attempt("systemctl reboot")?;
        self.wait_for(
            "the reboot",
            BOOT_LIMIT,
            &format!("[ $(cat /proc/sys/kernel/random/boot_id) != {} ]", boot.trim()),
        )?;
        Ok(moment)
    }

    /// The end of what the machine and qemu have said.
    #[must_use]
    pub fn report(&self) -> String {
        let console = self.console();
        let lines: Vec<_> = console.lines().collect();
        let end = lines[lines.len().saturating_sub(60)..].join("\n");
        let qemu = self.qemu.as_ref().map(Process::log).unwrap_or_default();
        format!("== console of {}\n{end}\n== qemu\n{qemu}", self.network.name())
    }
}
