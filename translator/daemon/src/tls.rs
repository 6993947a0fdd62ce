//! TLS towards others: whom to believe, and for which protocol.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::error::Reason;

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

/// Why there is no connection, and what to do about it.
pub(crate) fn reason(error: &io::Error) -> String {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::InvalidCertificate(wrong)) = of_tls else { return Reason(error).to_string() };
    // A signature is bad by another root of the same name.
    if matches!(wrong, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
        return "nobody whom we believe vouches for its certificate; add its root to ca_file".to_owned();
    }
    if matches!(wrong, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) {
        return "its certificate is for another name; is ours right?".to_owned();
    }
    if matches!(wrong, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        return "its certificate has expired; is this machine's clock right?".to_owned();
    }
    if matches!(wrong, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        return "its certificate is not valid yet; is this machine's clock right?".to_owned();
    }
    Reason(error).to_string()
}
