//! Datagrams in trains (`UDP_SEGMENT`), and the counter at the other end (`recvmmsg`, UDP GRO).
//!
//! One `sendmmsg` hands the kernel several hundred datagrams. Whether a train stays whole on its way is decided by the
//! sender's device (`tx-udp-segmentation`), not here.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg, setsockopt};
use serde_json::{Value, json};

use crate::{say, seconds};

/// Bounded by the kernel's `UDP_MAX_SEGMENTS` of old.
const LONGEST_TRAIN: usize = 64;
/// The largest UDP payload over IPv4 and IPv6.
const LARGEST: usize = 65_487;
/// Trains of one `sendmmsg`.
const TRAINS: usize = 8;
/// At a rate, one train of this many at a time: queues of some hundred packets must not overflow from bursts alone.
const PACED_TRAIN: usize = 32;
/// How far behind its rate the sender may be and still catch up.
const LAG: Duration = Duration::from_millis(1);
/// Messages of one `recvmmsg`.
const MESSAGES: usize = 64;
/// Room for bursts at the counter, which must not be what loses them.
const SOCKET_BUFFER_BYTES: usize = 32 << 20;
/// Nothing more is coming after this.
const QUIET: Duration = Duration::from_millis(150);
/// The first datagram comes within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to send.
#[derive(Debug, clap::Args)]
pub(crate) struct SendOptions {
    /// Bytes of payload of each datagram
    #[arg(long)]
    size: usize,
    /// For how long
    #[arg(long = "secs", value_parser = seconds)]
    duration: Duration,
    /// Datagrams per second; 0 is as fast as the machine can
    #[arg(long, default_value_t = 0)]
    rate: u64,
}

/// Sends until the time is over; `sent` is in datagrams.
pub(crate) fn send(to: SocketAddr, options: &SendOptions) -> Result<Value> {
    ensure!((1..=LARGEST).contains(&options.size), "a datagram has 1 to {LARGEST} bytes");
    let socket = UdpSocket::bind(unspecified(to)).context("UDP socket")?;
    socket.connect(to).with_context(|| format!("{to} cannot be reached"))?;
    let _ = setsockopt(&socket, SndBufForce, &SOCKET_BUFFER_BYTES);
    setsockopt(&socket, UdpGsoSegment, &i32::try_from(options.size)?).context("this kernel has no UDP_SEGMENT")?;

    let (longest, trains) = if options.rate > 0 { (PACED_TRAIN, 1) } else { (LONGEST_TRAIN, TRAINS) };
    let train = longest.min(LARGEST / options.size);
    let payload = vec![0x5a; train * options.size];
    let pace = (options.rate > 0).then(|| Duration::from_secs_f64(train as f64 / options.rate as f64));
    let start = Instant::now();
    let (mut now, mut due) = (start, start);
    let (mut sent, mut refused) = (0_u64, 0_u64);
    while now - start < options.duration {
        match send_trains(&socket, &payload, trains) {
            Ok(handed_over) => sent += (handed_over * train) as u64,
            // The device's queue is full, or an ICMP error came for what was sent before.
            Err(Errno::ENOBUFS | Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH) => refused += 1,
            Err(errno) => return Err(errno).context("sendmmsg"),
        }
        now = Instant::now();
        if let Some(pace) = pace {
            // Who was kept from sending does not catch up in one burst.
            due = (due + pace).max(now - LAG);
            std::thread::sleep(due.saturating_duration_since(now));
        }
    }
    Ok(json!({ "sent": sent, "refused": refused, "secs": (now - start).as_secs_f64() }))
}

fn send_trains(socket: &UdpSocket, payload: &[u8], trains: usize) -> nix::Result<usize> {
    let slices = [[IoSlice::new(payload)]; TRAINS];
    let mut headers = MultiHeaders::<()>::preallocate(trains, None);
    Ok(sendmmsg(socket.as_raw_fd(), &mut headers, &slices, [None; TRAINS], [], MsgFlags::empty())?.count())
}

/// Counts datagrams of `size` bytes until it has been quiet for a while; `secs` is from the first to the last.
pub(crate) fn count(listen: SocketAddr, size: usize) -> Result<Value> {
    let socket = UdpSocket::bind(listen).with_context(|| listen.to_string())?;
    say("ready")?;
    count_on(&socket, size)
}

fn count_on(socket: &UdpSocket, size: usize) -> Result<Value> {
    ensure!(size > 0, "a datagram has at least one byte");
    // Only root may have it this large.
    let _ = setsockopt(socket, RcvBufForce, &SOCKET_BUFFER_BYTES);
    setsockopt(socket, UdpGroSegment, &true).context("this kernel has no UDP GRO")?;
    socket.set_read_timeout(Some(QUIET))?;

    let mut buffers = vec![0; MESSAGES * (LARGEST + 1)];
    let (opened, mut times, mut received) = (Instant::now(), None, 0_u64);
    loop {
        match receive(socket, &mut buffers, size) {
            Ok(datagrams) => {
                let now = Instant::now();
                let (first, _) = times.unwrap_or((now, now));
                times = Some((first, now));
                received += datagrams;
            }
            Err(Errno::EAGAIN) if times.is_some() || opened.elapsed() > PATIENCE => break,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(io::Error::from(errno)).context("recvmmsg"),
        }
    }
    let secs = times.map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    Ok(json!({ "received": received, "secs": secs }))
}

fn receive(socket: &UdpSocket, buffers: &mut [u8], size: usize) -> nix::Result<u64> {
    let mut slices: Vec<_> = buffers.chunks_exact_mut(LARGEST + 1).map(|chunk| [IoSliceMut::new(chunk)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(MESSAGES, None);
    let messages = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None)?;
    Ok(messages.map(|message| message.bytes.div_ceil(size) as u64).sum())
}

/// Any address of the same family.
pub(crate) fn unspecified(beside: SocketAddr) -> SocketAddr {
    match beside {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn check(listen: &str, size: usize) {
        let socket = UdpSocket::bind(listen).unwrap();
        let to = socket.local_addr().unwrap();
        let counter = thread::spawn(move || count_on(&socket, size).unwrap());

        let sent = send(to, &SendOptions { size, duration: Duration::from_millis(50), rate: 100_000 }).unwrap();

        let (sent, counted) = (sent["sent"].as_u64().unwrap(), counter.join().unwrap());
        let received = counted["received"].as_u64().unwrap();
        assert!((500..=sent).contains(&received), "{received} of {sent} to {to}");
    }

    #[test]
    fn every_datagram_of_a_train_counts_as_one() {
        check("127.0.0.1:0", 64);
        check("[::1]:0", 1400);
    }
}
