//! Questions over TCP (RFC 7766): each answered as soon as its answer is there, in whatever order.
//!
//! Invariant: a client that never reads, or asks without end, holds its own connection and nothing else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dns64::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::core::{Core, Handled};
use super::limiter::who;

/// Connections at one time, of everybody and of one client.
const MOST_CONNECTIONS: usize = 256;
const MOST_PER_CLIENT: usize = 16;
/// Questions of one connection whose answers have not been taken; the next is read when one has.
const MOST_OPEN: usize = 64;
/// RFC 7766 §6.2.3: a few seconds without a question, or without a reader, end the connection.
const IDLE: Duration = Duration::from_secs(10);
/// A message over TCP may be 64 KiB long; no question needs more than this.
const LARGEST_QUESTION: u16 = 4_096;

/// A listening socket. The address need not be there yet.
pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.bind(&address.into())?;
    socket.listen(64)?;
    Ok(socket.into())
}

/// Connections by client; an IPv6 client is its /64, or one server could take every seat.
#[derive(Default)]
struct Guests(RefCell<HashMap<u128, usize>>);

/// Answers until the task is aborted.
pub(super) async fn serve(core: Rc<Core>, listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let guests = Rc::new(Guests::default());
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files: that passes.
                tracing::debug!("dns64: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Some(seat) = Seat::take(&guests, client.ip()) {
            let core = Rc::clone(&core);
            tokio::task::spawn_local(async move {
                converse(core, stream, client.ip()).await;
                drop(seat);
            });
        }
    }
}

struct Seat {
    guests: Rc<Guests>,
    client: u128,
}

impl Seat {
    /// `None`: there is no more room, and the connection is closed.
    fn take(guests: &Rc<Guests>, client: IpAddr) -> Option<Self> {
        let client = who(client);
        let mut seats = guests.0.borrow_mut();
        let own = seats.get(&client).copied().unwrap_or(0);
        if own >= MOST_PER_CLIENT || seats.values().sum::<usize>() >= MOST_CONNECTIONS {
            return None;
        }
        seats.insert(client, own + 1);
        Some(Self { guests: Rc::clone(guests), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.guests.0.borrow_mut();
        if let Some(own) = seats.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                seats.remove(&self.client);
            }
        }
    }
}

/// An answer, and what it takes of [`MOST_OPEN`] until it is written.
type Answer = (Vec<u8>, OwnedSemaphorePermit);

async fn converse(core: Rc<Core>, stream: TcpStream, client: IpAddr) {
    // Answers are small, and somebody waits for each.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (answers, to_write) = mpsc::channel(MOST_OPEN);
    let mut writing = tokio::task::spawn_local(write(writer, to_write));
    tokio::select! {
        _ = read(&core, reader, client, answers) => {
            // What is on its way still arrives.
            let _ = writing.await;
        }
        _ = &mut writing => {}
    }
}

async fn read(core: &Rc<Core>, reader: OwnedReadHalf, client: IpAddr, answers: mpsc::Sender<Answer>) -> Option<()> {
    let mut reader = BufReader::new(reader);
    let open = Arc::new(Semaphore::new(MOST_OPEN));
    loop {
        let permit = timeout(IDLE, Arc::clone(&open).acquire_owned()).await.ok()?.ok()?;
        let length = timeout(IDLE, reader.read_u16()).await.ok()?.ok()?;
        if length > LARGEST_QUESTION {
            return None;
        }
        let mut question = vec![0; usize::from(length)];
        timeout(IDLE, reader.read_exact(&mut question)).await.ok()?.ok()?;
        while let Err(wait_ms) = core.admit(client) {
            sleep(Duration::from_millis(wait_ms)).await;
        }
        let mut answer = Vec::new();
        match core.handle(&core.settings(), client, Transport::Tcp, &question, &mut answer) {
            Handled::Answered => answers.try_send((answer, permit)).ok()?,
            Handled::Dropped => return None,
            Handled::Later => {
                let place = loop {
                    match core.waiting.place(client) {
                        Some(place) => break place,
                        // The client's other questions come first.
                        None => sleep(Duration::from_millis(20)).await,
                    }
                };
                let (core, answers) = (Rc::clone(core), answers.clone());
                tokio::task::spawn_local(async move {
                    let answer = core.answer(client, Transport::Tcp, question).await;
                    drop(place);
                    // There is room for every permit; but the connection may have ended.
                    let _ = answers.try_send((answer, permit));
                });
            }
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut answers: mpsc::Receiver<Answer>) -> Option<()> {
    let mut frames = Vec::new();
    while let Some((answer, permit)) = answers.recv().await {
        frames.clear();
        let mut permits = vec![permit];
        push(&mut frames, &answer);
        while let Ok((answer, permit)) = answers.try_recv() {
            push(&mut frames, &answer);
            permits.push(permit);
        }
        timeout(IDLE, writer.write_all(&frames)).await.ok()?.ok()?;
    }
    Some(())
}

fn push(frames: &mut Vec<u8>, answer: &[u8]) {
    frames.extend_from_slice(&(answer.len() as u16).to_be_bytes());
    frames.extend_from_slice(answer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_many_addresses_leaves_seats_to_others() {
        let guests = Rc::new(Guests::default());
        let greedy = |number: u128| IpAddr::V6((0x2001_0db8 << 96 | number).into());

        let seats: Vec<Seat> =
            (0..MOST_CONNECTIONS as u128).filter_map(|number| Seat::take(&guests, greedy(number))).collect();

        assert_eq!(seats.len(), MOST_PER_CLIENT);
        assert!(Seat::take(&guests, "2001:db8:0:1::1".parse().unwrap()).is_some());
        drop(seats);
        assert!(guests.0.borrow().is_empty());
    }
}
