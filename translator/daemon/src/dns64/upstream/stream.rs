//! A connection over TCP or TLS that many questions share, each answered when its answer is there (RFC 7766 §6.2.1).

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::dial::{Connection, Dial};
use super::{Asker, Failure, Question};

/// RFC 7766 §6.2.3: what nobody uses is closed; servers close earlier than that.
const IDLE: Duration = Duration::from_secs(10);
/// Questions that wait for a connection; more fail.
const QUEUE: usize = 1_024;

/// A connection that is made when it is needed.
pub(super) struct Stream {
    requests: mpsc::Sender<Request>,
    /// Until the first question, when there is a runtime.
    idle: std::cell::RefCell<Option<Line>>,
}

/// What the task that serves the connection needs.
struct Line {
    dial: Dial,
    requests: mpsc::Receiver<Request>,
    /// After this time without a word from who owes us answers the connection counts as dead: packets may no longer
    /// arrive, and nobody says so.
    silence: Duration,
}

struct Request {
    question: Vec<u8>,
    asker: Rc<Asker>,
    answer: oneshot::Sender<Result<Vec<u8>, Failure>>,
}

impl Stream {
    pub(super) fn new(dial: Dial, silence: Duration) -> Self {
        let (sender, requests) = mpsc::channel(QUEUE);
        let line = Line { dial, requests, silence };
        Self { requests: sender, idle: std::cell::RefCell::new(Some(line)) }
    }

    pub(super) async fn ask(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let unused = self.idle.borrow_mut().take();
        if let Some(line) = unused {
            tokio::task::spawn_local(line.run());
        }
        match self.once(asker, question).await {
            // The server closed a connection that it had kept open: a new one may serve.
            Err(Failure::Ended) => self.once(asker, question).await,
            other => other,
        }
    }

    async fn once(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let (answer, answered) = oneshot::channel();
        let request = Request { question: question.bytes.clone(), asker: Rc::clone(asker), answer };
        self.requests.send(request).await.map_err(|_| Failure::Unreachable)?;
        answered.await.unwrap_or(Err(Failure::Unreachable))
    }
}

impl Line {
    /// Serves questions until nobody can ask any more.
    async fn run(mut self) {
        while let Some(first) = self.requests.recv().await {
            // While there was no connection whoever asked first may have given up.
            if first.answer.is_closed() {
                continue;
            }
            match self.dial.connect().await {
                Ok(connection) => self.serve(connection, first).await,
                Err(failure) => self.refuse(first, failure),
            }
        }
    }

    /// All that wait: a connection for each would end no better.
    fn refuse(&mut self, first: Request, failure: Failure) {
        let _ = first.answer.send(Err(failure));
        while let Ok(request) = self.requests.try_recv() {
            let _ = request.answer.send(Err(failure));
        }
    }

    /// Until the connection ends, or nobody has used it for a while. Who still waits then hears so.
    async fn serve(&mut self, connection: Box<dyn Connection>, first: Request) {
        let (reader, mut writer) = tokio::io::split(connection);
        let (frames, mut arrived) = mpsc::channel(16);
        let reading = tokio::task::spawn_local(read(BufReader::new(reader), frames));
        let mut waiting = Waiting::new();
        let mut next = Some(first);
        let mut heard = Instant::now();
        loop {
            if let Some(request) = next.take() {
                if waiting.is_empty() {
                    heard = Instant::now();
                }
                let frame = enter(&mut waiting, request);
                let written = timeout(IDLE, writer.write_all(&frame)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
            }
            let patience = if waiting.is_empty() { IDLE } else { self.silence };
            tokio::select! {
                frame = arrived.recv() => match frame {
                    Some(frame) => {
                        heard = Instant::now();
                        self.dial.is_well();
                        dispatch(&mut waiting, frame);
                    }
                    None => break,
                },
                request = self.requests.recv() => match request {
                    Some(request) => next = Some(request),
                    None => break,
                },
                () = sleep_until(heard + patience) => break,
            }
        }
        reading.abort();
        waiting.into_values().for_each(|request| drop(request.answer.send(Err(Failure::Ended))));
    }
}

type Waiting = HashMap<u16, Request>;

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
