//! A resolver to ask, and how: plain, over TLS (RFC 7858) or over HTTPS (RFC 8484).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::Domain;
use crate::egress::number;
use crate::text::{quote, serde_as_text};

/// A resolver: `udp://[2001:db8::53]:53` (or the address alone), `tls://1.1.1.1#cloudflare-dns.com` or
/// `https://dns.google/dns-query`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// UDP, and TCP where an answer does not fit.
    Udp {
        /// Port 53 unless another is given.
        address: SocketAddr,
    },
    /// DNS over TLS.
    Tls {
        /// Port 853 unless another is given.
        address: SocketAddr,
        /// Whom the certificate must name; `None`: the address itself.
        name: Option<Domain>,
    },
    /// DNS over HTTPS.
    Https {
        /// Whom the certificate must name, and where it is.
        host: Host,
        /// Port 443 unless another is given.
        port: u16,
        /// Begins with a slash.
        path: String,
    },
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Known already.
    Address(IpAddr),
    /// To be resolved.
    Name(Domain),
}

const UDP_PORT: u16 = 53;
const TLS_PORT: u16 = 853;
const HTTPS_PORT: u16 = 443;
/// Where most resolvers answer.
const HTTPS_PATH: &str = "/dns-query";
const LONGEST_PATH: usize = 256;

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let upstream = match text.split_once("://") {
            None => udp(text),
            Some(("udp", rest)) => udp(rest),
            Some(("tls", rest)) => tls(rest),
            Some(("https", rest)) => https(rest),
            Some(_) => None,
        };
        upstream.ok_or_else(|| UpstreamError { found: quote(text) })
    }
}

fn udp(text: &str) -> Option<Upstream> {
    Some(Upstream::Udp { address: socket(text, UDP_PORT)? })
}

fn tls(text: &str) -> Option<Upstream> {
    let (address, name) = match text.split_once('#') {
        Some((address, name)) => (address, Some(name.parse().ok()?)),
        None => (text, None),
    };
    Some(Upstream::Tls { address: socket(address, TLS_PORT)?, name })
}

fn https(text: &str) -> Option<Upstream> {
    let (authority, path) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, HTTPS_PATH),
    };
    // RFC 3986 §3.3; neither query nor fragment, and nothing that could end a line.
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte);
    if path.len() > LONGEST_PATH || !path.bytes().all(legal) {
        return None;
    }
    let (host, port) = match socket(authority, HTTPS_PORT) {
        Some(socket) => (Host::Address(socket.ip()), socket.port()),
        None => {
            let (name, port) = match authority.split_once(':') {
                Some((name, port)) => (name, number(port).filter(|port| *port != 0)?),
                None => (authority, HTTPS_PORT),
            };
            // A name of digits and dots would be an address that somebody mistyped.
            let is_name = name.bytes().any(|byte| byte.is_ascii_alphabetic());
            (Host::Name(name.parse().ok().filter(|_| is_name)?), port)
        }
    };
    Some(Upstream::Https { host, port, path: path.to_owned() })
}

fn socket(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let socket = text.parse().or_else(|_| bare.parse().map(|address: IpAddr| SocketAddr::new(address, port))).ok()?;
    let is_host = !socket.ip().is_unspecified() && !socket.ip().is_multicast() && socket.port() != 0;
    is_host.then_some(socket)
}

/// The text is no [`Upstream`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found} is no resolver; write it like udp://9.9.9.9, tls://1.1.1.1#cloudflare-dns.com or https://dns.google/dns-query"
)]
pub struct UpstreamError {
    found: String,
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { address } => write!(f, "udp://{}", Authority(address.ip(), address.port(), UDP_PORT)),
            Self::Tls { address, name } => {
                write!(f, "tls://{}", Authority(address.ip(), address.port(), TLS_PORT))?;
                name.iter().try_for_each(|name| write!(f, "#{name}"))
            }
            Self::Https { host: Host::Address(address), port, path } => {
                write!(f, "https://{}{path}", Authority(*address, *port, HTTPS_PORT))
            }
            Self::Https { host: Host::Name(name), port: HTTPS_PORT, path } => write!(f, "https://{name}{path}"),
            Self::Https { host: Host::Name(name), port, path } => write!(f, "https://{name}:{port}{path}"),
        }
    }
}

/// An address, its port, and the port that need not be said.
struct Authority(IpAddr, u16, u16);

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address, port, usual) = self;
        match address {
            IpAddr::V4(address) => address.fmt(f)?,
            IpAddr::V6(address) => write!(f, "[{address}]")?,
        }
        if port == usual { Ok(()) } else { write!(f, ":{port}") }
    }
}

serde_as_text!(Upstream);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_one_written_form() {
        let forms = [
            ("9.9.9.9", "udp://9.9.9.9"),
            ("2001:db8::53", "udp://[2001:db8::53]"),
            ("udp://[2001:db8::53]:53", "udp://[2001:db8::53]"),
            ("udp://9.9.9.9:5353", "udp://9.9.9.9:5353"),
            ("tls://1.1.1.1#cloudflare-dns.com", "tls://1.1.1.1#cloudflare-dns.com"),
            ("tls://[2001:db8::1]:8853", "tls://[2001:db8::1]:8853"),
            ("https://dns.google/dns-query", "https://dns.google/dns-query"),
            ("https://dns.google", "https://dns.google/dns-query"),
            ("https://dns.google:8443/q", "https://dns.google:8443/q"),
            ("https://[2001:db8::1]/dns-query", "https://[2001:db8::1]/dns-query"),
        ];

        for (text, written) in forms {
            let upstream: Upstream = text.parse().unwrap();

            assert_eq!(upstream.to_string(), written);
            assert_eq!(written.parse::<Upstream>(), Ok(upstream));
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let texts = [
            "",
            "resolver.example",
            "udp://resolver.example",
            "udp://0.0.0.0",
            "udp://9.9.9.9:0",
            "tls://",
            "tls://1.1.1.1#",
            "tls://1.1.1.1#a b",
            "https://",
            "https:///dns-query",
            "https://1.1.1/dns-query",
            "https://user@dns.google/",
            "https://dns.google/?dns",
            "https://dns.google/\r\n",
            "http://dns.google/",
        ];

        for text in texts {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }
}
