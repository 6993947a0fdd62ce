//! Servers that a gateway finds by their labels: where it looks, and what the labels are called.
//!
//! A label says where a peer is. It never says who is one, nor what its key is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::text::{quote, serde_as_text};

/// The label of every server of a gateway; its value is the gateway's name.
pub const GATEWAY_LABEL: &str = "hetznat-gateway";
/// The label of a server that is a peer; its value is the peer's name.
pub const PEER_LABEL: &str = "hetznat-peer";

/// Where a gateway looks for the peers that have no prefix in the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Which servers of the project to look at.
    pub label_selector: LabelSelector,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

/// A label selector as Hetzner's API takes it: `hetznat-gateway==home`. What it means is Hetzner's to say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector(String);

impl LabelSelector {
    /// Far more than anybody writes, and less than a URL may have.
    const LONGEST: usize = 1024;

    /// The selector of all servers whose label `key` has the value `value`, which is a legal one.
    pub fn equals(key: &str, value: &crate::Name) -> Self {
        Self(format!("{key}=={value}"))
    }

    /// The selector of all servers that this one selects and `other` too.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(format!("{self},{other}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabelSelector {
    type Err = LabelSelectorError;

    fn from_str(text: &str) -> Result<Self, LabelSelectorError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./ ,=!()".contains(&byte);
        // An empty selector would select every server of the project.
        if text.trim().is_empty() || text.len() > Self::LONGEST || !text.bytes().all(legal) {
            return Err(LabelSelectorError { found: quote(text) });
        }
        Ok(Self(text.to_owned()))
    }
}

/// The text is no [`LabelSelector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is no label selector; write it like hetznat-gateway==home or pool in (a,b)")]
pub struct LabelSelectorError {
    found: String,
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(LabelSelector);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_what_hetzner_takes_and_never_everything() {
        for text in ["hetznat-gateway==home", "a,!b,c in (d, e),f!=g", "example.com/pool"] {
            assert_eq!(text.parse::<LabelSelector>().unwrap().to_string(), text);
        }
        for text in ["", " ", "a&page=2", "a\nb", "a%20b", "é", &"a".repeat(1025)] {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
    }
}
