//! Accepts connections and turns their lines into queries for the main loop, which alone knows the answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::socket::SocketFile;
use super::{Request, Response};
use crate::error::{Error, one_line};

/// Requests are a few dozen bytes.
const LONGEST_REQUEST_BYTES: u64 = 4096;
/// One operator, a dashboard and a few scripts.
const MOST_CONNECTIONS: usize = 16;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// A request, and where its answer goes.
pub(crate) struct Query {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Response>,
}

/// The listening socket; dropping it ends every connection and removes the socket's file.
pub(crate) struct Control {
    queries: mpsc::Receiver<Query>,
    accepting: JoinHandle<()>,
    _file: SocketFile,
}

impl Control {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::SocketInUse`], [`Error::Control`].
    pub(crate) fn bind(path: &Path) -> Result<Self, Error> {
        let (file, listener) = SocketFile::bind(path)?;
        let listener =
            UnixListener::from_std(listener).map_err(|source| Error::Control { path: path.to_owned(), source })?;
        let (sender, queries) = mpsc::channel(1);
        Ok(Self { queries, accepting: tokio::spawn(accept(listener, sender)), _file: file })
    }

    /// The next request; pends for ever if no more can come.
    pub(crate) async fn next(&mut self) -> Query {
        match self.queries.recv().await {
            Some(query) => query,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, queries: mpsc::Sender<Query>) {
    let permits = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let queries = queries.clone();
                connections.spawn(async move {
                    let _permit = permit;
                    serve(stream, queries).await;
                });
            }
            Err(error) => {
                tracing::warn!("control socket: {error}");
                // Out of descriptors, most likely: trying again at once would only burn time.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Serves one connection until it closes, is silent for too long, or sends what is no line.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite, queries: mpsc::Sender<Query>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::with_capacity(1024, reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut request = (&mut reader).take(LONGEST_REQUEST_BYTES);
        let Ok(Ok(1..)) = timeout(IDLE, request.read_until(b'\n', &mut line)).await else { return };
        let whole = line.ends_with(b"\n");
        let response = if whole { answer(&line, &queries).await } else { too_long() };
        let mut text = serde_json::to_vec(&response).expect("maps with text keys always serialize");
        text.push(b'\n');
        let Ok(Ok(())) = timeout(IDLE, writer.write_all(&text)).await else { return };
        if !whole {
            return;
        }
    }
}

fn too_long() -> Response {
    Response::Error(format!("a request is one line of JSON of at most {LONGEST_REQUEST_BYTES} bytes"))
}

async fn answer(line: &[u8], queries: &mpsc::Sender<Query>) -> Response {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return Response::Error(one_line(&format!("not a request of this version: {error}"))),
    };
    let (answer, response) = oneshot::channel();
    let stopping = || Response::Error("the translator is stopping".to_owned());
    if queries.send(Query { request, answer }).await.is_err() {
        return stopping();
    }
    response.await.unwrap_or_else(|_| stopping())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::*;

    /// Sends `bytes`, closes that direction, and returns everything that comes back.
    async fn exchange(bytes: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let mut control = Control::bind(&path).unwrap();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        let client = async {
            // The server may hang up on a flood before all of it is sent.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text).await;
            text
        };
        let main_loop = async {
            loop {
                let query = control.next().await;
                let _ = query.answer.send(Response::Error(format!("asked for {:?}", query.request)));
            }
        };
        tokio::select! { text = client => text, () = main_loop => unreachable!("it never ends") }
    }

    #[tokio::test]
    async fn several_requests_on_one_connection_are_answered_in_turn() {
        let answers = exchange(b"{\"command\":\"status\"}\n{\"command\":\"status\"}\n").await;

        assert_eq!(answers, "{\"error\":\"asked for Status\"}\n".repeat(2));
    }

    #[tokio::test]
    async fn what_is_no_request_gets_an_error_and_the_next_is_served() {
        let answers = exchange(b"garbage\n{\"command\":\"frobnicate\"}\n\xff\n{\"command\":\"status\"}\n").await;

        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), 4);
        assert!(answers[..3].iter().all(|answer| answer.starts_with("{\"error\":\"not a request")), "{answers:?}");
        assert_eq!(answers[3], "{\"error\":\"asked for Status\"}");
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_off() {
        let answers = exchange(&vec![b'x'; 1 << 20]).await;

        assert!(answers.lines().count() <= 1, "{answers}");
    }

    #[tokio::test]
    async fn half_a_request_is_an_error() {
        let answers = exchange(b"{\"command\":").await;

        assert_eq!(answers, "{\"error\":\"a request is one line of JSON of at most 4096 bytes\"}\n");
    }
}
