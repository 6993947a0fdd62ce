//! The UDP socket: IPv6 only, as endpoints are, and batches in both directions.
//!
//! One system call per datagram for now; the callers see batches already, so that `recvmmsg`, UDP GRO and
//! `UDP_SEGMENT` change nothing but this file.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use socket2::{Domain, Protocol, Type};
use tokio::net::UdpSocket;

use crate::buffer::{Datagram, Pool};
use crate::tunnels::Transmit;

/// The most datagrams of one batch: the other directions get their turn after it.
const BATCH: usize = 64;

/// The largest UDP payload.
const LARGEST_DATAGRAM: usize = 65_535;

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

/// What became of a datagram to send.
#[derive(Debug)]
pub enum Sent {
    /// The kernel has it.
    Done,
    /// The socket's buffer is full: send it again when [`Socket::writable`].
    Busy,
    /// It is lost: no route, most often.
    Failed(io::Error),
}

/// The UDP socket that all tunnels share.
pub struct Socket {
    socket: UdpSocket,
    scratch: Box<[u8]>,
}

impl Socket {
    /// Binds to `port` on every IPv6 address; 0 takes any free one. Needs a tokio runtime.
    pub fn bind(port: u16) -> Result<Self, BindError> {
        let socket = open(port).map_err(|source| bind_error(port, source))?;
        Ok(Self { socket, scratch: vec![0; LARGEST_DATAGRAM].into() })
    }

    /// The port it is bound to.
    pub fn local_port(&self) -> io::Result<u16> {
        self.socket.local_addr().map(|address| address.port())
    }

    /// Waits for something to receive. Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits for room to send. Cancel safe.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Appends what has arrived to `batch`, without waiting, up to one batch.
    ///
    /// Errors of single datagrams (such as ICMP errors for those sent before) are not errors of the socket and skipped.
    pub fn recv_batch(&mut self, pool: &Pool, batch: &mut Vec<Received>) {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut self.scratch) {
                Ok((len, SocketAddr::V6(from))) => {
                    batch.push(Received { from, datagram: pool.copy_of(&self.scratch[..len]) });
                }
                // Cannot happen on a socket that is IPv6 only.
                Ok((_, SocketAddr::V4(_))) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::trace!(%error, "receive"),
            }
        }
    }

    /// Sends one datagram, without waiting.
    pub fn send(&self, transmit: &Transmit) -> Sent {
        match self.socket.try_send_to(transmit.datagram.bytes(), SocketAddr::V6(transmit.to)) {
            Ok(_) => Sent::Done,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Busy,
            Err(error) => Sent::Failed(error),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket as StdSocket;

    #[tokio::test]
    async fn a_busy_port_is_named() {
        let taken = Socket::bind(0).unwrap().local_port();
        let holder = StdSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();

        let error = Socket::bind(port).err().unwrap();

        assert!(taken.is_ok());
        assert_eq!(
            error.to_string(),
            format!("UDP port {port} is in use; stop the program that uses it, or choose another port")
        );
    }

    #[tokio::test]
    async fn a_datagram_arrives_whole_with_its_sender() {
        let pool = Pool::new();
        let (left, mut right) = (Socket::bind(0).unwrap(), Socket::bind(0).unwrap());
        let to = SocketAddrV6::new(Ipv6Addr::LOCALHOST, right.local_port().unwrap(), 0, 0);
        left.writable().await.unwrap();
        let sent = left.send(&Transmit { to, datagram: pool.copy_of(b"hello") });
        assert!(matches!(sent, Sent::Done));

        right.readable().await.unwrap();
        let mut batch = Vec::new();
        right.recv_batch(&pool, &mut batch);

        assert_eq!(batch[0].datagram.bytes(), b"hello");
        assert_eq!(batch[0].from.port(), left.local_port().unwrap());
    }
}
