//! Why Hetzner's API told us nothing, and what to do about it.

use std::path::PathBuf;

use contract::LabelSelector;

use crate::error::one_line;

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error(
        "the document asks for servers by their labels, but there is no token; make a read-only one in Hetzner's console \
         and give its file with --hetzner-token"
    )]
    NoToken,
    #[error("cannot read the Hetzner token {}: {reason}; check the path and its permissions", path.display())]
    TokenUnreadable { path: PathBuf, reason: String },
    #[error("the file {} holds no token; put a read-only one of Hetzner's console there, and nothing else", .0.display())]
    NotAToken(PathBuf),
    #[error("{0}")]
    Tls(String),
    #[error("cannot reach {host}: {reason}; check this machine's way to the internet")]
    Unreachable { host: String, reason: String },
    #[error(
        "Hetzner refuses the token; make a read-only one in its console (Security, API tokens) and put it in the file"
    )]
    Unauthorized,
    #[error("Hetzner's limit of requests is reached, by everybody who asks for this project; asking less often")]
    TooMany,
    #[error("Hetzner does not take the label selector {selector}: {message}; mend it in Terraform")]
    Selector { selector: LabelSelector, message: String },
    #[error("Hetzner answers {status} ({code}): {message}")]
    Refused { status: u16, code: String, message: String },
    #[error("Hetzner answers what this version does not understand ({0}); is there a newer hetznat-translator?")]
    Malformed(String),
}

impl Failure {
    /// What an answer says that is none.
    pub(super) fn refused(status: u16, code: String, message: String, selector: &LabelSelector) -> Self {
        match (status, code.as_str()) {
            (401, _) => Self::Unauthorized,
            (429, _) => Self::TooMany,
            (422, "invalid_input") => Self::Selector { selector: selector.clone(), message: brief(&message) },
            _ => Self::Refused { status, code: brief(&code), message: brief(&message) },
        }
    }
}

/// A line, and not a long one: it comes from outside.
pub(super) fn brief(text: &str) -> String {
    one_line(text).chars().take(200).collect()
}
