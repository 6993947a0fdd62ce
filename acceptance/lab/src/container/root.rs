//! The root file systems that containers boot from: one for each stack of network programs, built once and kept in the target
//! directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::packages::{mirror, newest, target_directory};

const BUILD: &str = include_str!("root.sh");
const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// debootstrap knows where a distribution has its archive.
const ITS_OWN: String = String::new();
const UBUNTU_KEYS: &str = "usr/share/keyrings/ubuntu-archive-keyring.gpg";

/// Who packages a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archive {
    /// From where this machine's apt gets it.
    Debian,
    /// From Ubuntu's own archive.
    Ubuntu,
}

/// A release and the programs that look after its network and its names.
#[derive(Debug, Clone, Copy)]
pub struct Stack {
    /// What its root file system is called.
    pub name: &'static str,
    /// Whose release it is.
    pub archive: Archive,
    /// The name of the release.
    pub suite: &'static str,
    /// Installed without what they recommend.
    pub packages: &'static [&'static str],
}

impl Stack {
    /// The kept root file system, or a new one: minutes, and 150 MB of packages. Another recipe is another one.
    ///
    /// # Errors
    /// Not root, `debootstrap` is missing, or Debian's mirror cannot be reached.
    pub(super) fn root(&self) -> Result<PathBuf> {
        let place = target_directory()?.join("roots");
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        // Two tests may want one at the same time.
        let lock = fs::File::create(place.join("lock"))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let (root, recipe) = (place.join(self.name), place.join(format!("{}.recipe", self.name)));
        let wanted = format!("{BUILD}\n{self:?}");
        if fs::read_to_string(&recipe).is_ok_and(|kept| kept == wanted) {
            return Ok(root);
        }
        eprintln!("building {}; this takes a minute", root.display());
        // Left by a builder that was killed; what was mounted there went with its namespace.
        let _ = fs::remove_dir_all(place.join("new"));
        let mut build = Command::new("unshare");
        build.args(["--mount", "--propagation=private", "sh", "-c", BUILD, "root.sh"]).arg(&place);
        let (mirror, keys, like) = self.source()?;
        build.args([self.name, self.suite, &mirror]).arg(keys).arg(like).args(self.packages);
        let output = build
            .env("PATH", crate::host::path())
            .env("LC_ALL", "C")
            .output()
            .context("unshare (package util-linux)")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} could not be built: {}", root.display(), said.trim_end());
        fs::write(&recipe, wanted)?;
        Ok(root)
    }

    /// Where its packages are, by whose keys they are signed, and a release that debootstrap makes in the same way.
    fn source(&self) -> Result<(String, PathBuf, &'static str)> {
        Ok(match self.archive {
            Archive::Debian => (mirror()?.unwrap_or(ITS_OWN), DEBIAN_KEYS.into(), self.suite),
            Archive::Ubuntu => (ITS_OWN, newest("ubuntu-keyring")?.join(UBUNTU_KEYS), "gutsy"),
        })
    }
}
