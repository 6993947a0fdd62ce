//! Gateways against each other: everybody has a turn at every case, round by round, so that what else the machine does
//! meets all alike.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use lab::bench::{Case, Contender, Figures, Gateway, Hosts, Load, Way, measure};
use lab::packages::Purpose;

use super::results::Results;
use super::{programs, report, table};

#[derive(Debug, clap::Args)]
pub(super) struct Choice {
    /// One round of one second each: under two minutes, and good for a first look only
    #[arg(long)]
    quick: bool,
    /// How often everybody has a turn
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Only these cases, and those whose names begin with one of these words: tcp, tcp-1-reverse, tunnel-udp
    #[arg(long, value_name = "CASE", num_args = 1..)]
    only: Vec<String>,
    /// How TCP on client and server finds its speed; Linux comes with cubic
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    congestion_control: String,
}

/// How often, for how long, and by which TCP.
pub(super) struct Effort {
    pub(super) rounds: u32,
    pub(super) seconds: u32,
    pub(super) congestion_control: String,
}

impl Effort {
    fn of(options: &Choice) -> Self {
        let (rounds, seconds) = if options.quick { (1, 1) } else { (5, 3) };
        let congestion_control = options.congestion_control.clone();
        Self { rounds: options.rounds.unwrap_or(rounds).max(1), seconds, congestion_control }
    }
}

pub(super) fn run(options: &Choice, write: bool) -> Result<ExitCode> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the benchmarks make network namespaces, which needs root; run it again as root"
    );
    lab::packages::install(Purpose::Bench, |line| eprintln!("{line}"))?;
    let cases = chosen(&options.only)?;
    let effort = Effort::of(options);
    let hosts = Hosts::start(programs::ready()?, &effort.congestion_control)?;

    let (start, mut results) = (Instant::now(), Results::default());
    for round in 1..=effort.rounds {
        eprintln!("round {round} of {}, {} s", effort.rounds, start.elapsed().as_secs());
        for case in &cases {
            one_round(&hosts, *case, round, effort.seconds, &mut results);
        }
    }
    drop(hosts);
    let tables = [table::figures(Way::Plain, &cases, &results), table::figures(Way::Tunnel, &cases, &results)];
    let promises = table::promises(&results);
    for table in tables.into_iter().chain([promises]).flatten() {
        write!(io::stdout().lock(), "{table}")?;
    }
    if write {
        report::write(&cases, &results, &effort)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A turn that goes wrong is told and left out: the others were not for nothing.
fn one_round(hosts: &Hosts, case: Case, round: u32, seconds: u32, results: &mut Results) {
    for &contender in case.contenders() {
        match turn(hosts, case, contender, seconds) {
            Ok(figures) => results.add(round, case, contender, figures),
            Err(error) => eprintln!("{case}, {contender}: {error:#}"),
        }
    }
}

fn turn(hosts: &Hosts, case: Case, contender: Contender, seconds: u32) -> Result<Figures> {
    let clients = if case.load == Load::Memory { 8 } else { 1 };
    let gateway = Gateway::start(hosts, contender, clients)?;
    measure(&gateway, case.load, seconds)
}

/// The cases of these names, or all.
fn chosen(only: &[String]) -> Result<Vec<Case>> {
    let is_meant = |case: &Case, word: &str| {
        let name = case.to_string();
        name == word || name.strip_prefix(word).is_some_and(|rest| rest.starts_with('-'))
    };
    let mut cases: Vec<_> = Case::all().collect();
    for word in only {
        let names: Vec<_> = cases.iter().map(Case::to_string).collect();
        let known = cases.iter().any(|case| is_meant(case, word));
        ensure!(known, "there is no case {word}; there are {}", names.join(", "));
    }
    cases.retain(|case| only.is_empty() || only.iter().any(|word| is_meant(case, word)));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Vec<String> {
        let only: Vec<_> = only.iter().map(|word| (*word).to_owned()).collect();
        chosen(&only).unwrap().iter().map(Case::to_string).collect()
    }

    #[test]
    fn a_word_means_a_case_or_all_that_begin_with_it() {
        assert_eq!(names(&["tcp-1", "udp-64"]), ["tcp-1", "tcp-1-reverse", "udp-64", "udp-64-trains"]);
        assert_eq!(names(&["tunnel-latency"]), ["tunnel-latency"]);
        assert_eq!(names(&[]).len(), Case::all().count());
    }

    #[test]
    fn a_case_that_does_not_exist_is_answered_with_those_that_do() {
        let error = chosen(&["tcp-9".to_owned()]).unwrap_err().to_string();

        assert!(error.starts_with("there is no case tcp-9; there are tcp-1, "), "{error}");
    }
}
