//! Names of gateways and peers: RFC 1123 host name labels in lower case, safe in file names, units and DNS.

use std::fmt;
use std::str::FromStr;

use crate::text::{quote, serde_as_text};

/// A host name label (RFC 1123 §2.1): 1 to 63 of `a-z`, `0-9` and `-`, with no `-` at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

const LONGEST: usize = 63;

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let bad_length = text.is_empty() || text.len() > LONGEST;
        if bad_length || !text.bytes().all(legal) || text.starts_with('-') || text.ends_with('-') {
            return Err(NameError { found: quote(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

/// The text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a name: use 1 to 63 of a-z, 0-9 and -, with no - at either end")]
pub struct NameError {
    found: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

serde_as_text!(Name);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names() {
        for text in ["a", "web", "web-1", "0", "x--y", &"a".repeat(63)] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-a", "a-", "Web", "a.b", "a_b", "a b", "é", "a/../b", &"a".repeat(64)] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_error_quotes_no_more_than_a_line() {
        let error = "\u{1b}[2J".repeat(1_000).parse::<Name>().unwrap_err().to_string();

        assert!(error.len() < 600 && !error.contains('\u{1b}'), "{error}");
    }
}
