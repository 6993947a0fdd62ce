//! The figures as Markdown tables, which a person can read in a terminal too.

use std::fmt::{self, Write as _};

use lab::bench::{Case, Contender, Direction, Load, Quantity, Train, Way};

use super::bars::{self, Bar, Bound, Measure};
use super::results::{Results, Summary};

/// Cells, padded to equal width.
struct Table {
    rows: Vec<Vec<String>>,
}

/// One line per figure, one column per contender; `None` if nothing of this way was measured.
pub(super) fn figures(way: Way, cases: &[Case], results: &Results) -> Option<String> {
    let cases: Vec<_> = cases.iter().copied().filter(|case| case.way == way).collect();
    let mut contenders: Vec<Contender> = cases.iter().flat_map(|case| case.contenders()).copied().collect();
    contenders.sort_unstable();
    contenders.dedup();
    let mut table = Table { rows: vec![["load", "figure", "unit"].map(str::to_owned).into()] };
    table.rows[0].extend(contenders.iter().map(Contender::to_string));
    for case in cases {
        for quantity in results.quantities(case) {
            let (name, unit, digits) = words(quantity);
            let cell =
                |contender| results.summary(case, contender, quantity).map_or_else(String::new, |s| spread(s, digits));
            let mut row = vec![load(case.load), name.to_owned(), unit.to_owned()];
            row.extend(contenders.iter().map(|contender| cell(*contender)));
            table.rows.push(row);
        }
    }
    (table.rows.len() > 1).then(|| table.to_string())
}

/// What was promised and whether it holds; `None` if nothing of it was measured.
pub(super) fn promises(results: &Results) -> Option<String> {
    let mut table = Table { rows: vec![["promise", "bar", "measured", ""].map(str::to_owned).into()] };
    for bar in bars::all() {
        let Some(measured) = bar.measured(results) else { continue };
        let verdict = if bar.bound.holds(measured.median) { "met" } else { "**missed**" };
        let digits = match bar.measure {
            Measure::Ratio(_) => 2,
            Measure::More(_) | Measure::Itself => words(bar.quantity).2,
        };
        table.rows.push(vec![promise(&bar), bound(bar.bound), spread(measured, digits), verdict.to_owned()]);
    }
    (table.rows.len() > 1).then(|| table.to_string())
}

fn promise(bar: &Bar) -> String {
    let way = if bar.case.way == Way::Tunnel { "through WireGuard, " } else { "" };
    let (load, (name, unit, _)) = (load(bar.case.load), words(bar.quantity));
    match bar.measure {
        Measure::Ratio(theirs) => format!("{way}{load}: {name} / {theirs}"),
        Measure::More(theirs) => format!("{way}{load}: {name}, {unit} more than {theirs}"),
        Measure::Itself => format!("{way}{load}: {name}, {unit}"),
    }
}

fn bound(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(least) => format!("≥ {least}"),
        Bound::AtMost(most) => format!("≤ {most}"),
    }
}

/// What is put through a gateway, in words.
pub(super) fn load(load: Load) -> String {
    match load {
        Load::Tcp { flows, direction } => {
            let flows = if flows == 1 { "1 TCP flow".to_owned() } else { format!("{flows} TCP flows") };
            let direction = if direction == Direction::Forward { "up" } else { "down" };
            format!("{flows} {direction}")
        }
        Load::Udp { size, train: Train::Cut } => format!("UDP, {size} bytes"),
        Load::Udp { size, train: Train::Whole } => format!("UDP, {size} bytes, in trains"),
        Load::Connections => "new TCP connections".to_owned(),
        Load::Latency => "UDP echo, 64 bytes".to_owned(),
        Load::Memory => "8 clients, 1 TCP flow each".to_owned(),
    }
}

/// How a quantity is called, its unit, and how many digits after the point mean something.
pub(super) fn words(quantity: Quantity) -> (&'static str, &'static str, usize) {
    match quantity {
        Quantity::Throughput => ("throughput", "Gbit/s", 2),
        Quantity::CpuPerGigabyte => ("CPU time of the gateway", "s/GB", 2),
        Quantity::Datagrams => ("arrived", "1000/s", 1),
        Quantity::Offered => ("sent", "1000/s", 1),
        Quantity::Connections => ("made", "1/s", 0),
        Quantity::Failed => ("failed", "1/s", 1),
        Quantity::IdleMedian => ("median", "µs", 0),
        Quantity::IdleTail => ("99 %", "µs", 0),
        Quantity::LoadedMedian => ("median beside a TCP flow", "µs", 0),
        Quantity::LoadedTail => ("99 % beside a TCP flow", "µs", 0),
        Quantity::Resident => ("memory at most", "MiB", 1),
    }
}

/// A median with its spread: `9.81 (9.02–10.30)`.
fn spread(summary: Summary, digits: usize) -> String {
    let Summary { median, least, most } = summary;
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                write!(formatter, "| {cell:<width$} ")?;
            }
            formatter.write_str("|\n")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(formatter, "|{:-<1$}", "", width + 2))?;
                formatter.write_str("|\n")?;
            }
        }
        formatter.write_char('\n')
    }
}
