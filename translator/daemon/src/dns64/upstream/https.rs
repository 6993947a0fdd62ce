//! DNS over HTTPS (RFC 8484): POST requests that share an HTTP/2 connection.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request, StatusCode, header};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Asker, Failure, Question, in_time};
use crate::tls;

const MEDIA_TYPE: &str = "application/dns-message";
/// A DNS message has 16 bits for its length where it has one at all.
const LARGEST: usize = 65_535;

/// A server, and the connection to it if there is one.
pub(super) struct Https {
    host: String,
    port: u16,
    uri: http::Uri,
    connector: TlsConnector,
    name: ServerName<'static>,
    connection: RefCell<Option<SendRequest<Bytes>>>,
}

impl Https {
    pub(super) fn new(host: String, port: u16, path: String, connector: TlsConnector) -> Option<Self> {
        let name = tls::server_name(&host)?;
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let uri = http::Uri::builder().scheme("https").authority(authority).path_and_query(path).build().ok()?;
        Some(Self { host, port, uri, connector, name, connection: RefCell::new(None) })
    }

    pub(super) async fn ask(&self, asker: &Rc<Asker>, question: &Question) -> Result<Vec<u8>, Failure> {
        let kept = self.connection.borrow().clone();
        if let Some(connection) = kept {
            match self.once(connection, question).await {
                // The server may have closed it meanwhile.
                Err(Failure::Network) => drop(self.connection.take()),
                other => return self.checked(asker, question, other?),
            }
        }
        let connection = in_time(self.connect()).await?;
        *self.connection.borrow_mut() = Some(connection.clone());
        let answer = self.once(connection, question).await?;
        self.checked(asker, question, answer)
    }

    fn checked(&self, asker: &Asker, question: &Question, answer: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let mut asked = question.bytes.clone();
        asked[..2].fill(0);
        if asker.accepts(&asked, &answer) { Ok(answer) } else { Err(Failure::Malformed) }
    }

    async fn connect(&self) -> Result<SendRequest<Bytes>, Failure> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|_| Failure::Network)?;
        tcp.set_nodelay(true).map_err(|_| Failure::Network)?;
        let tls = self.connector.connect(self.name.clone(), tcp).await.map_err(|_| Failure::Network)?;
        let (requests, connection) = h2::client::handshake(tls).await.map_err(|_| Failure::Network)?;
        tokio::task::spawn_local(async move {
            // Who waits for an answer hears of the error too.
            let _ = connection.await;
        });
        Ok(requests)
    }

    async fn once(&self, connection: SendRequest<Bytes>, question: &Question) -> Result<Vec<u8>, Failure> {
        let failed = |_| Failure::Network;
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
        let response = response.await.map_err(failed)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Malformed);
        }
        let mut body = response.into_body();
        let mut answer = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk.map_err(failed)?;
            if answer.len() + chunk.len() > LARGEST {
                return Err(Failure::Malformed);
            }
            let _ = body.flow_control().release_capacity(chunk.len());
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}
