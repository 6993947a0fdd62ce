//! `cargo xtask bench`: how fast it is, compared with others, and what a packet costs; `--write` puts the figures into
//! docs/benchmarks.md.

mod bars;
mod chart;
mod dns64;
mod document;
mod gateways;
mod micro;
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
    /// Memory and time that a million flows take instead
    #[arg(long)]
    tables: bool,
    /// The resolver beside Unbound and BIND instead
    #[arg(long)]
    dns64: bool,
    #[command(flatten)]
    gateways: gateways::Choice,
    /// Put the figures into docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.dns64 {
        return dns64::run(options.write);
    }
    let chosen = [(options.instructions, &micro::INSTRUCTIONS), (options.tables, &micro::TABLES)];
    let chosen: Vec<_> = chosen.into_iter().filter_map(|(is_chosen, bench)| is_chosen.then_some(bench)).collect();
    if chosen.is_empty() {
        return gateways::run(&options.gateways, options.write);
    }
    let mut all_met = true;
    for bench in chosen {
        all_met &= micro::run(bench, options.write)?;
    }
    Ok(if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
