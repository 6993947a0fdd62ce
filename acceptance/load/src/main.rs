//! `hetznat-load`: what the benchmarks put through a gateway. Every command prints one line of JSON when it ends, and
//! those that wait for others say `ready` first.
//!
//! It is made to be faster than what it measures; nothing of it is for production.

mod connections;
mod echo;
mod end;
mod udp;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

/// Datagrams, connections, echoes, and the far end of a tunnel
#[derive(Debug, Parser)]
#[command(name = "hetznat-load")]
enum Command {
    /// Send datagrams as fast as the machine can
    UdpSend {
        /// Where to
        to: SocketAddr,
        #[command(flatten)]
        options: udp::SendOptions,
    },
    /// Count datagrams until none come any more
    UdpCount {
        /// Where to listen
        listen: SocketAddr,
        /// Bytes of payload of each
        #[arg(long)]
        size: usize,
    },
    /// Send every datagram back
    Echo {
        /// Where to listen
        listen: SocketAddr,
    },
    /// Measure how long echoes take
    Ask {
        /// Who echoes
        to: SocketAddr,
        #[command(flatten)]
        options: echo::AskOptions,
    },
    /// Accept connections, answer one byte on each
    Accept {
        /// Where to listen
        listen: SocketAddr,
    },
    /// Open connections, ask one byte on each, reset them
    Connect {
        /// Who accepts
        to: SocketAddr,
        #[command(flatten)]
        options: connections::ConnectOptions,
    },
    /// The far end of a tunnel: a TUN interface and one peer
    End(end::Options),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::UdpSend { to, options } => say(udp::send(to, &options)?),
        Command::UdpCount { listen, size } => say(udp::count(listen, size)?),
        Command::Echo { listen } => echo::serve(listen),
        Command::Ask { to, options } => say(echo::ask(to, &options)?),
        Command::Accept { listen } => runtime()?.block_on(connections::accept(listen)),
        Command::Connect { to, options } => say(runtime()?.block_on(connections::connect(to, &options))?),
        Command::End(options) => runtime()?.block_on(end::run(&options)),
    }
}

/// One thread: what is measured gets the other core.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// A line on standard output, at once.
fn say(line: impl Display) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// A duration on the command line: seconds, with a fraction if need be.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
