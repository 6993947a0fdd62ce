//! Echoes, and how long they take.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::udp::unspecified;
use crate::{say, seconds};

/// Bytes of payload.
const SIZE: usize = 64;
/// An echo that takes longer is lost.
const LATE: Duration = Duration::from_millis(500);
/// Caches, neighbours and tables are filled by these.
const WARM_UP: usize = 20;

/// How to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct AskOptions {
    /// For how long
    #[arg(long = "secs", value_parser = seconds)]
    duration: Duration,
    /// Microseconds from an echo to the next question: everybody has gone to sleep by then
    #[arg(long, default_value_t = 500)]
    pause_us: u64,
}

/// Sends every datagram back, for ever.
pub(crate) fn serve(listen: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(listen).with_context(|| listen.to_string())?;
    say("ready")?;
    let mut buffer = [0; 2048];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).context("receive")?;
        // Who asked may be gone, which is no reason to stop.
        let _ = socket.send_to(&buffer[..len], from);
    }
}

/// Asks one after the other; times in microseconds.
pub(crate) fn ask(to: SocketAddr, options: &AskOptions) -> Result<Value> {
    let socket = UdpSocket::bind(unspecified(to)).context("UDP socket")?;
    socket.connect(to).with_context(|| format!("{to} cannot be reached"))?;
    socket.set_read_timeout(Some(LATE))?;
    for number in 0..WARM_UP {
        round_trip(&socket, number as u64)?;
    }
    let (start, mut times, mut lost) = (Instant::now(), Vec::new(), 0_u64);
    while start.elapsed() < options.duration {
        let number = (WARM_UP + times.len()) as u64 + lost;
        match round_trip(&socket, number)? {
            Some(time) => times.push(time),
            None => lost += 1,
        }
        thread::sleep(Duration::from_micros(options.pause_us));
    }
    ensure!(!times.is_empty(), "no echo came back from {to}");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Ok(json!({ "median_us": at(0.5), "p99_us": at(0.99), "echoes": times.len(), "lost": lost }))
}

/// How long the echo of datagram `number` took; `None` if it did not come in time.
fn round_trip(socket: &UdpSocket, number: u64) -> Result<Option<Duration>> {
    let mut datagram = [0; SIZE];
    datagram[..8].copy_from_slice(&number.to_be_bytes());
    let start = Instant::now();
    if socket.send(&datagram).is_err() {
        return Ok(None);
    }
    let mut buffer = [0; SIZE];
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) if buffer == datagram => return Ok(Some(start.elapsed())),
            // The echo of one that was given up.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("receive"),
        }
    }
}
