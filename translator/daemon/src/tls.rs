//! TLS towards others: whom to believe, and for which protocol.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Where Debian keeps the authorities that everybody believes.
pub(crate) const CA_FILE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What is spoken inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RFC 7858.
    Dot,
    /// RFC 8484, over HTTP/2.
    Https,
    /// RFC 9112.
    Http1,
}

/// The authorities that are believed.
pub(crate) struct Tls(RootCertStore);

impl Tls {
    pub(crate) fn new(ca_file: &Path) -> Result<Self, String> {
        let unreadable = |why: String| {
            format!("ca_file {}: {why}; install ca-certificates, or name a file of PEM certificates", ca_file.display())
        };
        let certificates = CertificateDer::pem_file_iter(ca_file).map_err(|error| unreadable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // One that this library cannot read is one less to believe.
        roots.add_parsable_certificates(certificates.flatten());
        if roots.is_empty() {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
        Ok(Self(roots))
    }

    pub(crate) fn connector(&self, protocol: Protocol) -> TlsConnector {
        let mut config = ClientConfig::builder().with_root_certificates(self.0.clone()).with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::Dot => vec![b"dot".to_vec()],
            Protocol::Https => vec![b"h2".to_vec()],
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// The name, or the address, that a certificate must be for.
pub(crate) fn server_name(text: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(text.trim_end_matches('.').to_owned()).ok()
}
