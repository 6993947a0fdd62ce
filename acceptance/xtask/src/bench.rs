//! `cargo xtask bench`: what it costs, measured; `--write` puts the figures into docs/benchmarks.md.

mod document;
mod instructions;

use std::process::ExitCode;

use anyhow::{Result, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Instructions per packet, layer by layer, as callgrind counts them
    #[arg(long)]
    instructions: bool,
    /// Put the figures into docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.instructions {
        return instructions::run(options.write);
    }
    bail!("say what is to be measured: --instructions")
}
