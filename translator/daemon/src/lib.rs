//! `hetznat-translator`: the gateway at home. It dials IPv6-only servers with WireGuard, and translates between their IPv6
//! and the IPv4 internet.

mod ask;
mod check;
mod cli;
mod control;
mod datapath;
mod details;
mod discovery;
mod dns64;
mod document_status;
mod egress;
mod error;
mod keys;
mod last_good;
mod logging;
mod mapping;
mod network;
mod page;
mod pools;
mod private_file;
mod report;
mod run;
mod service;
mod settings;
mod signals;
mod source;
mod standalone;
mod systemd;
mod tables;
#[cfg(test)]
mod testing;
mod tls;
mod watch;

use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

pub use crate::standalone::ControlBench;

use crate::cli::{Command, LogFormat, Parsed};
use crate::error::{Error, Reason};

/// Does what the command line says; the exit code says how it went.
pub fn main() -> ExitCode {
    // A panic has unwound by then, and every guard has cleaned up.
    let outcome = catch_unwind(AssertUnwindSafe(command))
        .unwrap_or_else(|_panic| Err(Error::Internal("the translator panicked".to_owned())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {}", error.line());
            error.exit().into()
        }
    }
}

fn command() -> Result<(), Error> {
    match cli::parse(std::env::args_os().collect())? {
        Parsed::Text(text) => print(&text),
        Parsed::Command(Command::Run(args)) => serve(args.log_format, run::run(*args)),
        Parsed::Command(Command::Dns64(args)) if args.check => print(&dns64::check(&args)?),
        Parsed::Command(Command::Dns64(args)) => serve(args.log_format, dns64::run(args)),
        Parsed::Command(Command::Nat64(args)) => serve(args.log_format, standalone::run(*args)),
        Parsed::Command(Command::Keygen { out: Some(path) }) => print(&format!("{}\n", keys::generate_file(&path)?)),
        Parsed::Command(Command::Keygen { out: None }) => print(&keys::line(&keys::generate()?)),
        Parsed::Command(Command::Pubkey { file }) => {
            let key = file.map_or_else(keys::read_stdin, |path| keys::read_file(&path))?;
            print(&format!("{}\n", key.public_key()))
        }
        Parsed::Command(Command::Check { state, gateway }) => print(&check::check(&state, gateway.as_ref())?),
        Parsed::Command(Command::Status { control, json }) => print(&ask::status(&control.socket, json)?),
        Parsed::Command(Command::Bib { control, command }) => print(&ask::bib(&control.socket, command)?),
        Parsed::Command(Command::Sessions { control, command }) => print(&ask::sessions(&control.socket, command)?),
        Parsed::Command(Command::Config { control, command }) => print(&ask::config(&control.socket, command)?),
    }
}

fn serve(log_format: LogFormat, service: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    logging::start(log_format)?;
    // One thread that moves packets, and one that answers meanwhile; more would only cost a Pi memory. Who moves packets
    // on more brings threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::Internal(format!("no runtime: {}", Reason(&source))))?;
    let outcome = runtime.block_on(service);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn print(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // `status | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.map_err(Error::Output),
    }
}
