//! A key that answers are validated from, as the DS record that a parent zone would have.

use std::fmt;
use std::str::FromStr;

use super::Domain;
use crate::egress::number;
use crate::text::{quote, serde_as_text};

/// `example. DS 12345 13 2 DIGEST` (RFC 4034 §5.3), with or without TTL and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    zone: Domain,
    tag: u16,
    algorithm: u8,
    digest_type: u8,
    /// Hexadecimal, in capitals.
    digest: String,
}

impl FromStr for TrustAnchor {
    type Err = TrustAnchorError;

    fn from_str(text: &str) -> Result<Self, TrustAnchorError> {
        parse(text).ok_or_else(|| TrustAnchorError { found: quote(text) })
    }
}

fn parse(text: &str) -> Option<TrustAnchor> {
    let mut words = text.split_ascii_whitespace();
    let zone = words.next()?.parse().ok()?;
    let mut words = words.skip_while(|word| *word == "IN" || word.bytes().all(|byte| byte.is_ascii_digit()));
    words.next().filter(|word| *word == "DS")?;
    let mut octets = || words.next().and_then(number);
    let (tag, algorithm, digest_type) = (octets()?, octets()?, octets()?);
    let (algorithm, digest_type) = (u8::try_from(algorithm).ok()?, u8::try_from(digest_type).ok()?);
    let digest = words.collect::<String>().to_ascii_uppercase();
    // SHA-1, SHA-256 and SHA-384 (RFC 8624 §3.3).
    let digits = match digest_type {
        1 => 40,
        2 => 64,
        4 => 96,
        _ => return None,
    };
    let is_digest = digest.len() == digits && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(TrustAnchor { zone, tag, algorithm, digest_type, digest })
}

/// The text is no [`TrustAnchor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no DS record; write it like example. DS 12345 13 2 DIGEST")]
pub struct TrustAnchorError {
    found: String,
}

impl fmt::Display for TrustAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} DS {} {} {} {}", self.zone, self.tag, self.algorithm, self.digest_type, self.digest)
    }
}

serde_as_text!(TrustAnchor);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_have_one_written_form() {
        let text = "signed.example. 3600 IN DS 7 13 1 000102030405060708090a0b0c0d0e0f 10111213";

        let written = text.parse::<TrustAnchor>().unwrap().to_string();

        assert_eq!(written, "signed.example. DS 7 13 1 000102030405060708090A0B0C0D0E0F10111213");
        assert_eq!(written.parse::<TrustAnchor>().unwrap().to_string(), written);
    }

    #[test]
    fn what_is_no_ds_record_is_refused() {
        let texts = [
            "",
            "example.",
            "example. DNSKEY 257 3 13 AAAA",
            "example. DS 1 13 2 00",
            "example. DS 1 13 3 00",
            "example. DS 70000 13 1 000102030405060708090a0b0c0d0e0f10111213",
            "a..b DS 7 13 1 000102030405060708090a0b0c0d0e0f10111213",
            "example. DS 7 13 1 000102030405060708090a0b0c0d0e0f1011121g",
        ];

        for text in texts {
            assert!(text.parse::<TrustAnchor>().is_err(), "{text}");
        }
    }
}
