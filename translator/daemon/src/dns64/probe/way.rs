//! The kinds of probes: a connection, a DNS question, an echo.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

use contract::ProbeKind;
use dns64::{Dnssec, Name, RecordType, answers, write_question};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, UdpSocket};

use super::super::random::Random;
use crate::error::Reason;

const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// Why nothing got through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nobody answered.
    Silence,
    /// Nothing could be sent; what the operator can do about it.
    Here(String),
}

/// The way to a target. What it keeps open is one flow in the translators on it.
pub(super) struct Way {
    kind: ProbeKind,
    from: SocketAddrV6,
    to: SocketAddrV6,
    random: Rc<Random>,
    udp: Option<UdpSocket>,
    echo: Option<Echo>,
}

impl Way {
    pub(super) fn new(kind: ProbeKind, from: Option<Ipv6Addr>, to: SocketAddrV6, random: Rc<Random>) -> Self {
        let from = SocketAddrV6::new(from.unwrap_or(Ipv6Addr::UNSPECIFIED), 0, 0, 0);
        Self { kind, from, to, random, udp: None, echo: None }
    }

    /// Resolves when the target has answered; who asks sets an end to that.
    pub(super) async fn reach(&mut self) -> Result<(), Failed> {
        let outcome = match self.kind {
            ProbeKind::Tcp => self.connects().await,
            ProbeKind::Dns => self.resolves().await,
            ProbeKind::Icmp => return self.echoes().await,
        };
        outcome.map_err(|_| Failed::Silence)
    }

    async fn connects(&self) -> io::Result<()> {
        let socket = TcpSocket::new_v6()?;
        socket.bind(self.from.into())?;
        match socket.connect(self.to.into()).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn resolves(&mut self) -> io::Result<()> {
        let socket = match &mut self.udp {
            Some(socket) => socket,
            none => {
                let socket = UdpSocket::bind(SocketAddr::from(self.from)).await?;
                socket.connect(SocketAddr::from(self.to)).await?;
                none.insert(socket)
            }
        };
        let outcome = ask(socket, &self.random).await;
        // Its source address may be gone by now.
        if outcome.is_err() {
            self.udp = None;
        }
        outcome
    }

    async fn echoes(&mut self) -> Result<(), Failed> {
        let echo = match &mut self.echo {
            Some(echo) => echo,
            none => {
                none.insert(Echo::open(self.from, self.to, &self.random).map_err(|error| Failed::Here(advice(&error)))?)
            }
        };
        let outcome = echo.exchange(&self.random).await;
        // Its source address may be gone by now.
        if outcome.is_err() {
            self.echo = None;
        }
        outcome.map_err(|_| Failed::Silence)
    }
}

/// Any answer to the question is one: what matters is that it came back.
async fn ask(socket: &UdpSocket, random: &Random) -> io::Result<()> {
    let mut question = Vec::new();
    let root: Name = ".".parse().expect("the root is a name");
    let plain = Dnssec { records: false, unchecked: false };
    write_question(&mut question, random.u16(), root.as_ref(), RecordType::NS, plain);
    socket.send(&question).await?;
    let mut reply = [0; 1_500];
    loop {
        let length = socket.recv(&mut reply).await?;
        if answers(&reply[..length], &question) {
            return Ok(());
        }
    }
}

fn advice(error: &io::Error) -> String {
    match error.kind() == io::ErrorKind::PermissionDenied {
        true => NOT_ALLOWED.to_owned(),
        false => format!("no echo can be sent: {}", Reason(error)),
    }
}

const NOT_ALLOWED: &str = "the kernel lets this service send no echo; \
                           sysctl net.ipv4.ping_group_range=\"0 2147483647\" lets every group, or probe by tcp or dns";

/// An ICMPv6 socket (RFC 4443 §4.1), connected to the target: nobody else's packets arrive.
struct Echo {
    socket: UdpSocket,
    id: u16,
    sequence: u16,
}

impl Echo {
    /// By the socket that needs no privilege; where the kernel keeps it from our group, by a raw one, if we may.
    fn open(from: SocketAddrV6, to: SocketAddrV6, random: &Random) -> io::Result<Self> {
        let open = |kind: Type| Socket::new(Domain::IPV6, kind.nonblocking(), Some(Protocol::ICMPV6));
        let socket = open(Type::DGRAM).or_else(|error| open(Type::RAW).map_err(|_| error))?;
        socket.bind(&from.into())?;
        socket.connect(&to.into())?;
        // Every operation that follows is one of any datagram socket: send and receive.
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, id: random.u16(), sequence: 0 })
    }

    /// The kernel fills in the checksum, and in an unprivileged socket's packets an identifier of its own: so the answer is
    /// known by its sequence number and by what it carries.
    async fn exchange(&mut self, random: &Random) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let secret = random.u64().to_ne_bytes();
        let rest = [&self.sequence.to_be_bytes()[..], &secret].concat();
        let request = [&[ECHO_REQUEST, 0, 0, 0][..], &self.id.to_be_bytes(), &rest].concat();
        self.socket.send(&request).await?;
        let mut reply = [0; 1_500];
        loop {
            let length = self.socket.recv(&mut reply).await?;
            if reply[..length].first() == Some(&ECHO_REPLY) && reply[..length].get(6..) == Some(&rest[..]) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(kind: ProbeKind, to: SocketAddrV6) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let patience = std::time::Duration::from_secs(5);
        runtime.block_on(async {
            let mut way = Way::new(kind, Some(Ipv6Addr::LOCALHOST), to, Rc::new(Random::new()));
            // Twice: what stays open must still be good.
            for _ in 0..2 {
                tokio::time::timeout(patience, way.reach()).await.unwrap_or(Err(Failed::Silence))?;
            }
            Ok(())
        })
    }

    #[test]
    fn an_echo_comes_back_from_who_is_there() {
        let to = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);

        match reach(ProbeKind::Icmp, to) {
            // Neither a group that may nor a privilege: then the reason says what to do.
            Err(Failed::Here(why)) => assert_eq!(why, NOT_ALLOWED),
            outcome => assert_eq!(outcome, Ok(())),
        }
    }

    #[test]
    fn a_refused_connection_came_back_too() {
        let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
        let SocketAddr::V6(to) = listener.local_addr().unwrap() else { unreachable!("it was bound so") };
        assert_eq!(reach(ProbeKind::Tcp, to), Ok(()));
        drop(listener);

        assert_eq!(reach(ProbeKind::Tcp, to), Ok(()));
    }
}
