//! A resolver that is asked over TLS or HTTPS, with a certificate and manners that the test chooses.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use bytes::Bytes;
use h2::server::SendResponse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use super::{A, frame, reply, rtype};

/// What the certificates are for.
pub(super) const NAME: &str = "resolver.example";

/// What is spoken inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    Tls,
    Https,
}

/// What the server does besides answering: no AAAA records, one A record for every name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    Good,
    /// It closes a connection when it has answered.
    Closes,
    /// It answers when so many questions wait, the last one first.
    Holds(usize),
    /// Its first connection dies after the first answer, and nobody is told.
    Dies,
}

/// An authority with a name of its own.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "the root of a test");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as `ca_file` wants it.
    pub(super) fn file(&self, directory: &Path) -> PathBuf {
        let path = directory.join("roots.pem");
        let text = base64::engine::general_purpose::STANDARD.encode(self.0.der());
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "-----BEGIN CERTIFICATE-----").unwrap();
        text.as_bytes().chunks(64).for_each(|line| writeln!(file, "{}", str::from_utf8(line).unwrap()).unwrap());
        writeln!(file, "-----END CERTIFICATE-----").unwrap();
        path
    }

    /// A server's certificate for `name`, good until `last_year`.
    pub(super) fn certify(&self, name: &str, last_year: i32) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![certificate.der().clone()];
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
    }
}

#[derive(Default)]
struct Seen {
    connections: usize,
    questions: usize,
}

/// A running server; it stops when dropped, and every connection with it.
pub(super) struct Secured {
    pub(super) address: SocketAddr,
    over: Over,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Secured {
    pub(super) fn start(over: Over, manners: Manners, config: ServerConfig) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), over, manners, config)
    }

    pub(super) fn start_at(address: SocketAddr, over: Over, manners: Manners, mut config: ServerConfig) -> Self {
        config.alpn_protocols = vec![if over == Over::Tls { b"dot".to_vec() } else { b"h2".to_vec() }];
        let seen = Arc::new(Mutex::new(Seen::default()));
        let server = Server { over, manners, seen: Arc::clone(&seen), held: RefCell::default() };
        let (stop, stopped) = oneshot::channel();
        let (ready, bound) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::bind(address).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = Rc::new(server).serve(listener, TlsAcceptor::from(Arc::new(config))) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address: bound.recv().unwrap(), over, seen, stop: Some(stop), thread: Some(thread) }
    }

    /// As a configuration names it.
    pub(super) fn url(&self) -> String {
        match self.over {
            Over::Tls => format!("tls://{}#{NAME}", self.address),
            // The name's address comes from the resolver of the machine; this one is in the certificate as well.
            Over::Https => format!("https://{}", self.address),
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(super) fn questions(&self) -> usize {
        self.seen.lock().unwrap().questions
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().unwrap().join();
    }
}

struct Server {
    over: Over,
    manners: Manners,
    seen: Arc<Mutex<Seen>>,
    held: RefCell<Vec<(Vec<u8>, SendResponse<Bytes>)>>,
}

fn answer(question: &[u8]) -> Vec<u8> {
    reply(question, 0, if rtype(question) == A { &[[5, 6, 7, 8]] } else { &[] })
}

impl Server {
    async fn serve(self: Rc<Self>, listener: TcpListener, acceptor: TlsAcceptor) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (server, acceptor) = (Rc::clone(&self), acceptor.clone());
            spawn_local(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let number = {
                    let mut seen = server.seen.lock().unwrap();
                    seen.connections += 1;
                    seen.connections
                };
                let dies = server.manners == Manners::Dies && number == 1;
                match server.over {
                    Over::Tls => drop(server.converse(stream, dies).await),
                    Over::Https => drop(server.converse_in_http(stream, dies).await),
                }
            });
        }
    }

    /// Answers in the order that the manners say; `None` when the connection ends.
    async fn converse(&self, stream: TlsStream<TcpStream>, dies: bool) -> Option<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut held = Vec::new();
        let mut answered = 0;
        loop {
            let length = reader.read_u16().await.ok()?;
            let mut question = vec![0; usize::from(length)];
            reader.read_exact(&mut question).await.ok()?;
            self.seen.lock().unwrap().questions += 1;
            if dies && answered > 0 {
                continue;
            }
            held.push(question);
            if matches!(self.manners, Manners::Holds(many) if held.len() < many) {
                continue;
            }
            for question in held.drain(..).rev() {
                writer.write_all(&frame(&answer(&question))).await.ok()?;
                answered += 1;
            }
            if self.manners == Manners::Closes {
                return writer.shutdown().await.ok();
            }
        }
    }

    async fn converse_in_http(self: &Rc<Self>, stream: TlsStream<TcpStream>, dies: bool) -> Option<()> {
        let mut connection = h2::server::handshake(stream).await.ok()?;
        let mut requests = 0;
        while let Some(request) = connection.accept().await {
            let (request, respond) = request.ok()?;
            assert_eq!((request.method(), request.uri().path()), (&http::Method::POST, "/dns-query"));
            requests += 1;
            let (server, is_dead) = (Rc::clone(self), dies && requests > 1);
            spawn_local(async move { server.respond(request.into_body(), respond, is_dead).await });
            if self.manners == Manners::Closes {
                connection.graceful_shutdown();
            }
        }
        Some(())
    }

    async fn respond(&self, mut body: h2::RecvStream, respond: SendResponse<Bytes>, is_dead: bool) -> Option<()> {
        let mut question = Vec::new();
        while let Some(chunk) = body.data().await {
            question.extend(chunk.ok()?);
        }
        self.seen.lock().unwrap().questions += 1;
        self.held.borrow_mut().push((question, respond));
        let waiting = self.held.borrow().len();
        if is_dead || matches!(self.manners, Manners::Holds(many) if waiting < many) {
            return None;
        }
        let held: Vec<_> = match self.manners {
            // What the dead connection holds stays where it is.
            Manners::Dies => self.held.borrow_mut().pop().into_iter().collect(),
            Manners::Good | Manners::Closes | Manners::Holds(_) => self.held.borrow_mut().drain(..).rev().collect(),
        };
        for (question, mut respond) in held {
            let head = http::Response::builder().header("content-type", "application/dns-message").body(()).ok()?;
            respond.send_response(head, false).ok()?.send_data(Bytes::from(answer(&question)), true).ok()?;
        }
        Some(())
    }
}
