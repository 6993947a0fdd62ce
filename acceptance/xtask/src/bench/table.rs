//! The figures as a person reads them in a terminal.

use std::io::{self, Write as _};

use anyhow::Result;
use lab::bench::{Case, Quantity};

use super::results::{Results, Summary};

/// How a quantity is called, its unit, and how many digits after the point mean something.
pub(super) fn name(quantity: Quantity) -> (&'static str, &'static str, usize) {
    match quantity {
        Quantity::Throughput => ("throughput", "Gbit/s", 2),
        Quantity::CpuPerGigabyte => ("CPU time of the gateway", "s/GB", 2),
        Quantity::Datagrams => ("datagrams that arrived", "1/s", 0),
        Quantity::Offered => ("datagrams that were sent", "1/s", 0),
        Quantity::Connections => ("connections", "1/s", 0),
        Quantity::Failed => ("connections that failed", "1/s", 1),
        Quantity::IdleMedian => ("echo, median", "µs", 0),
        Quantity::IdleTail => ("echo, 99 %", "µs", 0),
        Quantity::LoadedMedian => ("echo beside a flow, median", "µs", 0),
        Quantity::LoadedTail => ("echo beside a flow, 99 %", "µs", 0),
        Quantity::Resident => ("memory resident at most", "MiB", 1),
    }
}

/// A median with its spread: `9.81 (9.02 to 10.3)`.
pub(super) fn spread(summary: Summary, digits: usize) -> String {
    let Summary { median, least, most } = summary;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

pub(super) fn print(cases: &[Case], results: &Results) -> Result<()> {
    let mut stdout = io::stdout().lock();
    for &case in cases {
        writeln!(stdout, "\n{case}")?;
        for quantity in results.quantities(case) {
            let (what, unit, digits) = name(quantity);
            for &contender in case.contenders() {
                if let Some(summary) = results.summary(case, contender, quantity) {
                    writeln!(stdout, "  {what:<28} {contender:<20} {} {unit}", spread(summary, digits))?;
                }
            }
        }
    }
    Ok(())
}
