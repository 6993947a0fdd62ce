//! `bench-instructions`: what one packet costs, in instructions, as a Markdown table; fails where a bar is missed.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use microbench::callgrind::{self, Count, UNDER_CALLGRIND};

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some(UNDER_CALLGRIND) => do_cases(),
        _ => report(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn do_cases() -> Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    for units in callgrind::do_cases() {
        writeln!(stdout, "{units}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report() -> Result<ExitCode> {
    let counts = callgrind::count(&std::env::current_exe()?)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "| case | instructions | per | bar |\n|---|---|---|---|")?;
    for Count { case, instructions } in &counts {
        let bar = case.bar.map_or_else(String::new, |bar| format!("≤ {bar}"));
        writeln!(stdout, "| {} | {instructions} | {} | {bar} |", case.name, case.per)?;
    }
    Ok(if counts.iter().any(Count::is_over) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
