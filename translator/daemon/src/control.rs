//! The control socket: newline-delimited JSON, one request and one answer per line.
//!
//! Invariant: whatever is sent, memory and connections stay bounded, and nobody but the owner and the group may connect.

mod client;
mod server;
mod socket;

use serde::{Deserialize, Serialize};

use crate::report::Report;

pub(crate) use client::status;
pub(crate) use server::{Control, Query};

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How the translator is.
    Status {},
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Status(Box<Report>),
    /// Why the request was not served.
    Error(String),
}
