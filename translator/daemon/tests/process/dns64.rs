//! `hetznat-translator dns64`: clients that behave badly, upstreams that lie or are silent, and a configuration that changes.

mod secured;
mod tls;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::translator::{BINARY, finish};

const PATIENCE: Duration = Duration::from_secs(20);
const A: u16 = 1;
const AAAA: u16 = 28;

/// A name in wire form.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| [vec![label.len() as u8], label.as_bytes().to_vec()].concat()).chain([0]).collect()
}

/// A question with EDNS.
fn question(id: u16, name: &str, rtype: u16) -> Vec<u8> {
    let mut bytes = [id.to_be_bytes(), [1, 0], [0, 1], [0, 0], [0, 0], [0, 1]].concat();
    bytes.extend(wire(name));
    bytes.extend(rtype.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn rcode(reply: &[u8]) -> u8 {
    reply[3] & 0xf
}

fn answer_count(reply: &[u8]) -> u16 {
    u16::from_be_bytes([reply[6], reply[7]])
}

/// The end of the question section.
fn behind_question(message: &[u8]) -> usize {
    12 + message[12..].iter().position(|octet| *octet == 0).unwrap() + 5
}

/// The type that is asked for.
fn rtype(message: &[u8]) -> u16 {
    let end = behind_question(message);
    u16::from_be_bytes([message[end - 4], message[end - 3]])
}

/// An answer to `question` with these addresses.
fn reply(question: &[u8], rcode: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = question[..behind_question(question)].to_vec();
    bytes[2] |= 0x80;
    bytes[3] = 0x80 | rcode;
    bytes[6..12].copy_from_slice(&[0, addresses.len() as u8, 0, 0, 0, 0]);
    for address in addresses {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
        bytes.extend(address);
    }
    bytes
}

/// A scripted upstream over UDP; it stops when dropped.
struct Upstream {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    questions: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Upstream {
    /// `script` gets the socket, the client and the question, and sends what it likes.
    fn start(mut script: impl FnMut(&UdpSocket, SocketAddr, &[u8]) + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let questions = Arc::new(Mutex::new(Vec::new()));
        let (told, log) = (Arc::clone(&stop), Arc::clone(&questions));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while !told.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
                log.lock().unwrap().push(buffer[..length].to_vec());
                script(&socket, client, &buffer[..length]);
            }
        });
        Self { address, stop, thread: Some(thread), questions }
    }

    /// No AAAA records, and one A record for every name.
    fn ordinary() -> Self {
        Self::start(|socket, client, question| {
            let addresses: &[_] = if rtype(question) == A { &[[5, 6, 7, 8]] } else { &[] };
            socket.send_to(&reply(question, 0, addresses), client).unwrap();
        })
    }

    fn silent() -> Self {
        Self::start(|_, _, _| {})
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// A resolver under test; killed when dropped.
struct Resolver {
    child: Child,
    address: SocketAddr,
    config: PathBuf,
    directory: TempDir,
}

impl Resolver {
    fn start(upstreams: &[&Upstream], more: Value) -> Self {
        let upstreams: Vec<String> = upstreams.iter().map(|upstream| format!("udp://{}", upstream.address)).collect();
        Self::start_asking(&upstreams, more)
    }

    fn start_asking(upstreams: &[String], more: Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("dns64.json");
        // A port that was free a moment ago, over UDP and TCP.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut document =
            json!({ "listen": [["127.0.0.1", port]], "upstreams": upstreams, "upstream_timeout_ms": 900 });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(&config, document.to_string()).unwrap();
        let mut command = Command::new(BINARY);
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        command.arg("dns64").arg("--config").arg(&config).env_remove("HETZNAT_LOG").stderr(log);
        let resolver = Self {
            child: command.spawn().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            config,
            directory,
        };
        resolver.wait_for(|reply| rcode(reply) == 0);
        resolver
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Waits until what it says about its prefixes is right.
    fn wait_for(&self, is_right: impl Fn(&[u8]) -> bool) {
        let start = Instant::now();
        loop {
            if self.try_ask("ipv4only.arpa", AAAA, Duration::from_millis(100)).is_some_and(|reply| is_right(&reply)) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the resolver does not answer as it should");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn try_ask(&self, name: &str, rtype: u16, patience: Duration) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(&question(7, name, rtype)).ok()?;
        let mut buffer = [0; 2_048];
        let length = socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }

    fn ask(&self, name: &str, rtype: u16) -> Vec<u8> {
        self.try_ask(name, rtype, PATIENCE).expect("an answer")
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

#[test]
fn what_does_not_fit_the_question_is_no_answer() {
    const FORGED: [u8; 4] = [6, 6, 6, 6];
    let upstream = Upstream::start(|socket, client, question| {
        let forged = reply(question, 0, &[FORGED]);
        let change = |at: usize, bits: u8| {
            let mut message = forged.clone();
            message[at] ^= bits;
            message
        };
        let end = behind_question(question);
        // Another id, no response, another case, another name, another type, another class, and scraps.
        for message in
            [change(0, 1), change(2, 0x80), change(13, 0x20), change(14, 1), change(end - 3, 0xff), change(end - 1, 2)]
        {
            socket.send_to(&message, client).unwrap();
        }
        socket.send_to(&forged[..11], client).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&forged, client).unwrap();
        socket.send_to(&reply(question, 0, &[[5, 6, 7, 8]]), client).unwrap();
    });
    let resolver = Resolver::start(&[&upstream], json!({}));

    let answer = resolver.ask("spoofed.example", A);

    assert_eq!((rcode(&answer), answer_count(&answer)), (0, 1));
    assert!(answer.windows(4).any(|octets| octets == [5, 6, 7, 8]));
    assert!(!answer.windows(4).any(|octets| octets == FORGED));
}

#[test]
fn names_are_asked_for_in_random_case_and_with_random_ids() {
    let upstream = Upstream::ordinary();
    let resolver = Resolver::start(&[&upstream], json!({ "dns64": { "cache": false } }));

    for _ in 0..4 {
        resolver.ask("abcdefghijklmnopqrstuvwxyz.example", A);
    }

    let questions = upstream.questions.lock().unwrap().clone();
    let of_name = |question: &Vec<u8>| question[12..behind_question(question)].to_vec();
    assert!(questions.iter().all(|question| of_name(question).eq_ignore_ascii_case(&of_name(&questions[0]))));
    assert!(questions.iter().any(|question| of_name(question) != of_name(&questions[0])));
    assert!(questions.iter().any(|question| question[..2] != questions[0][..2]));
}

#[test]
fn a_silent_upstream_is_an_error_within_two_seconds() {
    let upstream = Upstream::silent();
    let resolver = Resolver::start(&[&upstream], json!({ "upstream_timeout_ms": 1500 }));
    let start = Instant::now();

    let answer = resolver.ask("nobody.example", AAAA);

    assert_eq!(rcode(&answer), 2);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // RFC 8914: no reachable authority.
    assert!(answer.ends_with(&[0, 15, 0, 2, 0, 22]), "{answer:?}");
}

#[test]
fn a_second_server_answers_when_the_first_is_silent_or_fails() {
    let failing = Upstream::start(|socket, client, question| drop(socket.send_to(&reply(question, 2, &[]), client)));
    for first in [Upstream::silent(), failing] {
        let second = Upstream::ordinary();
        let resolver = Resolver::start(&[&first, &second], json!({}));

        let answer = resolver.ask("elsewhere.example", AAAA);

        assert_eq!((rcode(&answer), answer_count(&answer)), (0, 1));
    }
}

#[test]
fn a_slow_name_delays_no_other_on_the_same_connection() {
    let upstream = Upstream::silent();
    let resolver = Resolver::start(&[&upstream], json!({}));
    let mut stream = resolver.connect();

    let both = [frame(&question(1, "slow.example", A)), frame(&question(2, "ipv4only.arpa", A))].concat();
    stream.write_all(&both).unwrap();

    let ids = [read_frame(&mut stream), read_frame(&mut stream)].map(|message| message[1]);
    assert_eq!(ids, [2, 1]);
}

#[test]
fn a_client_that_never_reads_delays_nobody_else() {
    let upstream = Upstream::ordinary();
    let resolver = Resolver::start(&[&upstream], json!({}));
    let mut greedy = resolver.connect();
    greedy.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let many = frame(&question(1, "greedy.example", AAAA)).repeat(1_000);
    // Until neither side's buffers take any more.
    let filled = (0..1_000).any(|_| greedy.write_all(&many).is_err());

    let start = Instant::now();
    let over_udp = resolver.ask("other.example", AAAA);
    let mut other = resolver.connect();
    other.write_all(&frame(&question(3, "other.example", AAAA))).unwrap();
    let over_tcp = read_frame(&mut other);

    assert!(filled, "the resolver took a million questions from who reads no answer");
    assert_eq!((answer_count(&over_udp), answer_count(&over_tcp)), (1, 1));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_flood_of_names_that_nobody_answers_delays_no_known_one() {
    let upstream = Upstream::silent();
    let resolver = Resolver::start(&[&upstream], json!({}));
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..20_000 {
        flood.send_to(&question(1, &format!("n{number}.flood.example"), AAAA), resolver.address).unwrap();
    }

    resolver.wait_for(|reply| answer_count(reply) == 2);
}

#[test]
fn another_prefix_applies_at_once_and_what_is_known_stays() {
    let upstream = Upstream::ordinary();
    let resolver = Resolver::start(&[&upstream], json!({ "dns64": { "prefixes": ["2001:db8:64::/96"] } }));
    let soa_less = |resolver: &Resolver| resolver.ask("web.example", AAAA);
    assert!(soa_less(&resolver).windows(6).any(|octets| octets == [0x20, 1, 0xd, 0xb8, 0, 0x64]));

    let config = std::fs::read_to_string(&resolver.config).unwrap().replace("2001:db8:64::/96", "2001:db8:65::/96");
    std::fs::write(&resolver.config, config).unwrap();
    kill(Pid::from_raw(resolver.child.id() as i32), Signal::SIGHUP).unwrap();

    resolver.wait_for(|reply| reply.windows(6).any(|octets| octets == [0x20, 1, 0xd, 0xb8, 0, 0x65]));
    assert!(soa_less(&resolver).windows(6).any(|octets| octets == [0x20, 1, 0xd, 0xb8, 0, 0x65]));
    let questions = upstream.questions.lock().unwrap();
    assert_eq!(questions.iter().filter(|question| rtype(question) == A).count(), 1, "the A record was known");
}

#[test]
fn a_wrong_configuration_is_refused_with_its_value() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dns64.json");
    let base = json!({ "listen": ["127.0.0.1"], "upstreams": ["udp://9.9.9.9"] });
    let wrong = [
        ("listen", json!([])),
        ("listen", json!(["0.0.0.0"])),
        ("listen", json!(["192.168.1.10"])),
        ("listen", json!(["eth0"])),
        ("clients", json!(["0.0.0.0/0"])),
        ("clients", json!(["any"])),
        ("clients", json!(["10.0.0.1/8"])),
        ("upstreams", json!([])),
        ("upstreams", json!(["resolver.example"])),
        ("upstream_timeout_ms", json!(5)),
        ("trust_anchors", json!(["example. DNSKEY 257 3 13 AAAA"])),
        ("health", json!({ "target": "192.0.0.170:80" })),
        ("health", json!({ "target": "192.0.2.1:80", "interval_ms": 1 })),
        ("dns64", json!({ "prefixes": ["2001:db8::/72"] })),
        ("dns46", json!({})),
    ];

    let mut report = String::new();
    for (key, value) in wrong {
        let mut document = base.clone();
        document[key] = value.clone();
        std::fs::write(&path, document.to_string()).unwrap();
        let (code, _, said) = finish(Command::new(BINARY).arg("dns64").arg("--check").arg("--config").arg(&path));
        assert_eq!(code, Some(65), "{key} {value}: {said}");
        report.push_str(&format!("{key} {value}\n  {}", said.replace(path.to_str().unwrap(), "FILE")));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn check_says_what_is_in_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dns64.json");
    let document = json!({ "listen": ["127.0.0.1", ["::1", 5353]], "upstreams": ["tls://9.9.9.9#dns.quad9.net"] });
    std::fs::write(&path, document.to_string()).unwrap();

    let (code, said, _) = finish(Command::new(BINARY).arg("dns64").arg("--check").arg("--config").arg(&path));

    assert_eq!(code, Some(0));
    assert_eq!(said, "DNS64 on 127.0.0.1:53, [::1]:5353 with 64:ff9b::/96, asking tls://9.9.9.9#dns.quad9.net\n");
}
