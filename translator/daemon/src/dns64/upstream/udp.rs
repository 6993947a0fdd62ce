//! One question over UDP, from a socket of its own: the kernel draws its port, and lets nobody answer but the server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use dns64::Message;
use tokio::net::UdpSocket;

use super::{Asker, Failure, Question};

/// More than we say to take.
const LARGEST: usize = 4_096;

/// Waits for an answer that fits; who asks sets an end to that.
pub(super) async fn ask(asker: &Rc<Asker>, server: SocketAddr, question: &Question) -> Result<Message, Failure> {
    let _permit = asker.sockets.acquire().await.map_err(|_| Failure::Unreachable)?;
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let failed = |_| Failure::Unreachable;
    let socket = UdpSocket::bind(own).await.map_err(failed)?;
    socket.connect(server).await.map_err(failed)?;
    socket.send(&question.bytes).await.map_err(failed)?;
    let mut buffer = [0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let reply = &buffer[..length];
        // A message that is no answer to this question may be a forger's: the right one may still come.
        if !asker.accepts(&question.bytes, reply) {
            continue;
        }
        if let Ok(message) = Message::parse(reply) {
            return Ok(message);
        }
    }
}
