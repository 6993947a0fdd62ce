//! `cargo xtask bench --instructions`: a release build of `acceptance/microbench` under callgrind.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use lab::packages::Purpose;

use super::document::write_section;
use crate::cargo::cargo;

/// What a reader of the table must know.
const EXPLANATION: &str = "\
Measured by `cargo xtask bench --instructions` with a release build on x86-64: instructions under callgrind, between a call of the engine
and its return, setting up not counted. \"In turn\" means that every packet belongs to another flow than the one before, so that each is looked
for in the tables. The same cases hold the bars of a dev build as a test of `acceptance/microbench`.";

pub(super) fn run(write: bool) -> Result<ExitCode> {
    lab::packages::install(Purpose::Tests, |line| eprintln!("{line}"))?;
    let words = ["run", "--quiet", "--release", "--package", "microbench", "--bin", "bench-instructions"];
    let output = cargo(&words).stderr(std::process::Stdio::inherit()).output().context("cargo run")?;
    let table = String::from_utf8(output.stdout).context("the table is not text")?;
    io::stdout().lock().write_all(table.as_bytes())?;
    ensure!(!table.is_empty(), "nothing was counted");
    if write {
        write_section("Instructions", &format!("{EXPLANATION}\n\n{table}"))?;
    }
    Ok(if output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
