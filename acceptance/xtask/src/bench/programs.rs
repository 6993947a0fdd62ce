//! The programs of a measurement: ours built for speed, and what they are compared with.

use std::path::PathBuf;
use std::process::Command;

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

/// What we are compared with, for the record.
pub(super) fn versions() -> String {
    let debian = |package: &str| {
        let words = ["--show", "--showformat", "${Version}", package];
        let said = Command::new("dpkg-query").args(words).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    };
    format!("tayga {}, {}, iperf3 {}", debian("tayga"), BORINGTUN.replace('@', " "), debian("iperf3"))
}

/// Where cargo builds to: this program is in `target/debug` or the like.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("path of the running program")?;
    Ok(own.ancestors().nth(2).map_or_else(|| root().join("target"), PathBuf::from))
}
