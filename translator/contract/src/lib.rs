//! The state document: what the Terraform provider writes and the translator reads, and the vocabulary both share.
//!
//! Invariant: a value of a type in this crate is valid by construction, except for the relations between the fields of
//! a [`Document`]; [`Document::parse`] and [`Document::validate`] check those. No I/O, no clock, no randomness.

#![forbid(unsafe_code)]

mod discovery;
mod dns64;
mod document;
mod egress;
mod endpoint;
mod fields;
mod group;
mod json;
mod key;
mod name;
mod parse;
mod place;
mod policy;
mod pool6;
mod special_purpose;
mod text;
mod validate;

pub use discovery::{Discovery, GATEWAY_LABEL, LabelSelector, LabelSelectorError, PEER_LABEL};
pub use dns64::{
    Dns64, Dns64Policy, Dns64Prefix, Domain, DomainError, Health, Host, Listen, ListenError, Match, MatchError,
    ProbeKind, ProbeKindError, Target, TargetError, TrustAnchor, TrustAnchorError, Upstream, UpstreamError,
};
pub use document::{Document, Gateway, Peer};
pub use egress::{Egress, EgressError, EgressMode, PortRange, PortRangeError, addresses};
pub use endpoint::{EndpointError, parse_endpoint};
pub use group::{GROUP_LABEL, Group, GroupSecret, GroupSecretError, MemberAddresses};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use name::{Name, NameError};
pub use parse::ParseError;
pub use place::{Invalid, Key, Place};
pub use policy::{DeniedPort, DeniedPortError, Policy, Transport};
pub use pool6::{Pool6, Pool6Error};
pub use special_purpose::{REGISTRY, Reach, SpecialPurpose, special_purpose};

/// The version of the document's layout that this crate reads and writes.
pub const FORMAT: u32 = 1;
/// A document larger than this is refused unread; 14 000 peers fit.
pub const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// The UDP port on which servers listen for the gateway.
pub const WIREGUARD_PORT: u16 = 46464;
/// The name of the tunnel's interface on both ends.
pub const INTERFACE: &str = "hetznat0";
