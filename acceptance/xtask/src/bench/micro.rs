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
packet every other second, so that all are searched for, side by side (see below). New flows come to tables that
have just been made, and grow by what they need, or to tables that have been as full before. Segments are those of a full super-packet, 1340 bytes of payload
in 1400; merging and cutting include the checksums of all of them, the tunnel's figures everything from a packet to its datagram and back. Ciphers are what callgrind's processor has
instructions for, which may be fewer than the machine's. The same cases hold the bars of a dev build as a test of `acceptance/microbench`; `cargo bench -p microbench` takes their times, which are
good for comparison with those of the last run on the same machine and for nothing else.",
};

pub(super) const TABLES: Micro = Micro {
    program: "bench-tables",
    heading: "Tables",
    explanation: "\
Measured by `cargo xtask bench --tables` with a release build: a million UDP flows, each with a BIB entry and a session of its own. Memory is
what /proc/self/statm says; times are CPU time of the thread; the longest operation is the maximum over all flows of the least of three
rounds, because an interrupt is charged to whom it interrupts and an operation comes again. Packets are those of flows chosen at random, in batches
of 32 as the datapath has them, the least of 200 measurements of 1,024 packets, the numbers of flows in turn. Only ratios within the run mean anything.

A search reads three things, each of which names the next: bucket, session, mapping. Among a thousand flows all are in the nearest cache; where there are many, each is
a load from memory. With more than 8,192 sessions of a protocol a batch is therefore looked up side by side before it is handled
(`Engine::expect_inside`): first the buckets of all, then their sessions, then their mappings, in loops so short that a processor has all loads of one under way at once.
Twice the time of a thousand flows is not reached. Reading and hashing a batch beforehand takes some 200 instructions a packet, half of what handling it does; the loops 130 more; and 32 loads that
do not depend on one another still take this machine about 10 ns each (8 ns if there are 64), so that the three lines of a packet, and those of other sessions in one bucket of six,
cost as much as all of its handling. To get there, session and mapping would have to share a line at least. Huge pages (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1` in
the environment puts all of the tables into some) bring 5 to 10 % more, which is too little to ask the kernel for them by default.",
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
