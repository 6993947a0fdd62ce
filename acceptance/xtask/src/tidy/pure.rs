//! The pure crates do no I/O, know no clock, have no unsafe code, and build where there is no operating system.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::files::SourceFile;
use super::{Finding, PURE_CRATES};
use crate::cargo::cargo;

/// What reaches for the world; time and seeds are arguments in a pure crate.
const IMPURE: [&str; 9] = [
    "Instant::now",
    "SystemTime::now",
    "std::env",
    "std::fs",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "thread::spawn",
];
const WASM: &str = "wasm32-unknown-unknown";

/// The product code of a pure crate.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let Some((_, directory)) = PURE_CRATES.iter().find(|(_, directory)| file.path.starts_with(directory)) else {
        return Vec::new();
    };
    if !file.path.starts_with(Path::new(directory).join("src")) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in file.product_lines().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for word in IMPURE.iter().filter(|word| line.contains(**word)) {
            findings.push(Finding::new(&file.path, number, format!("{word} in a pure crate: make it an argument")));
        }
    }
    if file.path.ends_with("src/lib.rs") && !file.text.contains("#![forbid(unsafe_code)]") {
        findings.push(Finding::new(&file.path, 1, "a pure crate says #![forbid(unsafe_code)]"));
    }
    findings
}

/// Builds them for a target without an operating system; adds the target if it is missing.
pub(super) fn builds_for_wasm(root: &Path) -> Result<Vec<Finding>> {
    add_target(root);
    let mut findings = Vec::new();
    for (name, directory) in PURE_CRATES {
        let output =
            cargo(&["check", "--quiet", "--package", name, "--target", WASM]).output().context("cargo check")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().find(|line| line.starts_with("error")).unwrap_or("it does not build").to_owned();
            let manifest = Path::new(directory).join("Cargo.toml");
            findings.push(Finding::new(manifest, 1, format!("does not build for {WASM}: {first}")));
        }
    }
    Ok(findings)
}

/// Without rustup the toolchain has the target or the build says that it has not.
fn add_target(root: &Path) {
    let mut rustup = Command::new("rustup");
    let _ = rustup.args(["target", "add", WASM]).current_dir(root).output();
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::file;
    use super::*;

    #[test]
    fn a_clock_in_a_pure_crate_is_found_outside_tests_and_comments() {
        let text = "//! A file.\n// Instant::now is not for us.\nlet now = Instant::now();\n#[cfg(test)]\nmod tests {\nInstant::now();\n";

        let findings = check(&file("translator/nat64/src/bib.rs", text));

        assert_eq!(
            findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["translator/nat64/src/bib.rs:3: Instant::now in a pure crate: make it an argument"]
        );
    }

    #[test]
    fn a_pure_crate_that_does_not_forbid_unsafe_code_is_found() {
        assert_eq!(check(&file("cloud-init/src/lib.rs", "//! A file.\n")).len(), 1);
        assert_eq!(check(&file("cloud-init/src/lib.rs", "//! A file.\n#![forbid(unsafe_code)]\n")).len(), 0);
    }

    #[test]
    fn other_crates_may_look_at_the_clock() {
        assert_eq!(check(&file("translator/daemon/src/main.rs", "Instant::now();\n")).len(), 0);
    }
}
