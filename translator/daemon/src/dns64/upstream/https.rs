//! DNS over HTTPS (RFC 8484): POST requests that share an HTTP/2 connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use h2::client::SendRequest;
use http::{Method, Request, StatusCode, header};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::dial::Dial;
use super::{Asker, Failure, Question};

const MEDIA_TYPE: &str = "application/dns-message";
/// A DNS message has 16 bits for its length where it has one at all.
const LARGEST: usize = 65_535;

/// A server, and the connection to it if there is one.
pub(super) struct Https {
    dial: Rc<Dial>,
    uri: http::Uri,
    connection: RefCell<Option<Connecting>>,
    /// Since when a question has no answer, nor any other that was asked after it.
    silent_since: Cell<Option<Instant>>,
    /// After this much of it the connection counts as dead: packets may no longer arrive, and nobody says so.
    silence: Duration,
}

/// Whoever asks meanwhile waits for the same one.
type Connecting = Shared<LocalBoxFuture<'static, Result<SendRequest<Bytes>, Failure>>>;

impl Https {
    pub(super) fn new(dial: Dial, uri: http::Uri, silence: Duration) -> Self {
        Self { dial: Rc::new(dial), uri, connection: RefCell::default(), silent_since: Cell::default(), silence }
    }

    pub(super) async fn ask(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let (connection, is_kept) = self.connection();
        let answer = match self.answer(&connection, question).await {
            // The server closed a connection that it had kept open: a new one may serve.
            Err(Failure::Ended) if is_kept => self.answer(&self.connection().0, question).await?,
            other => other?,
        };
        let mut asked = question.bytes.clone();
        asked[..2].fill(0);
        if asker.accepts(&asked, &answer) { Ok(answer) } else { Err(Failure::Malformed) }
    }

    /// The connection, and whether it was there already.
    fn connection(&self) -> (Connecting, bool) {
        let mut kept = self.connection.borrow_mut();
        if self.silent_since.get().is_some_and(|since| since.elapsed() > self.silence) {
            self.silent_since.set(None);
            *kept = None;
        }
        let is_kept = kept.as_ref().is_some_and(|connection| connection.peek().is_some());
        (kept.get_or_insert_with(|| self.connect()).clone(), is_kept)
    }

    /// In a task of its own: it goes on when who asked has given up.
    fn connect(&self) -> Connecting {
        let (done, made) = oneshot::channel();
        let dial = Rc::clone(&self.dial);
        tokio::task::spawn_local(async move { done.send(connect(&dial).await) });
        made.map(|made| made.unwrap_or(Err(Failure::Unreachable))).boxed_local().shared()
    }

    async fn answer(&self, connection: &Connecting, question: &Question) -> Result<Vec<u8>, Failure> {
        let outcome = match connection.clone().await {
            Ok(requests) => self.once(requests, question).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(_) | Err(Failure::Malformed) => self.silent_since.set(None),
            Err(Failure::Ended | Failure::Unreachable) => {
                let mut kept = self.connection.borrow_mut();
                // Somebody else may have made another one meanwhile.
                if kept.as_ref().is_some_and(|kept| kept.ptr_eq(connection)) {
                    *kept = None;
                }
            }
        }
        outcome
    }

    async fn once(&self, connection: SendRequest<Bytes>, question: &Question) -> Result<Vec<u8>, Failure> {
        let failed = |_| Failure::Ended;
        let mut body = question.bytes.clone();
        // RFC 8484 §4.1: an id of zero, so that HTTP caches know the question again.
        body[..2].fill(0);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(header::ACCEPT, MEDIA_TYPE)
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .header(header::CONTENT_LENGTH, body.len())
            .body(())
            .map_err(|_| Failure::Malformed)?;
        let mut ready = connection.ready().await.map_err(failed)?;
        let (response, mut stream) = ready.send_request(request, false).map_err(failed)?;
        stream.send_data(Bytes::from(body), true).map_err(failed)?;
        self.silent_since.set(self.silent_since.get().or_else(|| Some(Instant::now())));
        let response = response.await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            self.dial.is_in_trouble(format!("it answers with HTTP status {}; is the path right?", response.status()));
            return Err(Failure::Malformed);
        }
        let answer = whole(response.into_body()).await?;
        self.dial.is_well();
        Ok(answer)
    }
}

async fn connect(dial: &Dial) -> Result<SendRequest<Bytes>, Failure> {
    let connection = dial.connect().await?;
    let (requests, connection) = h2::client::handshake(connection).await.map_err(|_| Failure::Unreachable)?;
    tokio::task::spawn_local(async move {
        // Who waits for an answer hears of the error too.
        let _ = connection.await;
    });
    Ok(requests)
}

async fn whole(mut body: h2::RecvStream) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|_| Failure::Ended)?;
        if answer.len() + chunk.len() > LARGEST {
            return Err(Failure::Malformed);
        }
        let _ = body.flow_control().release_capacity(chunk.len());
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}
