//! Questions to Hetzner's API: a GET for each page of a list, over HTTP/1.1 and TLS. Answers are hostile until they are read.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use contract::LabelSelector;
use http::Request;
use http::header::{AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Options;
use super::failure::{Failure, brief};
use super::pace::Budget;
use super::server::{Page, Refusal, Server};
use crate::error::Reason;
use crate::tls::{self, Protocol, Tls};

/// What Hetzner takes at most.
const PER_PAGE: u32 = 50;
/// Ten thousand servers; Hetzner lets nobody have as many.
const MOST_PAGES: u32 = 200;
/// Fifty servers with everything about their types are a tenth of it.
const LARGEST_PAGE: usize = 8 << 20;
const LONGEST_TOKEN: usize = 4096;
/// For one request, from the connection to the last byte.
const PATIENCE: Duration = Duration::from_secs(15);
const AGENT: &str = concat!("hetznat-translator/", env!("CARGO_PKG_VERSION"));

/// Where the API is: `https://api.hetzner.cloud/v1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    /// What every path begins with, without a slash at its end.
    path: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no address of an API; write it like https://api.hetzner.cloud/v1");
        let uri: http::Uri = text.parse().map_err(|_| refused())?;
        // A token never travels in the clear.
        if uri.scheme_str() != Some("https") || uri.query().is_some() {
            return Err(refused());
        }
        let host = uri.host().map(|host| host.trim_matches(['[', ']']).to_owned()).ok_or_else(refused)?;
        tls::server_name(&host).ok_or_else(refused)?;
        Ok(Self { host, port: uri.port_u16().unwrap_or(443), path: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// Asks, and remembers how much it may ask.
pub(super) struct Client {
    options: Options,
    requests: u32,
    budget: Budget,
}

impl Client {
    pub(super) fn new(options: Options) -> Self {
        Self { options, requests: 0, budget: Budget::default() }
    }

    /// Counts requests from here.
    pub(super) fn begin(&mut self) {
        self.requests = 0;
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    pub(super) fn budget(&self) -> Budget {
        self.budget
    }

    /// Every server with these labels.
    pub(super) async fn servers(&mut self, selector: &LabelSelector) -> Result<Vec<Server>, Failure> {
        // Read each time: a new token is a new file.
        let authorization = authorization(self.options.token.as_deref())?;
        let (mut servers, mut page) = (Vec::new(), 1);
        while let Some(next) = self.page(selector, page, &authorization, &mut servers).await? {
            // Pages that go in circles would never end.
            if next <= page || next > u64::from(MOST_PAGES) {
                return Err(Failure::Malformed(format!("page {next} after page {page}")));
            }
            page = next;
        }
        Ok(servers)
    }

    /// Adds the servers of a page; the number of the next one.
    async fn page(
        &mut self,
        selector: &LabelSelector,
        page: u64,
        authorization: &HeaderValue,
        servers: &mut Vec<Server>,
    ) -> Result<Option<u64>, Failure> {
        let Endpoint { path, .. } = &self.options.endpoint;
        let uri =
            format!("{path}/servers?label_selector={}&per_page={PER_PAGE}&page={page}", Escaped(selector.as_str()));
        self.requests += 1;
        let asked = timeout(PATIENCE, self.get(&uri, authorization.clone())).await;
        let (head, body) = asked.unwrap_or_else(|_| Err(self.unreachable("no answer in time".to_owned())))?;
        let number = |name: &str| head.headers.get(name)?.to_str().ok()?.parse().ok();
        self.budget = Budget { limit: number("ratelimit-limit"), remaining: number("ratelimit-remaining") };
        if !head.status.is_success() {
            let refusal = parse::<Refusal>(&body).map(|refusal| refusal.error);
            let (code, message) = refusal
                .map_or_else(|_| ("no code".to_owned(), "no message".to_owned()), |error| (error.code, error.message));
            return Err(Failure::refused(head.status.as_u16(), code, message, selector));
        }
        let Page { servers: found, meta } = parse(&body)?;
        servers.extend(found);
        Ok(meta.pagination.next_page)
    }

    async fn get(&self, uri: &str, authorization: HeaderValue) -> Result<(http::response::Parts, Bytes), Failure> {
        let Options { endpoint: Endpoint { host, port, .. }, ca_file, .. } = &self.options;
        let tls = Tls::new(ca_file).map_err(Failure::Tls)?;
        let name = tls::server_name(host).ok_or_else(|| self.unreachable("it has no name".to_owned()))?;
        let failed = |error: std::io::Error| self.unreachable(Reason(&error).to_string());
        let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
        let stream = tls.connector(Protocol::Http1).connect(name, tcp).await.map_err(failed)?;
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let request = Request::get(uri)
            .header(HOST, authority)
            .header(USER_AGENT, AGENT)
            .header(AUTHORIZATION, authorization)
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failure::Malformed(brief(&error.to_string())))?;
        let broken = |error: hyper::Error| self.unreachable(brief(&error.to_string()));
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            // Who waits for the answer hears of the error too; the connection ends when nobody does.
            let _ = connection.await;
        });
        let (head, body) = requests.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, LARGEST_PAGE).collect().await;
        let body = body.map_err(|error| Failure::Malformed(brief(&error.to_string())))?;
        Ok((head, body.to_bytes()))
    }

    fn unreachable(&self, reason: String) -> Failure {
        Failure::Unreachable { host: self.options.endpoint.host.clone(), reason }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::Malformed(brief(&error.to_string())))
}

fn authorization(path: Option<&Path>) -> Result<HeaderValue, Failure> {
    let path = path.ok_or(Failure::NoToken)?;
    let text = read_token(path)?;
    let token = text.trim();
    let legal = |byte: u8| byte.is_ascii_graphic();
    if token.is_empty() || token.len() > LONGEST_TOKEN || !token.bytes().all(legal) {
        return Err(Failure::NotAToken(path.to_owned()));
    }
    let bearer = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&bearer).map_err(|_| Failure::NotAToken(path.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: std::io::Error| Failure::TokenUnreadable {
        path: path.to_owned(),
        reason: if error.kind() == ErrorKind::InvalidData {
            "it is no text".to_owned()
        } else {
            Reason(&error).to_string()
        },
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!("Hetzner token {} is readable by others; run chmod 600 on it", path.display());
    }
    if metadata.len() > LONGEST_TOKEN as u64 {
        return Err(Failure::NotAToken(path.to_owned()));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(unreadable)
}

/// Text as a part of a URL's query.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            // RFC 3986 §2.3.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_escaped() {
        assert_eq!(Escaped("a==b,c in (d)").to_string(), "a%3D%3Db%2Cc%20in%20%28d%29");
    }

    #[test]
    fn a_token_travels_over_tls_only() {
        let read = |text: &str| text.parse::<Endpoint>();

        let hetzner = read("https://api.hetzner.cloud/v1").unwrap();
        assert_eq!((hetzner.host.as_str(), hetzner.port, hetzner.path.as_str()), ("api.hetzner.cloud", 443, "/v1"));
        let own = read("https://[2001:db8::1]:8443/v1/").unwrap();
        assert_eq!((own.host.as_str(), own.port, own.path.as_str()), ("2001:db8::1", 8443, "/v1"));
        for text in ["", "api.hetzner.cloud", "http://api.hetzner.cloud/v1", "https:///v1", "https://a/?b"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_token_is_said_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let read = || authorization(Some(&path)).map_err(|failure| failure.to_string());

        assert!(read().unwrap_err().starts_with("cannot read the Hetzner token"));
        for text in ["", "two words", "a\nb", &"a".repeat(5_000)] {
            std::fs::write(&path, text).unwrap();
            let said = read().unwrap_err();
            assert!(said.contains("holds no token") && !said.contains("two words"), "{said}");
        }
        std::fs::write(&path, "secret\n").unwrap();
        let header = read().unwrap();
        assert!(header == "Bearer secret" && !format!("{header:?}").contains("secret"));
        assert_eq!(authorization(None).unwrap_err(), Failure::NoToken);
    }
}
