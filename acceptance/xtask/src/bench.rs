//! `cargo xtask bench`: how fast it is, compared with others, and what a packet costs; `--write` puts the figures into
//! docs/benchmarks.md.

mod bars;
mod chart;
mod document;
mod gateways;
mod instructions;
mod programs;
mod report;
mod results;
mod table;

use std::process::ExitCode;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Instructions per packet instead, layer by layer, as callgrind counts them
    #[arg(long)]
    instructions: bool,
    #[command(flatten)]
    gateways: gateways::Choice,
    /// Put the figures into docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.instructions {
        return instructions::run(options.write);
    }
    gateways::run(&options.gateways, options.write)
}
