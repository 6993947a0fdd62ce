//! The control socket: newline-delimited JSON, one request and one answer per line.
//!
//! Invariant: whatever is sent, memory and connections stay bounded, and nobody but the owner and the group may connect.

mod client;
mod server;
mod socket;

use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use crate::mapping::{Mapping, Protocol};
use crate::report::{BibReport, Nat64Report, Page, Report, SessionReport};
use crate::settings::Setting;

pub(crate) use client::{Status, bib, change, sessions, status};
pub(crate) use server::{Control, Query, serve as serve_connection};

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How the translator is.
    Status {},
    /// About the engine's tables.
    Table { request: TableRequest },
    /// A changed setting of the stand-alone mode.
    Set { setting: Setting },
}

/// What may be asked about the engine's tables. Entries come and go between two pages of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum TableRequest {
    ListBib { skip: usize },
    ListSessions { skip: usize },
    AddMapping { mapping: Mapping },
    RemoveMapping { protocol: Protocol, outer: SocketAddrV4 },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Response {
    Status(Box<Report>),
    Nat64Status(Box<Nat64Report>),
    Bib(Page<BibReport>),
    Sessions(Page<SessionReport>),
    /// What was done.
    Done(String),
    /// Why the translator does not do that.
    Refused(String),
    /// Why the request could not be served.
    Error(String),
}
