//! Running cargo, and where the repository is.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context as _, Result, ensure};
use lab::binaries::{PROVIDER, TRANSLATOR};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).map_or_else(|| own.clone(), PathBuf::from)
}

/// Cargo, started at the top of the repository.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    command
}

/// Runs a command with its output on the terminal.
pub(crate) fn status(mut command: Command) -> Result<ExitStatus> {
    command.status().with_context(|| format!("{} could not be started", command.get_program().display()))
}

/// Builds the binaries that the lab drives, beside this one.
pub(crate) fn build_binaries() -> Result<()> {
    let status = status(cargo(&[
        "build",
        "--quiet",
        "--package",
        PROVIDER,
        "--package",
        TRANSLATOR,
        "--package",
        "load",
        "--package",
        "hetzner",
    ]))?;
    ensure!(status.success(), "the binaries could not be built");
    Ok(())
}
