//! One element of a list of addresses: the first that matches decides, as in BIND's lists.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::text::{quote, serde_as_text};

/// `any`, a prefix or an address; with `!` in front what it matches is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Whether there is a `!`.
    pub negated: bool,
    /// `None` matches everything.
    pub net: Option<IpNet>,
}

impl FromStr for Match {
    type Err = MatchError;

    fn from_str(text: &str) -> Result<Self, MatchError> {
        let (negated, what) = text.strip_prefix('!').map_or((false, text), |what| (true, what));
        if what == "any" {
            return Ok(Self { negated, net: None });
        }
        let net = what.parse().or_else(|_| what.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) if net.trunc() == net => Ok(Self { negated, net: Some(net) }),
            Ok(net) => Err(MatchError::HostBits { given: net, meant: net.trunc() }),
            Err(_) => Err(MatchError::Syntax { found: quote(text) }),
        }
    }
}

/// The text is no [`Match`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Neither prefix nor address.
    #[error("{found} is neither any nor a prefix; write it like 192.0.2.0/24, 2001:db8::/32 or !10.0.0.0/8")]
    Syntax {
        /// The text, quoted.
        found: String,
    },
    /// Not the beginning of a prefix.
    #[error("{given} has bits set behind its prefix; did you mean {meant}?")]
    HostBits {
        /// As it was written.
        given: IpNet,
        /// Without those bits.
        meant: IpNet,
    },
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "!" } else { "" })?;
        match self.net {
            Some(net) => net.fmt(f),
            None => f.write_str("any"),
        }
    }
}

serde_as_text!(Match);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_and_written() {
        let written = |text: &str| text.parse::<Match>().unwrap().to_string();

        for text in ["any", "!any", "10.0.0.0/8", "!2001:db8::/32"] {
            assert_eq!(written(text), text);
        }
        assert_eq!(written("192.0.2.1"), "192.0.2.1/32");
    }

    #[test]
    fn what_matches_nothing_is_refused() {
        for text in ["", "!", "!!any", "none", "10.0.0.1/8", "10.0.0.0/33", " any"] {
            assert!(text.parse::<Match>().is_err(), "{text}");
        }
    }
}
