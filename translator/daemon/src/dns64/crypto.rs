//! The arithmetic of DNSSEC, by aws-lc.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use dns64::dnssec::Crypto;

/// Stateless.
pub(super) struct AwsLc;

impl Crypto for AwsLc {
    fn knows_algorithm(&self, algorithm: u8) -> bool {
        matches!(algorithm, 5 | 7 | 8 | 10 | 13 | 14 | 15)
    }

    fn verifies(&self, algorithm: u8, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            5 | 7 => rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key, message, signature),
            8 => rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key, message, signature),
            10 => rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, key, message, signature),
            13 => ecdsa(&ECDSA_P256_SHA256_FIXED, key, message, signature),
            14 => ecdsa(&ECDSA_P384_SHA384_FIXED, key, message, signature),
            15 => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            _ => false,
        }
    }

    fn digest(&self, kind: u8, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match kind {
            1 => &SHA1_FOR_LEGACY_USE_ONLY,
            2 => &SHA256,
            4 => &SHA384,
            _ => return None,
        };
        Some(digest::digest(algorithm, message).as_ref().to_vec())
    }
}

/// RFC 3110 §2: the exponent's length, the exponent, the modulus.
fn rsa(parameters: &'static RsaParameters, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (length, rest) = match key {
        [0, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [] | [0, ..] => return false,
        [length, rest @ ..] => (usize::from(*length), rest),
    };
    let Some((e, n)) = rest.split_at_checked(length) else { return false };
    // Leading zeros are legal in DNS and nowhere else.
    let trim = |number: &'_ [u8]| number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    let (e, n) = (&e[trim(e)..], &n[trim(n)..]);
    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
}

/// RFC 6605 §4: the two coordinates; elsewhere an octet in front says that they are not compressed.
fn ecdsa(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, [&[4], key].concat()).verify(message, signature).is_ok()
}
