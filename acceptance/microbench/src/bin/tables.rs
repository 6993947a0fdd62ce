//! `bench-tables`: what a million flows cost, as a Markdown table; fails where a bar is missed.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use microbench::tables::{BYTES_PER_FLOW, Figures, STALL, measure};

fn main() -> ExitCode {
    report().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn report() -> Result<ExitCode> {
    let Figures { bytes_per_flow, longest_insertion, longest_expiry, hit_of_few, hit_of_many } = measure()?;
    let ratio = hit_of_many.as_secs_f64() / hit_of_few.as_secs_f64();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "| 1,000,000 flows | measured | bar |\n|---|---|---|")?;
    writeln!(stdout, "| resident memory per flow | {bytes_per_flow} bytes | ≤ {BYTES_PER_FLOW} bytes |")?;
    writeln!(stdout, "| longest insertion | {longest_insertion:?} | ≤ {STALL:?} |")?;
    writeln!(stdout, "| longest portion of expiry | {longest_expiry:?} | ≤ {STALL:?} |")?;
    writeln!(stdout, "| packet of one of 1,000 flows | {hit_of_few:?} | |")?;
    writeln!(stdout, "| packet of one of 1,000,000 flows | {hit_of_many:?} ({ratio:.2} times) | |")?;
    let is_met = bytes_per_flow <= BYTES_PER_FLOW && longest_insertion <= STALL && longest_expiry <= STALL;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
