//! What a server is told: the user data of its first boot, or the WireGuard configuration for one that runs already.
//!
//! Invariant: the same [`Server`] renders to the same bytes in every build of one render format. A changed `user_data`
//! makes Terraform replace the server, so whoever changes a rendered byte must add a render format and keep the old
//! one.

#![forbid(unsafe_code)]

mod member;
mod template;
mod user_data;
mod wireguard_config;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use contract::{Name, Pool6, PrivateKey, PublicKey};

pub use member::{Members, member_user_data};
pub use user_data::{MAX_USER_DATA_BYTES, RENDER_FORMAT, user_data};
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
    /// The resolvers, separated by spaces; the gateway's own is at `address6`.
    fn resolvers(self, address6: Ipv6Addr) -> String {
        match self {
            Self::Public => PUBLIC_DNS64.map(|address| address.to_string()).join(" "),
            Self::Gateway => address6.to_string(),
        }
    }
}

impl Server<'_> {
    /// The resolvers, separated by spaces. Never a DNS64 server beside a plain one: clients stick to whichever answered
    /// last.
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
        "user data of {bytes} bytes exceeds the {MAX_USER_DATA_BYTES} that Hetzner takes; shorten the gateway's name"
    )]
    TooLarge {
        /// The size.
        bytes: usize,
    },
}
