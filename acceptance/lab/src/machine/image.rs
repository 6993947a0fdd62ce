//! The disk that machines boot from: Debian 12 with its kernel and cloud-init, built once and kept in the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::fcntl::{Flock, FlockArg};

use crate::packages::{mirror, target_directory};

const BUILD: &str = include_str!("image.sh");

/// A disk that nobody writes to, and how to boot it.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) disk: PathBuf,
}

impl Image {
    /// The kept image, or a new one: minutes, and 300 MB of packages. Another recipe is another image.
    ///
    /// # Errors
    /// Not root, `debootstrap` or `apt-get` is missing, or Debian's mirror cannot be reached.
    pub(super) fn get() -> Result<Self> {
        let place = target_directory()?.join("machine");
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        // Two tests may want it at the same time.
        let lock = fs::File::create(place.join("lock"))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let recipe = place.join("recipe");
        if fs::read_to_string(&recipe).is_ok_and(|kept| kept == BUILD) {
            return Ok(Self::at(&place));
        }
        build(&place)?;
        fs::write(&recipe, BUILD)?;
        Ok(Self::at(&place))
    }

    fn at(place: &Path) -> Self {
        Self { kernel: place.join("kernel"), initrd: place.join("initrd"), disk: place.join("disk.raw") }
    }
}

fn build(place: &Path) -> Result<()> {
    eprintln!("building the disk of a Debian server in {}; this takes minutes", place.display());
    for left in ["recipe", "root"] {
        let path = place.join(left);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    // What debootstrap mounts goes with the namespace.
    let mut build = Command::new("unshare");
    build.args(["--mount", "--propagation=private", "sh", "-c", BUILD, "image.sh"]).arg(place).args(mirror()?);
    let output =
        build.env("PATH", crate::host::path()).env("LC_ALL", "C").output().context("unshare (package util-linux)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the disk of the server could not be built: {}", said.trim_end());
    Ok(())
}
