//! The UDP socket: IPv6 only, as endpoints are, and many datagrams a system call in both directions.
//!
//! The kernel hands over what came together from one sender as one message (`UDP_GRO`), and takes a run of datagrams of
//! one length for one peer as one (`UDP_SEGMENT`). Neither is needed: without it there is a call for each datagram.

mod gso;
mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsFd;

use gotatun::packet::{Packet, PacketBufPool};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce, UdpGroSegment, UdpGsoSegment};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, SockRef, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::buffer::Datagram;
use crate::tunnels::Transmit;
use gso::Gso;
use message::{MESSAGES, Message, SegmentControl};

/// The largest UDP payload that fits IPv4 too; the kernel counts all datagrams of a run as one.
const LARGEST_RUN: usize = 65_507;

/// The most datagrams of a run: `UDP_MAX_SEGMENTS` of the first kernels that had it.
const MOST_IN_RUN: usize = 64;

/// The largest message with `UDP_GRO`.
const LARGEST_MESSAGE: usize = 65_536;

/// Absorbs bursts of half a second at 100 Mbit/s; wireguard-go measured the gain (its value, too).
const SOCKET_BUFFER_BYTES: usize = 7 << 20;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("UDP port {port} is in use; stop the program that uses it, or choose another port")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// The kernel has no IPv6, or it is switched off.
    #[error("this machine has no IPv6, which the servers are reached by; enable it")]
    NoIpv6,
    /// Anything else.
    #[error("cannot open UDP port {port}: {source}")]
    Other {
        /// The port asked for.
        port: u16,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A datagram from the network.
pub struct Received {
    /// Who sent it, or claims so.
    pub from: SocketAddrV6,
    /// What it holds.
    pub datagram: Datagram,
}

/// What became of datagrams to send.
#[derive(Debug)]
pub enum Sent {
    /// The kernel has them.
    Done,
    /// The socket's buffer is full: send them again when [`Socket::writable`].
    Busy,
    /// They are lost: no route, most often.
    Failed {
        /// Where they were to go.
        to: SocketAddrV6,
        /// How many.
        datagrams: usize,
        /// What the kernel said.
        error: io::Error,
    },
}

/// What the kernel does for many datagrams at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// It cuts runs of datagrams (`UDP_SEGMENT`).
    pub send: bool,
    /// It joins datagrams that came together (`UDP_GRO`).
    pub receive: bool,
}

/// The UDP socket that all tunnels share.
pub struct Socket {
    socket: UdpSocket,
    gso: Gso,
    joins: bool,
    pool: PacketBufPool<LARGEST_MESSAGE>,
    /// Buffers for the next call.
    fresh: Vec<Packet>,
    /// The buffers of the last one, which go back to the pool when no datagram of theirs is left.
    used: Vec<Packet>,
}

impl Socket {
    /// Binds to `port` on every IPv6 address; 0 takes any free one. Needs a tokio runtime.
    pub fn bind(port: u16) -> Result<Self, BindError> {
        let socket = open(port).map_err(|source| bind_error(port, source))?;
        Ok(Self {
            // A socket that knows the option takes 0, which changes nothing.
            gso: Gso::new(setsockopt(&socket, UdpGsoSegment, &0).is_ok()),
            joins: setsockopt(&socket, UdpGroSegment, &true).is_ok(),
            socket,
            pool: PacketBufPool::new(MESSAGES),
            fresh: Vec::with_capacity(MESSAGES),
            used: Vec::with_capacity(MESSAGES),
        })
    }

    /// The port it is bound to.
    pub fn local_port(&self) -> io::Result<u16> {
        self.socket.local_addr().map(|address| address.port())
    }

    /// What the kernel does, as far as it was found out.
    pub fn offload(&self) -> Offload {
        Offload { send: self.gso.is_possible(), receive: self.joins }
    }

    /// Waits for something to receive. Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits for room to send. Cancel safe.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Appends what has arrived to `batch`, without waiting, up to some hundred datagrams.
    ///
    /// Drop the datagrams of one batch before the next: they share buffers. Errors of single datagrams (such as ICMP
    /// errors for those sent before) are not errors of the socket and skipped.
    pub fn recv_batch(&mut self, batch: &mut Vec<Received>) {
        self.used.clear();
        while self.fresh.len() < MESSAGES {
            self.fresh.push(self.pool.get());
        }
        let Self { socket, fresh, .. } = self;
        let (mut messages, mut count) = ([None; MESSAGES], 0);
        let received = socket.try_io(Interest::READABLE, || {
            count = message::receive(socket.as_fd(), fresh, &mut messages)?;
            // Fewer than there is room for: nothing is left, which the next call would have to find out.
            if count < MESSAGES { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match received {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => tracing::trace!(%error, "receive"),
            Ok(()) | Err(_) => {}
        }
        for (buffer, message) in self.fresh.drain(..count).zip(messages) {
            self.used.extend(message.and_then(|message| split(buffer, &message, batch)));
        }
    }

    /// Sends the datagrams at the front of `queue` that can go together, without waiting. Unless [`Sent::Busy`], they
    /// are no longer in it.
    pub fn send(&mut self, queue: &mut VecDeque<Transmit>) -> Sent {
        loop {
            let Some(Transmit { to, datagram }) = queue.front() else { return Sent::Done };
            let (to, len) = (*to, datagram.bytes().len());
            let count = if self.gso.takes(to, len) { run(queue) } else { 1 };
            let error = match self.send_run(queue, to, len, count) {
                Ok(()) => {
                    queue.drain(..count);
                    return Sent::Done;
                }
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::WouldBlock {
                return Sent::Busy;
            }
            if count == 1 || !self.gso.refused(to, len, &error) {
                queue.drain(..count);
                return Sent::Failed { to, datagrams: count, error };
            }
        }
    }

    /// The first `count` datagrams of `queue`, each `len` bytes but the last, which may be shorter.
    fn send_run(&self, queue: &VecDeque<Transmit>, to: SocketAddrV6, len: usize, count: usize) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); MOST_IN_RUN];
        for (slice, transmit) in slices.iter_mut().zip(queue).take(count) {
            *slice = IoSlice::new(transmit.datagram.bytes());
        }
        let address = SockAddr::from(to);
        let header = MsgHdr::new().with_addr(&address).with_buffers(&slices[..count]);
        // Only runs are that short.
        let control = SegmentControl::new(len as u16);
        let header = if count > 1 { header.with_control(control.bytes()) } else { header };
        self.socket
            .try_io(Interest::WRITABLE, || SockRef::from(&self.socket).sendmsg(&header, libc::MSG_DONTWAIT))
            .map(|_| ())
    }
}

/// How many datagrams at the front of `queue` go to one peer and have one length, or end those that have.
fn run(queue: &VecDeque<Transmit>) -> usize {
    let Some(first) = queue.front() else { return 0 };
    let len = first.datagram.bytes().len();
    let most = MOST_IN_RUN.min(LARGEST_RUN / len.max(1)).max(1);
    let mut count = 0;
    for next in queue.iter().take(most) {
        let next_len = next.datagram.bytes().len();
        if next.to != first.to || next_len > len {
            break;
        }
        count += 1;
        if next_len < len {
            break;
        }
    }
    count
}

/// Cuts a message into its datagrams, which stay where they are; gives back what keeps their buffer.
fn split(mut buffer: Packet, message: &Message, batch: &mut Vec<Received>) -> Option<Packet> {
    let from = message.from?;
    let segment_len = message.segment_len.unwrap_or(message.len).max(1);
    let mut rest = buffer.buf_mut().split_to(message.len.min(LARGEST_MESSAGE));
    while !rest.is_empty() {
        let datagram = rest.split_to(segment_len.min(rest.len()));
        batch.push(Received { from, datagram: Datagram(Packet::from_bytes(datagram)) });
    }
    Some(buffer)
}

fn open(port: u16) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_nonblocking(true)?;
    enlarge_buffers(&socket);
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into())?;
    UdpSocket::from_std(socket.into())
}

/// Beyond the system's limit if we may (CAP_NET_ADMIN), else up to it; smaller buffers only cost throughput.
fn enlarge_buffers(socket: &socket2::Socket) {
    if setsockopt(socket, RcvBufForce, &SOCKET_BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)
    {
        tracing::debug!(%error, "receive buffer stays small");
    }
    if setsockopt(socket, SndBufForce, &SOCKET_BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)
    {
        tracing::debug!(%error, "send buffer stays small");
    }
}

fn bind_error(port: u16, source: io::Error) -> BindError {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => BindError::PortInUse { port },
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL) => BindError::NoIpv6,
        _ => BindError::Other { port, source },
    }
}
