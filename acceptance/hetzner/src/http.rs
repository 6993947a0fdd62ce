//! HTTP/1.1 around [`Api`], over TCP or TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hetzner::{Api, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Far more than a request has.
const LARGEST_BODY: usize = 1 << 20;
/// What every path of Hetzner's begins with.
const VERSION: &str = "/v1";

type Shared = Arc<Mutex<Api>>;

/// A certificate for a name, its public half in a file.
pub(crate) fn certificate(name: String, path: &Path) -> Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed([name])?;
    std::fs::write(path, pem(made.cert.der())).with_context(|| path.display().to_string())?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// RFC 7468 §5.1.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

/// Serves until it is killed.
pub(crate) async fn serve(listen: SocketAddr, tls: Option<TlsAcceptor>, api: Api) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| listen.to_string())?;
    eprintln!("ready at {}", listener.local_addr()?);
    let api = Arc::new(Mutex::new(api));
    loop {
        let (tcp, _) = listener.accept().await?;
        let (tls, api) = (tls.clone(), Arc::clone(&api));
        tokio::spawn(async move {
            match tls {
                // Who does not believe us has gone already.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(tcp).await {
                        connection(stream, api).await;
                    }
                }
                None => connection(tcp, api).await,
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, api: Shared) {
    let service = service_fn(move |request| answer(request, Arc::clone(&api)));
    // A connection that breaks is its client's affair.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: hyper::Request<Incoming>, api: Shared) -> Result<hyper::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let path = head.uri.path();
    let request = Request {
        method: head.method.as_str(),
        path: path.strip_prefix(VERSION).unwrap_or(path),
        query: head.uri.query().map(query).unwrap_or_default(),
        token: token.and_then(|value| value.strip_prefix("Bearer ")),
        body: &body,
    };
    let response = api.lock().unwrap_or_else(PoisonError::into_inner).handle(now(), &request);
    written(response)
}

fn written(Response { status, headers, body }: Response) -> Result<hyper::Response<Full<Bytes>>> {
    let bytes = body.map(|body| body.to_string()).unwrap_or_default();
    let mut response = hyper::Response::builder().status(status).body(Full::new(Bytes::from(bytes)))?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_str(&value)?);
    }
    Ok(response)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// `application/x-www-form-urlencoded`: what is no escape stands for itself.
fn decode(text: &str) -> String {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                decoded.push(escaped);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(*other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let pairs = query("label_selector=a%3D%3Db%2Cc%20in+%28d%29&page=2&odd=%zz&x");

        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("label_selector", "a==b,c in (d)"), ("page", "2"), ("odd", "%zz"), ("x", "")]);
    }
}
