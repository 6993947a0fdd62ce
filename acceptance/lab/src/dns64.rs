//! A stand-in for a public DNS64 resolver: every name is IPv4-only, and its AAAA is made from its A (RFC 6147 §5.1.7).
//!
//! It runs as a thread of the lab that has joined the host's network namespace, so it cannot outlive the lab.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use contract::Pool6;
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::SigSet;

use crate::{Host, wait};

/// How long a stop may go unnoticed.
const STOP_LATENCY: Duration = Duration::from_millis(50);
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
const TTL_SECS: u32 = 60;

/// The IPv4 addresses of all names there are.
pub type Names = BTreeMap<String, Ipv4Addr>;

/// A running resolver; dropping it stops it.
#[derive(Debug)]
pub struct Resolver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Serves `names` on port 53 of `address` in `host`.
    ///
    /// # Errors
    /// The host's namespace cannot be joined, or the port is taken.
    pub fn start(host: &Host, address: Ipv6Addr, names: Names) -> Result<Self> {
        let path = format!("/proc/{}/ns/net", host.holder_pid());
        let namespace = File::open(&path).with_context(|| path)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = mpsc::channel();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            // Signals are for the thread that waits for them, or for the whole process.
            let _ = SigSet::all().thread_block();
            let socket = bind(&namespace, address);
            let serving = socket.as_ref().ok().and_then(|socket| socket.try_clone().ok());
            let _ = ready.send(socket.map(drop));
            if let Some(socket) = serving {
                serve(&socket, &names, &stopped);
            }
        });
        let resolver = Self { stop, thread: Some(thread) };
        started.recv().context("the resolver's thread ended early")??;
        Ok(resolver)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves the calling thread into the namespace for good.
fn bind(namespace: &File, address: Ipv6Addr) -> Result<UdpSocket> {
    setns(namespace, CloneFlags::CLONE_NEWNET).context("joining the resolver's network namespace")?;
    let socket = bind_when_ready(SocketAddr::from((address, 53))).context("the resolver's port 53")?;
    socket.set_read_timeout(Some(STOP_LATENCY))?;
    Ok(socket)
}

/// The kernel takes a new IPv6 address into use a moment after it was added, even where nobody could have it already.
fn bind_when_ready(address: SocketAddr) -> Result<UdpSocket> {
    let bound = wait::until("an address in use", ADDRESS_LIMIT, || match UdpSocket::bind(address) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Ok(None),
        bound => Ok(Some(bound?)),
    });
    Ok(bound?.0)
}

fn serve(socket: &UdpSocket, names: &Names, stop: &AtomicBool) {
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        if let Ok(bytes) = answer(&question, names).to_vec() {
            let _ = socket.send_to(&bytes, client);
        }
    }
}

/// What a resolver with DNS64 says: the A as it is, the AAAA made from it.
fn answer(question: &Message, names: &Names) -> Message {
    let mut message = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    message.metadata.recursion_desired = question.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    for query in &question.queries {
        message.add_query(query.clone());
        match names.get(query.name().to_ascii().trim_end_matches('.')) {
            Some(address) => message.add_answers(record(query, *address)),
            None => {
                message.metadata.response_code = ResponseCode::NXDomain;
                &mut message
            }
        };
    }
    message
}

fn record(query: &Query, address: Ipv4Addr) -> Option<Record> {
    let data = if query.query_type() == RecordType::A {
        RData::A(rdata::A(address))
    } else if query.query_type() == RecordType::AAAA {
        RData::AAAA(rdata::AAAA(Pool6::default().embed(address)))
    } else {
        return None;
    };
    Some(Record::from_rdata(query.name().clone(), TTL_SECS, data))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;

    use super::*;

    fn asked(name: &str, kind: RecordType) -> Message {
        let names = Names::from([("web.example".to_owned(), Ipv4Addr::new(203, 0, 112, 80))]);
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        answer(&question, &names)
    }

    #[test]
    fn the_aaaa_of_an_ipv4_only_name_is_made_from_its_a() {
        let reply = asked("web.example.", RecordType::AAAA);

        let expected: Ipv6Addr = "64:ff9b::203.0.112.80".parse().unwrap();
        assert_eq!(reply.answers[0].data, RData::AAAA(rdata::AAAA(expected)));
    }

    #[test]
    fn an_unknown_name_does_not_exist() {
        let reply = asked("nothing.example.", RecordType::AAAA);

        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    }
}
