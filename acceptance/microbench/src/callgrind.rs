//! Counting instructions: the program runs itself under callgrind, which writes one file per case.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cases::{CASES, Case};

/// Callgrind counts what this function calls; the stars are for what the compiler makes of its path.
const COUNTED: &str = "--toggle-collect=*counted_work*";
/// Before this one it writes what it has counted into a file. It has to be another function.
const WRITTEN: &str = "--dump-before=*case_is_done*";
/// The argument that makes the program do the cases instead of starting callgrind.
pub const UNDER_CALLGRIND: &str = "--under-callgrind";

/// A case and what one of its units takes.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// What was counted.
    pub case: Case,
    /// Instructions per unit.
    pub instructions: u64,
}

impl Count {
    /// Whether it is too much.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.case.bar.is_some_and(|bar| self.instructions > bar)
    }
}

/// Does every case; to be called under callgrind.
pub fn do_cases() -> Vec<u64> {
    CASES.iter().map(Case::run).collect()
}

/// Runs `program` with [`UNDER_CALLGRIND`] under callgrind and reads what it counted.
///
/// # Errors
/// There is no valgrind, the program fails, or the files are not what they should be.
pub fn count(program: &Path) -> Result<Vec<Count>> {
    let directory = tempfile::tempdir()?;
    let out = directory.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", COUNTED, WRITTEN])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg(UNDER_CALLGRIND)
        .stdin(Stdio::null())
        .output()
        .context("valgrind could not be started; install it with `apt-get install valgrind`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "under callgrind the cases fail: {said}");
    let units = String::from_utf8_lossy(&output.stdout);
    let units: Vec<u64> = units.lines().map(str::parse).collect::<Result<_, _>>().context("units of the cases")?;
    ensure!(units.len() == CASES.len(), "{} cases said how much they did, of {}", units.len(), CASES.len());
    (1..)
        .zip(CASES)
        .zip(units)
        .map(|((dump, case), units)| {
            let path = out.with_extension(dump.to_string());
            let text =
                fs::read_to_string(&path).with_context(|| format!("callgrind wrote nothing about {}", case.name))?;
            let total = total(&text).with_context(|| format!("no sum in what callgrind wrote about {}", case.name))?;
            Ok(Count { case, instructions: total / units })
        })
        .collect()
}

/// The instructions that a file of callgrind's accounts for.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_callgrind_ends_with() {
        assert_eq!(total("version: 1\nevents: Ir\nsummary: 7\n0 1\ntotals: 512\n"), Some(512));
        assert_eq!(total("events: Ir\n"), None);
    }
}
