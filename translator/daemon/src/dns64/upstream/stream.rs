//! A connection over TCP or TLS that many questions share, each answered when its answer is there (RFC 7766 §6.2.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Asker, Failure, Question, in_time};

/// RFC 7766 §6.2.3: what nobody uses is closed; servers close earlier than that.
const IDLE: Duration = Duration::from_secs(10);
/// Questions that wait for a connection; more fail.
const QUEUE: usize = 1_024;

/// How to reach the server.
#[derive(Clone)]
pub(super) enum Dial {
    Tcp(SocketAddr),
    Tls(SocketAddr, TlsConnector, ServerName<'static>),
}

/// A connection that is made when it is needed.
pub(super) struct Stream {
    requests: mpsc::Sender<Request>,
    /// Until the first question, when there is a runtime.
    idle: std::cell::RefCell<Option<(Dial, mpsc::Receiver<Request>)>>,
}

struct Request {
    question: Vec<u8>,
    asker: Rc<Asker>,
    answer: oneshot::Sender<Result<Vec<u8>, Failure>>,
}

impl Stream {
    pub(super) fn new(dial: Dial) -> Self {
        let (requests, receiver) = mpsc::channel(QUEUE);
        Self { requests, idle: std::cell::RefCell::new(Some((dial, receiver))) }
    }

    pub(super) async fn ask(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let unused = self.idle.borrow_mut().take();
        if let Some((dial, requests)) = unused {
            tokio::task::spawn_local(run(dial, requests));
        }
        match self.once(asker, question).await {
            // The server closed a connection that it had kept open: a new one may serve.
            Err(Failure::Network) => self.once(asker, question).await,
            other => other,
        }
    }

    async fn once(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let (answer, answered) = oneshot::channel();
        let request = Request { question: question.bytes.clone(), asker: Rc::clone(asker), answer };
        self.requests.send(request).await.map_err(|_| Failure::Network)?;
        answered.await.unwrap_or(Err(Failure::Network))
    }
}

/// Serves questions until nobody can ask any more.
async fn run(dial: Dial, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        match in_time(connect(&dial)).await {
            Ok(connection) => serve(connection, first, &mut requests).await,
            Err(failure) => {
                let _ = first.answer.send(Err(failure));
            }
        }
    }
}

trait Connection: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

async fn connect(dial: &Dial) -> Result<Box<dyn Connection>, Failure> {
    let failed = |_| Failure::Network;
    match dial {
        Dial::Tcp(address) => {
            let tcp = TcpStream::connect(address).await.map_err(failed)?;
            tcp.set_nodelay(true).map_err(failed)?;
            Ok(Box::new(tcp))
        }
        Dial::Tls(address, connector, name) => {
            let tcp = TcpStream::connect(address).await.map_err(failed)?;
            tcp.set_nodelay(true).map_err(failed)?;
            Ok(Box::new(connector.connect(name.clone(), tcp).await.map_err(failed)?))
        }
    }
}

type Waiting = HashMap<u16, Request>;

/// Until the connection ends, or nobody has used it for a while. Who still waits then hears so.
async fn serve(connection: Box<dyn Connection>, first: Request, requests: &mut mpsc::Receiver<Request>) {
    let (reader, mut writer) = tokio::io::split(connection);
    let (frames, mut arrived) = mpsc::channel(16);
    let reading = tokio::task::spawn_local(read(BufReader::new(reader), frames));
    let mut waiting = Waiting::new();
    let mut next = Some(first);
    loop {
        if let Some(request) = next.take() {
            let frame = enter(&mut waiting, request);
            let written = timeout(IDLE, writer.write_all(&frame)).await;
            if !matches!(written, Ok(Ok(()))) {
                break;
            }
        }
        tokio::select! {
            frame = arrived.recv() => match frame {
                Some(frame) => dispatch(&mut waiting, frame),
                None => break,
            },
            request = requests.recv() => match request {
                Some(request) => next = Some(request),
                None => break,
            },
            () = tokio::time::sleep(IDLE) => break,
        }
    }
    reading.abort();
    waiting.into_values().for_each(|request| drop(request.answer.send(Err(Failure::Network))));
}

async fn read(mut reader: impl AsyncRead + Unpin, frames: mpsc::Sender<Vec<u8>>) {
    loop {
        let Ok(length) = reader.read_u16().await else { return };
        let mut frame = vec![0; usize::from(length)];
        if reader.read_exact(&mut frame).await.is_err() || frames.send(frame).await.is_err() {
            return;
        }
    }
}

/// Gives the question an id that nobody else on the connection has; what to send.
fn enter(waiting: &mut Waiting, mut request: Request) -> Vec<u8> {
    // Who gave up waiting frees an id.
    waiting.retain(|_, request| !request.answer.is_closed());
    let mut id = request.asker.random.u16();
    while waiting.contains_key(&id) {
        id = id.wrapping_add(1);
    }
    request.question[..2].copy_from_slice(&id.to_be_bytes());
    let mut frame = (request.question.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(&request.question);
    waiting.insert(id, request);
    frame
}

fn dispatch(waiting: &mut Waiting, frame: Vec<u8>) {
    let Some(id) = frame.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)) else { return };
    let Some(request) = waiting.get(&id) else { return };
    if request.asker.accepts(&request.question, &frame)
        && let Some(request) = waiting.remove(&id)
    {
        let _ = request.answer.send(Ok(frame));
    }
}
