//! The commands that ask a running translator: what is asked, and how the answer is printed.

use std::path::Path;

use crate::cli::{BibCommand, ConfigCommand, SessionsCommand};
use crate::control::{self, Request, Status, TableRequest};
use crate::error::Error;
use crate::mapping::Mapping;
use crate::page;
use crate::settings::{Setting, name_of};

/// `status`.
///
/// # Errors
/// Those of [`control::status`].
pub(crate) fn status(socket: &Path, json: bool) -> Result<String, Error> {
    Ok(match control::status(socket)? {
        Status::Gateway(report) if json => page::render_json(&report),
        Status::Gateway(report) => page::render(&report),
        Status::Nat64(report) if json => page::render_json(&report),
        Status::Nat64(report) => page::render_nat64(&report),
    })
}

/// `bib`.
///
/// # Errors
/// Those of [`control::bib`] and [`control::change`].
pub(crate) fn bib(socket: &Path, command: BibCommand) -> Result<String, Error> {
    let request = match command {
        BibCommand::List { json } => {
            let mut entries = control::bib(socket)?;
            entries.sort_by_key(|entry| (entry.protocol, entry.outer));
            return Ok(if json { page::render_json(&entries) } else { page::render_bib(&entries) });
        }
        BibCommand::Add { protocol, outside, inside } => {
            TableRequest::AddMapping { mapping: Mapping { protocol, outer: outside, inner: inside } }
        }
        BibCommand::Remove { protocol, outside } => TableRequest::RemoveMapping { protocol, outer: outside },
    };
    change(socket, &Request::Table { request })
}

/// `sessions`.
///
/// # Errors
/// Those of [`control::sessions`].
pub(crate) fn sessions(socket: &Path, command: SessionsCommand) -> Result<String, Error> {
    let SessionsCommand::List { json } = command;
    let mut entries = control::sessions(socket)?;
    entries.sort_by_key(|entry| (entry.protocol, entry.outer, entry.remote));
    Ok(if json { page::render_json(&entries) } else { page::render_sessions(&entries) })
}

/// `config`.
///
/// # Errors
/// [`Error::Usage`], and those of [`control::change`].
pub(crate) fn config(socket: &Path, command: ConfigCommand) -> Result<String, Error> {
    let ConfigCommand::Set { key, value } = command;
    let setting =
        Setting::parse(key, &value).map_err(|why| Error::Usage(format!("config set {}: {why}", name_of(key))))?;
    change(socket, &Request::Set { setting })
}

fn change(socket: &Path, request: &Request) -> Result<String, Error> {
    control::change(socket, request).map(|what| format!("{what}\n"))
}
