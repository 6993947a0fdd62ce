//! `cargo xtask demo | test | bench | tidy`: what a person or the CI runs in this repository.

mod bench;
mod cargo;
mod demo;
mod fuzz;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "See it work, test it, keep it tidy")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show the whole at work in network namespaces: terraform, tunnel, curl, ping, status
    Demo(demo::Options),
    /// Run every test, the end-to-end ones included
    Test(test::Options),
    /// Measure it against others, or what a packet costs
    Bench(bench::Options),
    /// Look for inputs that break something, with cargo-fuzz and a nightly toolchain
    Fuzz(fuzz::Options),
    /// Check what the compiler and clippy do not: layers, sizes, headers, scripts, words
    Tidy,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<ExitCode> {
    match task {
        Task::Demo(options) => demo::run(options),
        Task::Test(options) => test::run(options),
        Task::Bench(options) => bench::run(options),
        Task::Fuzz(options) => fuzz::run(options),
        Task::Tidy => tidy::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_two_options_of_a_task_have_one_name() {
        Arguments::command().debug_assert();
    }
}
