//! A Debian repository with one made-up package: what a server can only install if it reaches the repository's host.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The package's name.
pub const PACKAGE: &str = "hetznat-lab-greeting";
/// The one file it brings.
pub const FILE: &str = "/usr/share/hetznat-lab/greeting";
/// What is in it.
pub const CONTENT: &str = "hello from a package\n";

/// Builds the package, and lays a flat repository out in `debian` below the directory of a web server:
/// `deb [trusted=yes] http://HOST/debian ./`.
///
/// # Errors
/// `dpkg-deb` is missing, or the disk is full.
pub fn publish(directory: &Path) -> Result<()> {
    let repository = directory.join("debian");
    let tree = tempfile::tempdir()?;
    let file = tree.path().join(FILE.trim_start_matches('/'));
    fs::create_dir_all(file.parent().context("the file is in a directory")?)?;
    fs::write(&file, CONTENT)?;
    let control = format!(
        "Package: {PACKAGE}\nVersion: 1\nArchitecture: all\nMaintainer: The lab <lab@example.org>\nDescription: a greeting\n"
    );
    fs::create_dir_all(tree.path().join("DEBIAN"))?;
    fs::write(tree.path().join("DEBIAN/control"), &control)?;
    fs::create_dir_all(&repository)?;
    let name = format!("{PACKAGE}_1_all.deb");
    let package = repository.join(&name);
    said(Command::new("dpkg-deb").args(["--build", "--root-owner-group"]).arg(tree.path()).arg(&package))?;
    let sum = said(Command::new("sha256sum").arg(&package))?;
    let sum = sum.split(' ').next().unwrap_or_default();
    let size = fs::metadata(&package)?.len();
    fs::write(repository.join("Packages"), format!("{control}Filename: ./{name}\nSize: {size}\nSHA256: {sum}\n"))?;
    Ok(())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| command.get_program().display().to_string())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
