//! Mutual TLS as go-plugin means it: each side made a certificate for this one conversation, and accepts that one only.
//!
//! rustls must use aws-lc-rs: Terraform's certificate is ECDSA P-521, which ring cannot verify; a server that does not offer
//! P-521 gets no client certificate at all. And webpki refuses that certificate as a leaf, because it says `CA:TRUE`. So we
//! compare it byte by byte, which is also the stricter thing to do.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, ServerConfig, SignatureScheme,
};

/// Our half of the conversation: how to accept Terraform, and the certificate it must be told.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS: {0}")]
    Config(#[from] Error),
}

/// Makes a certificate for this process and accepts nobody but `client`.
pub(crate) fn identity(client: CertificateDer<'static>) -> Result<Identity, TlsError> {
    // Terraform asks for "localhost"; a name in the subject alone does not count.
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?.der().clone();
    // The provider is named: with a second TLS user in the program, rustls would otherwise not know which one to take.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Pinned { client, algorithms: provider.signature_verification_algorithms };
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| Error::General(error.to_owned()))?;
    let mut config = server_config(provider, verifier)?.with_single_cert(vec![certificate.clone()], key)?;
    // Terraform 1.12 and later refuse gRPC without ALPN.
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Identity { config: Arc::new(config), certificate })
}

type AwaitingCertificate =
    tokio_rustls::rustls::ConfigBuilder<ServerConfig, tokio_rustls::rustls::server::WantsServerCert>;

fn server_config(provider: Arc<CryptoProvider>, verifier: Pinned) -> Result<AwaitingCertificate, Error> {
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
    Ok(builder.with_client_cert_verifier(Arc::new(verifier)))
}

/// Accepts one certificate: the one Terraform made for this run.
#[derive(Debug)]
struct Pinned {
    client: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *leaf == self.client {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P521_SHA512};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A certificate like go-plugin's: P-521, and a CA.
    struct Client {
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    }

    fn terraform() -> Client {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Client { certificate, key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
    }

    /// Connects and reads the one byte a server sends to whom it trusts.
    async fn talk(identity: &Identity, client: Option<Client>) -> io::Result<u8> {
        let mut roots = RootCertStore::empty();
        roots.add(identity.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            // Not `with_client_auth_cert`: that one checks whether the key is the certificate's.
            Some(client) => {
                let key = aws_lc_rs::sign::any_supported_type(&client.key).unwrap();
                let certified = CertifiedKey::new(vec![client.certificate], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        let (near, far) = tokio::io::duplex(16 << 10);
        let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
        let server = async {
            let mut stream = acceptor.accept(far).await?;
            stream.write_all(b"!").await?;
            stream.shutdown().await
        };
        let reader = async {
            let mut stream =
                TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), near).await?;
            stream.read_u8().await
        };
        let (accepted, read) = tokio::join!(server, reader);
        accepted.and(read)
    }

    #[tokio::test]
    async fn the_pinned_certificate_is_let_in() {
        let client = terraform();
        let identity = identity(client.certificate.clone()).unwrap();

        assert_eq!(talk(&identity, Some(client)).await.unwrap(), b'!');
    }

    #[tokio::test]
    async fn another_certificate_of_the_same_shape_is_refused() {
        let identity = identity(terraform().certificate).unwrap();

        let error = talk(&identity, Some(terraform())).await.unwrap_err();

        assert!(error.to_string().contains("ApplicationVerificationFailure"), "{error}");
    }

    #[tokio::test]
    async fn no_certificate_is_refused() {
        let identity = identity(terraform().certificate).unwrap();

        assert!(talk(&identity, None).await.is_err());
    }

    #[tokio::test]
    async fn the_right_certificate_without_its_key_is_refused() {
        let client = terraform();
        let identity = identity(client.certificate.clone()).unwrap();
        let thief = Client { certificate: client.certificate, key: terraform().key };

        assert!(talk(&identity, Some(thief)).await.is_err());
    }
}
