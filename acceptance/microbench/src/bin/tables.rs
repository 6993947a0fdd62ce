//! `bench-tables`: what a million flows cost, as a Markdown table; fails where a bar is missed.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use microbench::tables::{AMONG, BYTES_PER_FLOW, Figures, STALL, measure};

fn main() -> ExitCode {
    report().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn report() -> Result<ExitCode> {
    let Figures { bytes_per_flow, longest_insertion, longest_expiry, hits, memory_latency } = measure()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "| 1,000,000 flows | measured | bar |\n|---|---|---|")?;
    writeln!(stdout, "| resident memory per flow | {bytes_per_flow} bytes | ≤ {BYTES_PER_FLOW} bytes |")?;
    writeln!(stdout, "| longest insertion | {longest_insertion:?} | ≤ {STALL:?} |")?;
    writeln!(stdout, "| longest portion of expiry | {longest_expiry:?} | ≤ {STALL:?} |")?;
    writeln!(stdout, "| load from memory that depends on the one before | {memory_latency:?} | |")?;
    let ratio = |hit: Duration| hit.as_secs_f64() / hits[0].as_secs_f64();
    for (flows, hit) in AMONG.iter().zip(hits) {
        writeln!(stdout, "| packet of one of {flows} flows | {hit:?} ({:.2} times) | |", ratio(hit))?;
    }
    let is_met = bytes_per_flow <= BYTES_PER_FLOW && longest_insertion <= STALL && longest_expiry <= STALL;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
