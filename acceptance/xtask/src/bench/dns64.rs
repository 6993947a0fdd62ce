//! `cargo xtask bench --dns64`: the resolver beside Debian's Unbound and BIND, one core each, by acceptance/dns64/bench.py.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::binaries::TRANSLATOR;
use lab::packages::Purpose;
use serde_json::Value;

use super::document::write_section;
use crate::cargo::{cargo, root, status};

const ROUNDS: usize = 3;
const SECONDS: &str = "5";
const SERVERS: [&str; 3] = ["unbound", "bind", "generic"];
const LOADS: &str = "synth,real,a,ptr,mix,uncached,names";

const EXPLANATION: &str = "\
Measured by `cargo xtask bench --dns64`: a release build, Debian's Unbound and BIND, one core for the server and another for dnsperf and the upstream
(Unbound with redirect zones); the servers in turn, the median of the rounds. \"CPU\" is the server's own time per query, all threads. \"names\" asks
for 100,000 names once, and the memory after that is the process's resident set.";

/// Of one server and load: queries per second, CPU in µs per query, lost, MiB.
type Point = [f64; 4];

pub(super) fn run(write: bool) -> Result<ExitCode> {
    lab::packages::install(Purpose::Dns64, |line| eprintln!("{line}"))?;
    let built = status(cargo(&["build", "--quiet", "--release", "--package", TRANSLATOR]))?;
    ensure!(built.success(), "{TRANSLATOR} could not be built");
    let mut points: BTreeMap<(String, String), Vec<Point>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for server in SERVERS {
            for (load, point) in measure(server)? {
                points.entry((load, server.to_owned())).or_default().push(point);
            }
        }
    }
    let medians = points.into_iter().map(|(key, points)| (key, median(&points))).collect();
    let (table, holds) = report(&medians)?;
    eprintln!("{table}");
    if write {
        write_section("DNS64", &format!("{EXPLANATION}\n\n{table}"))?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(server: &str) -> Result<Vec<(String, Point)>> {
    let translator = root().join("target/release").join(TRANSLATOR);
    let command = format!("{} dns64 --config {{config}}", translator.display());
    let output = Command::new("/usr/bin/python3")
        .arg(root().join("acceptance/dns64/bench.py"))
        .args(["--json", "--server", server, "--cmd", &command, "--load", LOADS, "--seconds", SECONDS])
        .stderr(Stdio::inherit())
        .output()
        .context("python3")?;
    ensure!(output.status.success(), "bench.py --server {server} failed");
    let points: Vec<Value> = serde_json::from_slice(&output.stdout).context("bench.py")?;
    let number = |point: &Value, key: &str| point[key].as_f64().with_context(|| format!("{key} in {point}"));
    points
        .iter()
        .map(|point| {
            let load = point["load"].as_str().context("load")?.to_owned();
            let keys = ["qps", "cpu_us", "lost", "rss_mib"].map(|key| number(point, key));
            let [qps, cpu, lost, rss] = keys;
            Ok((load, [qps?, cpu?, lost?, rss?]))
        })
        .collect()
}

fn median(points: &[Point]) -> Point {
    std::array::from_fn(|index| {
        let mut values: Vec<f64> = points.iter().map(|point| point[index]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// The table, and whether every bar holds.
fn report(medians: &BTreeMap<(String, String), Point>) -> Result<(String, bool)> {
    let mut text = "| load | server | queries/s | CPU µs/query | lost | MiB |\n|---|---|---|---|---|---|\n".to_owned();
    for ((load, server), [qps, cpu, lost, rss]) in medians {
        let server = if server == "generic" { "hetznat" } else { server };
        writeln!(text, "| {load} | {server} | {qps:.0} | {cpu:.1} | {lost:.0} | {rss:.0} |")?;
    }
    let of = |load: &str, server: &str| {
        medians.get(&(load.to_owned(), server.to_owned())).with_context(|| format!("{load} of {server}"))
    };
    let [ours, bind, unbound] = [of("synth", "generic")?, of("synth", "bind")?, of("synth", "unbound")?];
    let [new, new_of_bind, names] = [of("uncached", "generic")?, of("uncached", "bind")?, of("names", "generic")?];
    let lost: f64 = medians.iter().filter(|((_, server), _)| server == "generic").map(|(_, point)| point[2]).sum();
    let bars = [
        ("cached synthesis: queries/s of BIND", ours[0] / bind[0], ours[0] >= bind[0]),
        ("cached synthesis: CPU of Unbound, at most 1.3", ours[1] / unbound[1], ours[1] <= 1.3 * unbound[1]),
        (
            "uncached synthesis: queries/s of BIND, at least 1.5",
            new[0] / new_of_bind[0],
            new[0] >= 1.5 * new_of_bind[0],
        ),
        ("MiB with 100,000 names, below 64", names[3], names[3] < 64.0),
        ("questions lost", lost, lost == 0.0),
    ];
    text.push_str("\n| bar | is | holds |\n|---|---|---|\n");
    for (bar, is, holds) in bars {
        writeln!(text, "| {bar} | {is:.2} | {} |", if holds { "yes" } else { "no" })?;
    }
    Ok((text, bars.iter().all(|(_, _, holds)| *holds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medians(ours: Point) -> BTreeMap<(String, String), Point> {
        let of = |load: &str, server: &str, point| ((load.to_owned(), server.to_owned()), point);
        [
            of("synth", "generic", ours),
            of("synth", "bind", [100.0, 10.0, 0.0, 30.0]),
            of("synth", "unbound", [130.0, 7.0, 0.0, 30.0]),
            of("uncached", "generic", [150.0, 40.0, 0.0, 30.0]),
            of("uncached", "bind", [100.0, 170.0, 0.0, 30.0]),
            of("names", "generic", [150.0, 40.0, 0.0, 63.0]),
        ]
        .into()
    }

    #[test]
    fn every_bar_must_hold() {
        assert!(report(&medians([100.0, 9.1, 0.0, 20.0])).unwrap().1);
        assert!(!report(&medians([99.0, 9.1, 0.0, 20.0])).unwrap().1);
        assert!(!report(&medians([100.0, 9.2, 0.0, 20.0])).unwrap().1);
        assert!(!report(&medians([100.0, 9.1, 1.0, 20.0])).unwrap().1);
    }

    #[test]
    fn the_median_is_of_each_figure_by_itself() {
        assert_eq!(median(&[[1.0, 9.0, 0.0, 3.0], [2.0, 8.0, 0.0, 2.0], [3.0, 7.0, 0.0, 1.0]]), [2.0, 8.0, 0.0, 2.0]);
    }
}
