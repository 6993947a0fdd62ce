//! go-plugin's handshake: what the environment must say, and the one line a plugin prints. No socket here.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Terraform's own; the same for every provider. It keeps people from starting a plugin by hand, nothing more.
const MAGIC_COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

/// What Terraform asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The only certificate that may talk to us. `None` if TLS is switched off (`TF_DISABLE_PLUGIN_TLS`).
    pub(crate) client: Option<CertificateDer<'static>>,
    /// Where the socket should be, if Terraform cares.
    pub(crate) socket_dir: Option<PathBuf>,
}

/// Why nobody can be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    // HashiCorp's text, word for word: people search for it.
    #[error(
        "This binary is a plugin. These are not meant to be executed directly.\n\
         Please execute the program that consumes these plugins, which will\n\
         load any plugins automatically"
    )]
    NotAPlugin,
    #[error("PLUGIN_CLIENT_CERT holds no certificate; is this Terraform?")]
    BadCertificate,
}

/// Reads Terraform's wishes from the environment.
pub(crate) fn hello(env: impl Fn(&str) -> Option<String>) -> Result<Hello, HandshakeError> {
    if env("TF_PLUGIN_MAGIC_COOKIE").as_deref() != Some(MAGIC_COOKIE) {
        return Err(HandshakeError::NotAPlugin);
    }
    let client = match env("PLUGIN_CLIENT_CERT").filter(|pem| !pem.is_empty()) {
        Some(pem) => Some(CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| HandshakeError::BadCertificate)?),
        None => None,
    };
    let socket_dir = env("PLUGIN_UNIX_SOCKET_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    Ok(Hello { client, socket_dir })
}

/// The line that tells Terraform where we listen. It says protocol 5 whatever `PLUGIN_PROTOCOL_VERSIONS` offers: if 5 is
/// not among them, Terraform's own error explains that better than we could.
pub(crate) fn line(socket: &str, server: Option<&CertificateDer<'_>>) -> String {
    // Go decodes without padding and refuses a single `=`.
    let certificate = server.map(|certificate| STANDARD_NO_PAD.encode(certificate)).unwrap_or_default();
    format!("1|5|unix|{socket}|grpc|{certificate}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Hello, HandshakeError> {
        hello(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_the_cookie_it_is_a_person_at_the_keyboard() {
        assert_eq!(with(&[]), Err(HandshakeError::NotAPlugin));
        assert_eq!(with(&[("TF_PLUGIN_MAGIC_COOKIE", "sesame")]), Err(HandshakeError::NotAPlugin));
    }

    #[test]
    fn no_certificate_means_tls_is_off() {
        let hello = with(&[("TF_PLUGIN_MAGIC_COOKIE", MAGIC_COOKIE), ("PLUGIN_CLIENT_CERT", "")]).unwrap();

        assert_eq!(hello, Hello { client: None, socket_dir: None });
    }

    #[test]
    fn a_certificate_that_is_none_is_an_error_and_not_tls_off() {
        let result = with(&[("TF_PLUGIN_MAGIC_COOKIE", MAGIC_COOKIE), ("PLUGIN_CLIENT_CERT", "nonsense")]);

        assert_eq!(result, Err(HandshakeError::BadCertificate));
    }

    #[test]
    fn the_certificate_is_sent_without_padding() {
        let certificate = CertificateDer::from(vec![1]);

        assert_eq!(line("/tmp/plugin", Some(&certificate)), "1|5|unix|/tmp/plugin|grpc|AQ");
        assert_eq!(line("/tmp/plugin", None), "1|5|unix|/tmp/plugin|grpc|");
    }
}
