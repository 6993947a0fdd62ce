//! A domain name as people write it.

use std::fmt;
use std::str::FromStr;

use crate::text::{quote, serde_as_text};

/// A domain name in ASCII, as it was written; `.` is the root. Fits into a DNS message (RFC 1035 §2.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

/// Without the final dot.
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(legal);
        if text == "." || (name.len() <= LONGEST && name.split('.').all(is_label)) {
            return Ok(Self(text.to_owned()));
        }
        Err(DomainError { found: quote(text) })
    }
}

/// The text is no [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a domain name; write it like example.com")]
pub struct DomainError {
    found: String,
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

serde_as_text!(Domain);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_spelling() {
        for text in [".", "example.com", "Example.COM.", "_dns.xn--bcher-kva.example", &"a.".repeat(126)] {
            assert_eq!(text.parse::<Domain>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_fits_in_no_message_is_refused() {
        for text in ["", "..", ".a", "a..b", "a b", "bücher.example", &"a".repeat(64), &"a.".repeat(128)] {
            assert!(text.parse::<Domain>().is_err(), "{text}");
        }
    }
}
