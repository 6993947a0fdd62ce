//! The engine's tables over the control socket: looked at page by page, so that no list stops the packets, and changed.

use std::time::Instant;

use nat64::{BibView, Engine, SessionView, StaticMapping};

use crate::control::{Response, TableRequest};
use crate::mapping::{Mapping, Protocol};
use crate::report::{BibReport, Page, SessionReport};

/// Entries of one answer: some 600 KiB, and far less than a millisecond of the engine's time each way.
const PAGE: usize = 4096;

/// Serves a request.
pub(crate) fn answer(request: TableRequest, engine: &mut Engine, now: Instant) -> Response {
    match request {
        TableRequest::ListBib { skip } => Response::Bib(page(engine.bib().skip(skip).map(BibReport::from))),
        TableRequest::ListSessions { skip } => {
            Response::Sessions(page(engine.sessions(now).skip(skip).map(SessionReport::from)))
        }
        TableRequest::AddMapping { mapping } => match engine.add_mapping(now, mapping.into()) {
            Ok(()) => Response::Done(format!("added {mapping}")),
            Err(error) => Response::Refused(error.to_string()),
        },
        TableRequest::RemoveMapping { protocol, outer } => match engine.remove_mapping(protocol.into(), outer) {
            Ok(removed) => Response::Done(format!("removed {protocol} {outer}, sessions ended: {}", removed.sessions)),
            Err(error) => Response::Refused(error.to_string()),
        },
    }
}

fn page<T>(mut entries: impl Iterator<Item = T>) -> Page<T> {
    let page = entries.by_ref().take(PAGE).collect();
    Page { entries: page, more: entries.next().is_some() }
}

impl From<Protocol> for nat64::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Icmp => Self::Icmp,
        }
    }
}

impl From<nat64::Protocol> for Protocol {
    fn from(protocol: nat64::Protocol) -> Self {
        match protocol {
            nat64::Protocol::Tcp => Self::Tcp,
            nat64::Protocol::Udp => Self::Udp,
            nat64::Protocol::Icmp => Self::Icmp,
        }
    }
}

impl From<Mapping> for StaticMapping {
    fn from(mapping: Mapping) -> Self {
        let Mapping { protocol, outer, inner } = mapping;
        Self { protocol: protocol.into(), outer, inner }
    }
}

impl From<BibView> for BibReport {
    fn from(view: BibView) -> Self {
        let BibView { protocol, inner, outer, is_static, sessions } = view;
        Self { protocol: protocol.into(), inner, outer, is_static, sessions: sessions as usize }
    }
}

impl From<SessionView> for SessionReport {
    fn from(view: SessionView) -> Self {
        let SessionView { protocol, inner, outer, remote, pool6, state, expires_in } = view;
        Self {
            protocol: protocol.into(),
            inner,
            outer,
            remote,
            pool6,
            state: state.map(|state| state.as_str().to_owned()),
            expires_in_secs: expires_in.as_secs(),
        }
    }
}
