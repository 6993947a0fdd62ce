//! Questions over UDP: many datagrams a call, answered from the cache in the same turn; the rest in tasks of their own.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use dns64::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::batch::Batch;
use super::core::{Core, Handled};
use super::counters::count;
use super::waiting::Place;

/// A burst of this size is not lost while an answer is being validated.
const BUFFER: usize = 1 << 20;

/// A bound socket. The address need not be there yet: interfaces come and go.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    // The kernel may give less.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Answers until the task is aborted.
pub(super) async fn serve(core: Rc<Core>, socket: std::net::UdpSocket) -> io::Result<()> {
    let socket = Rc::new(UdpSocket::from_std(socket)?);
    let mut batch = Batch::new();
    loop {
        socket.readable().await?;
        match socket.try_io(Interest::READABLE, || batch.receive(&*socket)) {
            Ok(()) => answer(&core, &socket, &mut batch),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // An ICMP error about an answer that nobody waits for.
            Err(error) => tracing::debug!("dns64: {error}"),
        }
        // Others have their turn even if this queue never becomes empty.
        tokio::task::yield_now().await;
    }
}

fn answer(core: &Rc<Core>, socket: &Rc<UdpSocket>, batch: &mut Batch) {
    let settings = core.settings();
    for index in 0..batch.len() {
        let Some(client) = batch.client(index) else { continue };
        if core.admit(client.ip()).is_err() {
            count(&core.counters.rate_limited);
            continue;
        }
        let (question, answer) = batch.pair(index);
        match core.handle(&settings, client.ip(), Transport::Udp, question, answer) {
            Handled::Answered => {}
            Handled::Dropped => answer.clear(),
            Handled::Later => {
                answer.clear();
                // Dropped, and asked again by who wants to know.
                let Some(place) = core.waiting.place(client.ip()) else {
                    count(&core.counters.overloaded);
                    continue;
                };
                later(core, socket, client, question.to_vec(), place);
            }
        }
    }
    batch.send(&**socket);
}

fn later(core: &Rc<Core>, socket: &Rc<UdpSocket>, client: SocketAddr, question: Vec<u8>, place: Place) {
    let (core, socket) = (Rc::clone(core), Rc::clone(socket));
    tokio::task::spawn_local(async move {
        let answer = core.answer(client.ip(), Transport::Udp, question).await;
        if !answer.is_empty() {
            // A full queue is a lost datagram; the client asks again.
            let _ = socket.try_send_to(&answer, client);
        }
        drop(place);
    });
}
