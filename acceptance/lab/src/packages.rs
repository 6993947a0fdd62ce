//! The Debian packages the lab and the tests need: only the missing ones are installed, and what is installed is said
//! first.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::binaries::find;

/// What the packages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To build a lab and look at it.
    Lab,
    /// To measure gateways against each other.
    Bench,
    /// To measure resolvers against each other.
    Dns64,
    /// To run every test of the workspace.
    Tests,
}

/// A package and the program of it that the lab runs; a file for one that has none.
const LAB: [(&str, &str); 13] = [
    ("iproute2", "ip"),
    ("nftables", "nft"),
    ("conntrack", "conntrack"),
    ("wireguard-tools", "wg-quick"),
    ("wireguard-go", "wireguard-go"),
    ("iputils-ping", "ping"),
    ("curl", "curl"),
    ("dnsmasq-base", "dnsmasq"),
    ("bind9-dnsutils", "dig"),
    ("bind9", "named"),
    ("bind9-utils", "dnssec-signzone"),
    ("python3", "python3"),
    ("util-linux", "nsenter"),
];

/// What the benchmarks compare with, and measure by.
const BENCH: [(&str, &str); 3] = [("tayga", "tayga"), ("iperf3", "iperf3"), ("ethtool", "ethtool")];

/// What the behaviour cases of DNS64 are asked, signed and compared with. Debian's own Python finds them there.
const CASES: [(&str, &str); 2] = [
    ("python3-dnspython", "/usr/lib/python3/dist-packages/dns/message.py"),
    ("python3-cryptography", "/usr/lib/python3/dist-packages/cryptography/__init__.py"),
];

/// What the resolver is compared with, and measured by.
const DNS64: [(&str, &str); 2] = [("unbound", "unbound"), ("dnsperf", "dnsperf")];

/// What judges the scripts, the unit and the stand-ins that we have, and what counts instructions.
const TESTS: [(&str, &str); 5] = [
    ("dash", "dash"),
    ("shellcheck", "shellcheck"),
    ("systemd", "systemd-analyze"),
    ("valgrind", "valgrind"),
    ("python3-hcloud", "/usr/lib/python3/dist-packages/hcloud/__init__.py"),
];

/// What cloud-init imports; it itself is only ever unpacked. Debian's own Python finds them there.
const CLOUD_INIT: [(&str, &str); 7] = [
    ("python3-configobj", "/usr/lib/python3/dist-packages/configobj/__init__.py"),
    ("python3-jinja2", "/usr/lib/python3/dist-packages/jinja2/__init__.py"),
    ("python3-jsonpatch", "/usr/lib/python3/dist-packages/jsonpatch.py"),
    ("python3-jsonschema", "/usr/lib/python3/dist-packages/jsonschema/__init__.py"),
    ("python3-oauthlib", "/usr/lib/python3/dist-packages/oauthlib/__init__.py"),
    ("python3-requests", "/usr/lib/python3/dist-packages/requests/__init__.py"),
    ("python3-yaml", "/usr/lib/python3/dist-packages/yaml/__init__.py"),
];

/// What builds, boots and enters a machine.
const MACHINE: [(&str, &str); 6] = [
    ("debootstrap", "debootstrap"),
    ("debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    ("dpkg", "dpkg-deb"),
    ("e2fsprogs", "mke2fs"),
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("openssh-client", "ssh"),
];

/// The packages whose program is on no path.
#[must_use]
pub fn missing(purpose: Purpose) -> Vec<&'static str> {
    let more: &[&[_]] = match purpose {
        Purpose::Lab => &[],
        Purpose::Bench => &[&BENCH],
        Purpose::Dns64 => &[&DNS64, &CASES],
        Purpose::Tests => &[&BENCH, &CASES, &TESTS, &CLOUD_INIT, &MACHINE],
    };
    LAB.iter()
        .chain(more.iter().copied().flatten())
        .filter(|(_, program)| find(program).is_none())
        .map(|(package, _)| *package)
        .collect()
}

/// Installs what is missing; `say` hears about it first.
///
/// # Errors
/// Something is missing and the caller is not root or has no `apt-get`, or the installation went wrong.
pub fn install(purpose: Purpose, mut say: impl FnMut(&str)) -> Result<()> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    ensure!(find("apt-get").is_some(), "these are missing and there is no apt-get here: {}", missing.join(" "));
    ensure!(nix::unistd::geteuid().is_root(), "packages are missing and only root can install them; run\n  {by_hand}");
    say(&format!("installing {}", missing.join(" ")));
    apt(&["update", "--quiet=2"]).or_else(|error| {
        // An index that is too old may still be good enough: the installation decides.
        say(&format!("{error:#}"));
        anyhow::Ok(())
    })?;
    // Never with recommends: wireguard-tools recommends a kernel.
    let mut words = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    words.extend(&missing);
    apt(&words).with_context(|| format!("install them by hand: {by_hand}"))?;
    let still: Vec<_> = self::missing(purpose);
    ensure!(still.is_empty(), "installed, and still on no path: what {} should bring; reinstall them", still.join(" "));
    Ok(())
}

/// A package's files in a directory of the target directory: for a package that, installed, would change how this machine
/// works. Fetched once.
///
/// # Errors
/// There is no `apt-get` here, or nothing to fetch it from.
pub fn unpacked(package: &str) -> Result<PathBuf> {
    unpack(package, package, "")
}

/// The same of the version in Debian unstable, whatever this machine runs.
///
/// # Errors
/// As [`unpacked`].
pub fn newest(package: &str) -> Result<PathBuf> {
    let mirror =
        mirror()?.context("no source of apt is a mirror of Debian; add one, run apt-get update, and try again")?;
    unpack(&format!("{package}-unstable"), package, &format!("mirror='{mirror}'\n{UNSTABLE}"))
}

/// Where this machine's apt gets Debian from, if it does.
///
/// # Errors
/// There is no `apt-get` here.
pub fn mirror() -> Result<Option<String>> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages"]);
    let output = ask.output().context("apt-get")?;
    Ok(mirror_among(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned))
}

/// The first that has a whole release: `bookworm-updates` and the like are beside one.
fn mirror_among(targets: &str) -> Option<&str> {
    targets.lines().find_map(|line| {
        let (release, address) = line.strip_prefix("Debian ")?.split_once(' ')?;
        (!release.contains('-')).then_some(address)
    })
}

/// Makes apt look at Debian unstable and nothing else, in the working directory and nowhere else.
const UNSTABLE: &str = r#"
mkdir -p lists/partial archives/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" >list
printf '%s\n' "Dir::State::lists \"$PWD/lists\";" "Dir::Cache \"$PWD\";" "Dir::Etc::sourcelist \"$PWD/list\";" \
    'Dir::Etc::sourceparts "-";' 'Acquire::Languages "none";' >apt.conf
export APT_CONFIG="$PWD/apt.conf"
apt-get update --quiet=2
"#;

fn unpack(directory: &str, package: &str, prepare: &str) -> Result<PathBuf> {
    let place = target_directory()?.join("packages").join(directory);
    if place.join("usr").exists() {
        return Ok(place);
    }
    // Beside its place and then moved there: two tests may want it at the same time.
    let parent = place.parent().context("a directory of its own")?;
    std::fs::create_dir_all(parent)?;
    let fetched = tempfile::tempdir_in(parent)?;
    let script = format!("{prepare}apt-get download --quiet=2 \"$1\"\ndpkg-deb --extract ./*.deb files");
    let output = Command::new("sh").args(["-euc", &script, "sh", package]).current_dir(fetched.path()).output()?;
    ensure!(output.status.success(), "{package} was not fetched: {}", String::from_utf8_lossy(&output.stderr));
    match std::fs::rename(fetched.path().join("files"), &place) {
        Err(_) if place.join("usr").exists() => {}
        moved => moved?,
    }
    Ok(place)
}

/// Where cargo puts what it builds with this profile.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let this = std::env::current_exe().context("/proc is not mounted")?;
    let found = this.ancestors().find(|directory| directory.join("deps").is_dir()).map(Path::to_owned);
    found.with_context(|| format!("{} is in no target directory", this.display()))
}

fn apt(words: &[&str]) -> Result<()> {
    let output = Command::new("apt-get").args(words).env("DEBIAN_FRONTEND", "noninteractive").output()?;
    if !output.status.success() {
        bail!("apt-get {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_one_of_debian_with_a_whole_release() {
        let targets = "Docker bookworm https://one.example/\nDebian bookworm-security https://two.example/\n\
                       Debian bookworm https://three.example/debian/\nDebian trixie https://four.example/\n";

        assert_eq!(mirror_among(targets), Some("https://three.example/debian/"));
        assert_eq!(mirror_among("  https://never.updated.example/\n"), None);
    }
}
