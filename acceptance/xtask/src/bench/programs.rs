//! The programs of a measurement: ours built for speed, and what they are compared with.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use lab::bench::Programs;
use lab::binaries::{LOAD, TRANSLATOR};

use crate::cargo::{cargo, root, status};

/// Pinned: figures of another version are other figures.
const BORINGTUN: &str = "boringtun-cli@0.7.1";

/// Builds ours, and installs boringtun below `target/` unless it is there.
pub(super) fn ready() -> Result<Programs> {
    eprintln!("building {TRANSLATOR} and {LOAD} for release");
    let built = status(cargo(&["build", "--quiet", "--release", "--package", TRANSLATOR, "--package", "load"]))?;
    ensure!(built.success(), "the binaries could not be built");
    let release = target()?.join("release");
    Ok(Programs { translator: release.join(TRANSLATOR), load: release.join(LOAD), wireguard: boringtun()? })
}

fn boringtun() -> Result<PathBuf> {
    let place = target()?.join("bench");
    let program = place.join("bin/boringtun-cli");
    if !program.is_file() {
        eprintln!("installing {BORINGTUN} into {}", place.display());
        let mut install = cargo(&["install", "--quiet", "--locked", BORINGTUN, "--root"]);
        install.arg(&place);
        ensure!(
            status(install)?.success(),
            "boringtun-cli could not be installed; get it by hand with\n  cargo install --locked {BORINGTUN} --root {}",
            place.display()
        );
    }
    Ok(program)
}

/// Where cargo builds to: this program is in `target/debug` or the like.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("path of the running program")?;
    Ok(own.ancestors().nth(2).map_or_else(|| root().join("target"), PathBuf::from))
}
