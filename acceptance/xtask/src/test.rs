//! `cargo xtask test`: everything the tests need, then the tests; the last words are the runner's own summary.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Result, ensure};
use lab::packages::Purpose;

use crate::cargo::{build_binaries, cargo, status};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests that need root, Debian packages and minutes
    #[arg(long)]
    fast: bool,
    /// Run only tests whose name contains one of these
    filters: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.fast {
        prepare_lab()?;
    }
    let nextest = has_nextest();
    // Nextest runs no documentation tests; they come first, because the summary comes last.
    if nextest && options.filters.is_empty() {
        ensure!(status(cargo(&["test", "--quiet", "--workspace", "--doc"]))?.success(), "a documentation test failed");
    }
    let words = runner(nextest, options);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    Ok(if status(cargo(&words))?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn prepare_lab() -> Result<()> {
    lab::packages::install(Purpose::Tests, |line| eprintln!("{line}"))?;
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the end-to-end tests make network namespaces, which needs root; run again as root, or leave them out with --fast"
    );
    let terraform = lab::binaries::terraform()?;
    eprintln!("{} at {}", terraform.version, terraform.path.display());
    build_binaries()
}

fn has_nextest() -> bool {
    let mut probe = Command::new("cargo");
    probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// The runner's command line.
fn runner(nextest: bool, options: &Options) -> Vec<String> {
    let mut words: Vec<&str> =
        if nextest { vec!["nextest", "run", "--workspace"] } else { vec!["test", "--workspace"] };
    match (options.fast, nextest) {
        (true, true) => words.extend(["--filterset", "not (package(lab) and binary(it)) and not package(microbench)"]),
        (true, false) => words.extend(["--exclude", "lab", "--exclude", "microbench"]),
        (false, _) => {}
    }
    if !nextest {
        // Two labs at a time, as .config/nextest.toml has it; and a failed binary does not hide the others.
        words.extend(["--no-fail-fast", "--", "--test-threads=2"]);
    }
    words.iter().map(|word| (*word).to_owned()).chain(options.filters.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(nextest: bool, fast: bool, filters: &[&str]) -> String {
        let filters = filters.iter().map(|filter| (*filter).to_owned()).collect();
        runner(nextest, &Options { fast, filters }).join(" ")
    }

    #[test]
    fn fast_leaves_lab_and_microbench_out_of_either_runner() {
        assert_eq!(
            line(true, true, &[]),
            "nextest run --workspace --filterset not (package(lab) and binary(it)) and not package(microbench)"
        );
        assert_eq!(
            line(false, true, &[]),
            "test --workspace --exclude lab --exclude microbench --no-fail-fast -- --test-threads=2"
        );
    }

    #[test]
    fn filters_come_last() {
        assert_eq!(line(true, false, &["curl", "ping"]), "nextest run --workspace curl ping");
    }
}
