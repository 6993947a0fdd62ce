//! What a server is told: the user data of its first boot, or the WireGuard configuration for one that runs already.
//!
//! Invariant: the same [`Server`] and [`FirstBoot`] render to the same bytes in every build of one [`Format`]. A changed
//! `user_data` makes Terraform replace the server, so whoever changes a rendered byte must add a render format and keep the
//! old one.

#![forbid(unsafe_code)]

mod envelope;
mod extra;
mod member;
mod template;
mod user_data;
mod wireguard_config;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{Name, Pool6, PrivateKey, PublicKey};

pub use extra::ExtraError;
pub use member::{Members, check_members, member_user_data};
pub use user_data::{MAX_USER_DATA_BYTES, check, user_data};
pub use wireguard_config::wireguard_config;

/// 1500, less 48 for IPv6 and UDP and 32 for WireGuard, less 8 for a home line's PPPoE. A constant, because it is part
/// of what is rendered: the gateway's MTU may change, the servers' must not.
const MTU_BYTES: u16 = 1412;

/// One server and the gateway it belongs to.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// The peer's name.
    pub name: &'a Name,
    /// The gateway's name; only ever shown.
    pub gateway_name: &'a str,
    /// The server's key.
    pub private_key: &'a PrivateKey,
    /// The server's IPv4 address inside the tunnel.
    pub ipv4: Ipv4Addr,
    /// The gateway's key.
    pub gateway_public_key: PublicKey,
    /// The prefix that stands for IPv4.
    pub pool6: &'a Pool6,
    /// The gateway's IPv6 address inside the tunnel.
    pub address6: Ipv6Addr,
    /// The gateway's IPv4 address inside the tunnel.
    pub address4: Ipv4Addr,
    /// Who resolves names.
    pub dns: Dns,
}

/// What a server's first boot is made of besides the server itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstBoot<'a> {
    /// How it is rendered.
    pub format: Format,
    /// The user's own user data, of whatever kind cloud-init takes.
    pub extra: Option<&'a str>,
    /// Whether only root may ask the metadata service, which tells the server's key.
    pub metadata_guard: bool,
    /// Whether Docker is configured for containers that prefer native IPv6, unless it is configured already.
    pub docker: bool,
}

impl FirstBoot<'_> {
    /// The first format can do nothing of what is asked here.
    fn supported(&self) -> Result<(), RenderError> {
        let asked = [
            ("extra_user_data", self.extra.is_some()),
            ("metadata_guard", self.metadata_guard),
            ("docker", self.docker),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            Some((attribute, _)) if self.format == Format::V1 => Err(RenderError::NeedsNewerFormat { attribute }),
            Some(_) | None => Ok(()),
        }
    }

    /// For the server's configuration: empty, or anything.
    fn guard(&self) -> &'static str {
        if self.metadata_guard { "yes" } else { "" }
    }

    /// For the server's configuration: empty, or the resolvers of containers.
    fn docker(&self, dns: Dns, address4: Ipv4Addr) -> String {
        if self.docker { dns.resolvers_of_containers(address4) } else { String::new() }
    }
}

/// A way to render user data. Servers keep the one they were created with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Plain text, without anything of the user's.
    V1,
    /// Compressed, with the user's own user data beside ours.
    #[default]
    V2,
}

impl Format {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The format of a number that [`Format::number`] gave.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.number() == number)
    }

    /// What stands for it in a configuration.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// Whose DNS64 the server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dns {
    /// Cloudflare's and Google's, over native IPv6: names resolve without the tunnel. They know 64:ff9b::/96 only.
    Public,
    /// The gateway's own: nobody else sees the names, and none resolve without the tunnel.
    Gateway,
}

/// Cloudflare and Google. Three, because resolv.conf(5) reads no more.
const PUBLIC_DNS64: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x64),
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x64),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x6400),
];

impl Dns {
    /// The resolvers, separated by spaces; the gateway's own is at `address6`. Never a DNS64 server beside a plain one:
    /// clients stick to whichever answered last.
    fn resolvers(self, address6: Ipv6Addr) -> String {
        match self {
            Self::Public => PUBLIC_DNS64.map(|address| address.to_string()).join(" "),
            Self::Gateway => address6.to_string(),
        }
    }

    /// For containers, as elements of a JSON list: reached over IPv4, because their network may have nothing else. What
    /// they answer needs no DNS64, for containers have IPv4 through the tunnel. The gateway's own is at `address4`.
    fn resolvers_of_containers(self, address4: Ipv4Addr) -> String {
        match self {
            Self::Public => "\"1.1.1.1\",\"8.8.8.8\"".to_owned(),
            Self::Gateway => format!("\"{address4}\""),
        }
    }
}

impl Server<'_> {
    /// As [`Dns::resolvers`].
    fn resolvers(&self) -> String {
        self.dns.resolvers(self.address6)
    }

    /// The gateway's name as one line of ASCII, whatever it is.
    fn gateway_label(&self) -> impl fmt::Display {
        self.gateway_name.escape_default()
    }
}

/// Why a server's first boot cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Public DNS64 servers synthesize addresses of the well-known prefix only (RFC 6052 §2.1).
    #[error("public DNS64 servers use 64:ff9b::/96, not {pool6}; set dns = \"gateway\", or pool6 = \"64:ff9b::/96\"")]
    PublicDnsNeedsWellKnownPrefix {
        /// The gateway's prefix.
        pool6: Pool6,
    },
    /// More than Hetzner takes.
    #[error(
        "user data would be {bytes} bytes, and Hetzner takes {MAX_USER_DATA_BYTES}: {own_bytes} are ours, {} come of the \
         {extra_bytes} bytes of extra_user_data; shorten it, or let it fetch the rest (#include)",
        bytes - own_bytes
    )]
    TooLarge {
        /// The size.
        bytes: usize,
        /// The size without the user's own.
        own_bytes: usize,
        /// The user's own as it was given.
        extra_bytes: usize,
    },
    /// The user's own user data cannot ride along.
    #[error("extra_user_data {0}")]
    Extra(#[from] ExtraError),
    /// The first format cannot do this.
    #[error(
        "{attribute} needs render_format = 2; a changed render_format changes user_data, which replaces the server"
    )]
    NeedsNewerFormat {
        /// What asks for it.
        attribute: &'static str,
    },
}
