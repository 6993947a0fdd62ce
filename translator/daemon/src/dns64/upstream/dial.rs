//! A connection to a server: TCP, and TLS inside where that is asked for. What keeps us from it is said once, not for every
//! question.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Failure;
use crate::tls;

/// A connection must be there within this time. Who asks gives up earlier; the next question finds it.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to reach a server.
pub(super) struct Dial {
    host: Host,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// What the configuration calls it.
    server: String,
    trouble: RefCell<Option<String>>,
}

/// Where it is.
pub(super) enum Host {
    Address(SocketAddr),
    Name(String, u16),
}

pub(super) trait Connection: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

impl Dial {
    pub(super) fn new(server: String, host: Host, tls: Option<(TlsConnector, ServerName<'static>)>) -> Self {
        Self { host, tls, server, trouble: RefCell::default() }
    }

    /// A new connection.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], and the reason is in the log.
    pub(super) async fn connect(&self) -> Result<Box<dyn Connection>, Failure> {
        let late = |_| Err(format!("there is no connection within {} s", PATIENCE.as_secs()));
        match timeout(PATIENCE, self.try_to()).await.unwrap_or_else(late) {
            Ok(connection) => Ok(connection),
            Err(why) => {
                self.is_in_trouble(why);
                Err(Failure::Unreachable)
            }
        }
    }

    async fn try_to(&self) -> Result<Box<dyn Connection>, String> {
        let failed = |error: io::Error| tls::reason(&error);
        let tcp = match &self.host {
            Host::Address(address) => TcpStream::connect(address).await,
            Host::Name(name, port) => TcpStream::connect((name.as_str(), *port)).await,
        };
        let tcp = tcp.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), tcp).await.map_err(failed)?)),
        }
    }

    /// Says so, unless that was the last thing said.
    pub(super) fn is_in_trouble(&self, why: String) {
        let mut trouble = self.trouble.borrow_mut();
        if trouble.as_ref() != Some(&why) {
            tracing::warn!("upstream {} cannot be asked: {why}", self.server);
            *trouble = Some(why);
        }
    }

    /// It answers.
    pub(super) fn is_well(&self) {
        if self.trouble.take().is_some() {
            tracing::info!("upstream {} answers again", self.server);
        }
    }
}
