//! Reads a document that may be hostile: size first, then JSON, then the format's version, then every field, then how
//! the fields relate.
//!
//! Nothing is optional that would make less of a truncated document look like a smaller one: `gateways` and `peers`
//! must be there even when empty.

mod egress;
mod options;

use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::Value;

use crate::fields::{By, Fields};
use crate::json::Strict;
use crate::place::{Invalid, Place};
use crate::{Document, FORMAT, Gateway, MAX_DOCUMENT_BYTES, Name, Peer};

impl Document {
    /// Reads and validates a document.
    ///
    /// # Errors
    /// [`ParseError`], which names the line, or the gateway, the peer and the key, and says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(ParseError::TooLarge { bytes: bytes.len() });
        }
        let Strict(value) = serde_json::from_slice(bytes).map_err(|error| ParseError::json(&error))?;
        let mut fields = Fields::new(value, Place::default())?;
        check_format(&mut fields)?;
        let document = document(fields)?;
        document.validate()?;
        Ok(document)
    }
}

/// A newer format is told from a broken document even if nothing else in it looks familiar.
fn check_format(fields: &mut Fields) -> Result<(), ParseError> {
    let found = fields.integer("format", 1, u64::MAX)?;
    if found > u64::from(FORMAT) { Err(ParseError::NewerFormat { found }) } else { Ok(()) }
}

fn document(mut fields: Fields) -> Result<Document, Invalid> {
    let serial = fields.integer("serial", 0, u64::MAX)?;
    let gateways = fields.members::<Name>("gateways")?;
    let gateways = gateways.into_iter().map(|(name, value)| {
        let fields = Fields::new(value, Place::gateway(&name))?;
        Ok((name, gateway(fields)?))
    });
    Ok(Document { serial, gateways: gateways.collect::<Result<_, Invalid>>()?, other: fields.rest() })
}

fn gateway(mut fields: Fields) -> Result<Gateway, Invalid> {
    let public_key = fields.parsed("public_key")?;
    let private_key = fields.parsed_if_present("private_key")?;
    let pool6 = fields.parsed("pool6")?;
    let mtu = integer16(&mut fields, "mtu", 1280)?;
    let keepalive_secs = integer16(&mut fields, "keepalive_secs", 0)?;
    let By(address6) = fields.parsed("address6")?;
    let By(ipv4_prefix): By<Ipv4Net> = fields.parsed("ipv4_prefix")?;
    let egress = egress::egress(&mut fields)?;
    let dns64 = fields.object_if_present("dns64")?.map(options::dns64).transpose()?;
    let discovery = fields.object_if_present("discovery")?.map(options::discovery).transpose()?;
    let policy = fields.object_if_present("policy")?.map(options::policy).transpose()?;
    let owner = fields.parsed_if_present("owner")?.unwrap_or_default();
    let place = fields.place().clone();
    let groups = fields.members_if_present::<Name>("groups")?.into_iter().map(|(name, value)| {
        let group = options::group(Fields::new(value, place.group(&name))?)?;
        Ok((name, group))
    });
    let groups = groups.collect::<Result<_, Invalid>>()?;
    let peers = fields.members::<Name>("peers")?.into_iter().map(|(name, value)| {
        let peer = peer(value, place.peer(&name))?;
        Ok((name, peer))
    });
    let peers = peers.collect::<Result<_, Invalid>>()?;
    let other = fields.rest();
    Ok(Gateway {
        public_key,
        private_key,
        pool6,
        mtu,
        keepalive_secs,
        address6,
        ipv4_prefix,
        egress,
        dns64,
        discovery,
        policy,
        owner,
        groups,
        peers,
        other,
    })
}

fn peer(value: Value, place: Place) -> Result<Peer, Invalid> {
    let mut fields = Fields::new(value, place)?;
    let public_key = fields.parsed("public_key")?;
    let prefix = fields.parsed_if_present::<By<Ipv6Net>>("prefix")?.map(|By(prefix)| prefix);
    let By(ipv4) = fields.parsed("ipv4")?;
    let endpoint = fields.parsed_if_present("endpoint")?.map(|By(endpoint)| endpoint);
    let owner = fields.parsed_if_present("owner")?.unwrap_or_default();
    Ok(Peer { public_key, prefix, ipv4, endpoint, owner, other: fields.rest() })
}

fn integer16(fields: &mut Fields, key: &'static str, least: u16) -> Result<u16, Invalid> {
    let number = fields.integer(key, least.into(), u16::MAX.into())?;
    Ok(u16::try_from(number).expect("the range ends at u16::MAX"))
}

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More than [`MAX_DOCUMENT_BYTES`].
    #[error(
        "{bytes} bytes are more than the {MAX_DOCUMENT_BYTES} that a state document may have; is this the right file?"
    )]
    TooLarge {
        /// The size.
        bytes: usize,
    },
    /// Not JSON, or a key twice in one object.
    #[error(
        "line {line}, column {column}: {problem}; repair it, or move it away and run terraform apply to write it again"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
        /// What the JSON reader says.
        problem: String,
    },
    /// Written by a later version of hetznat.
    #[error("format version {found} is newer than this daemon understands ({FORMAT}); upgrade hetznat-translator")]
    NewerFormat {
        /// The document's format.
        found: u64,
    },
    /// JSON, but not a valid document.
    #[error(transparent)]
    Invalid(Box<Invalid>),
}

impl From<Invalid> for ParseError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(Box::new(invalid))
    }
}

impl ParseError {
    fn json(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let suffix = format!(" at line {line} column {column}");
        Self::Json { line, column, problem: text.strip_suffix(&suffix).unwrap_or(&text).to_owned() }
    }
}
