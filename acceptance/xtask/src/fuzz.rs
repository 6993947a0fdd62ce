//! `cargo xtask fuzz`: lets fuzz targets run for a while. Not part of the CI, which replays what they found.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cargo::{root, status};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u32,
    /// The targets to run, one after the other; default: all
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    check_tools()?;
    let all = targets(&root().join("fuzz"))?;
    for target in chosen(&all, &options.targets)? {
        ensure!(status(fuzz(target, options.minutes)?)?.success(), "{}", advice(target));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen<'t>(all: &'t [String], wanted: &'t [String]) -> Result<&'t [String]> {
    if let Some(unknown) = wanted.iter().find(|target| !all.contains(target)) {
        bail!("{unknown} is no fuzz target; there are {}", all.join(", "));
    }
    Ok(if wanted.is_empty() { all } else { wanted })
}

fn check_tools() -> Result<()> {
    let has = |words: &[&str]| {
        let mut probe = nightly(words);
        probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    ensure!(
        has(&["--version"]),
        "fuzzing needs a nightly toolchain; run `rustup toolchain install nightly --profile minimal`"
    );
    ensure!(has(&["fuzz", "--version"]), "fuzzing needs cargo-fuzz; run `cargo install cargo-fuzz --locked`");
    Ok(())
}

/// The nightly cargo, whatever this one is.
fn nightly(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(words).env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

/// By their files, in order.
fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let directory = fuzz.join("fuzz_targets");
    let entries = std::fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
    let names = entries.map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()));
    let mut names: Vec<String> = names.collect::<Result<_>>()?;
    names.sort_unstable();
    Ok(names)
}

/// What is found grows in the target directory; the corpus that is committed is only read.
fn fuzz(target: &str, minutes: u32) -> Result<Command> {
    let fuzz = root().join("fuzz");
    let grown = fuzz.join("target/corpus").join(target);
    std::fs::create_dir_all(&grown).with_context(|| grown.display().to_string())?;
    let mut command = nightly(&["fuzz", "run", "--sanitizer", "none", target]);
    command.current_dir(&fuzz).arg(grown).arg(fuzz.join("corpus").join(target)).arg("--");
    command.arg(format!("-max_total_time={}", u64::from(minutes) * 60)).arg("-print_final_stats=1");
    let dictionary = fuzz.join("dictionaries").join(target);
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    Ok(command)
}

fn advice(target: &str) -> String {
    format!(
        "{target} found a mistake, or could not be built; shorten the input with `cargo +nightly fuzz tmin {target} FILE`, \
         put it into fuzz/crashes/{target}, and mend what it shows"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        let fuzz = root().join("fuzz");

        for target in targets(&fuzz).unwrap() {
            assert!(fuzz.join("corpus").join(&target).is_dir(), "{target}");
        }
    }

    #[test]
    fn a_target_that_is_not_there_is_refused_with_those_that_are() {
        let all = ["inside".to_owned(), "outside".to_owned()];

        let refused = chosen(&all, &["nonsense".to_owned()]).unwrap_err().to_string();

        assert_eq!(refused, "nonsense is no fuzz target; there are inside, outside");
        assert_eq!(chosen(&all, &[]).unwrap(), all);
    }
}
