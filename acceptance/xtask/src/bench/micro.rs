//! `cargo xtask bench --instructions` and `--tables`: programs of `acceptance/microbench`, built for release.

use std::io::{self, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab::packages::Purpose;

use super::document::write_section;
use crate::cargo::cargo;

/// A program that prints a table of figures.
pub(super) struct Micro {
    program: &'static str,
    heading: &'static str,
    /// What a reader of the table must know.
    explanation: &'static str,
}

pub(super) const INSTRUCTIONS: Micro = Micro {
    program: "bench-instructions",
    heading: "Instructions",
    explanation: "\
Measured by `cargo xtask bench --instructions` with a release build on x86-64: instructions under callgrind, between a call of the engine
and its return, setting up not counted. Packets come in batches of 32. \"In turn\" means that every packet belongs to another flow than the
one before: of 1,000 flows each has ten packets a second; 20,000 flows are more than there are hints to where sessions stand, and each has a
packet every other second, so that all are searched for and moved in their queues. The same cases hold the bars of a dev build as a test of `acceptance/microbench`.",
};

pub(super) const TABLES: Micro = Micro {
    program: "bench-tables",
    heading: "Tables",
    explanation: "\
Measured by `cargo xtask bench --tables` with a release build: a million UDP flows, each with a BIB entry and a session of its own. Memory is
what /proc/self/statm says; times are CPU time of the thread; the longest operation is the maximum over all flows of the least of three
rounds, because an interrupt is charged to whom it interrupts and an operation comes again. In instructions a packet of one of a million flows
costs 1.5 times one of a thousand (738 to 478, counted in the same way); in time it waits for main memory, which a thousand flows never do.",
};

/// Prints the figures, and says whether they meet their bars.
pub(super) fn run(bench: &Micro, write: bool) -> Result<bool> {
    lab::packages::install(Purpose::Tests, |line| eprintln!("{line}"))?;
    let words = ["run", "--quiet", "--release", "--package", "microbench", "--bin", bench.program];
    let output = cargo(&words).stderr(Stdio::inherit()).output().context("cargo run")?;
    let table = String::from_utf8(output.stdout).context("the table is not text")?;
    io::stdout().lock().write_all(table.as_bytes())?;
    ensure!(!table.is_empty(), "nothing was measured");
    if write {
        write_section(bench.heading, &format!("{}\n\n{table}", bench.explanation))?;
    }
    Ok(output.status.success())
}
