//! User data: a MIME multipart whose only part is a boothook, so that a user's own parts can stand beside it later.
//!
//! A boothook is never merged with anything, runs before packages are installed and again at each boot, and needs no
//! package: `ip` and Python's standard library configure the kernel's WireGuard.

use std::net::Ipv6Addr;

use contract::{INTERFACE, Pool6, PublicKey, WIREGUARD_PORT};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Dns, MTU_BYTES, RenderError, Server, template};

/// What Hetzner's API takes when a server is created.
pub const MAX_USER_DATA_BYTES: usize = 32 * 1024;
/// Grows when rendered bytes change; servers keep the format they were created with.
pub const RENDER_FORMAT: u32 = 1;

const BOUNDARY: &str = "=-hetznat-1-=";
const BOOTHOOK: &str = include_str!("server/boothook.sh");
const FILES: [(&str, &str); 6] = [
    ("wgset.py", include_str!("server/wgset.py")),
    ("hetznat.sh", include_str!("server/hetznat.sh")),
    ("hetznat.service", include_str!("server/hetznat.service")),
    ("hetznat-wait.service", include_str!("server/hetznat-wait.service")),
    ("hetznat-refresh.service", include_str!("server/hetznat-refresh.service")),
    ("hetznat-refresh.timer", include_str!("server/hetznat-refresh.timer")),
];

/// The user data for `server`, in [`RENDER_FORMAT`]. Contains the server's private key.
///
/// # Errors
/// [`RenderError`] if public DNS64 cannot work with the gateway's prefix, or if the result is larger than Hetzner
/// takes.
pub fn user_data(server: &Server<'_>) -> Result<Zeroizing<String>, RenderError> {
    if server.dns == Dns::Public && *server.pool6 != Pool6::default() {
        return Err(RenderError::PublicDnsNeedsWellKnownPrefix { pool6: *server.pool6 });
    }
    let script = Script {
        name: server.name.as_ref(),
        gateway: &server.gateway_label().to_string(),
        private_key: &server.private_key.to_base64(),
        ipv4: &server.ipv4.to_string(),
        gateway_public_key: server.gateway_public_key,
        pool6: server.pool6,
        address6: server.address6,
        resolvers: &server.resolvers(),
    }
    .render();
    // The identity of everything below it: the same user data on a rebuilt server installs, a reboot does not.
    let mut identified = secret_buffer(server.gateway_name);
    identified.push_str(&format!("ID={}\n", id_of(&script)));
    identified.push_str(&script);
    enveloped(&identified, server.gateway_name)
}

/// What tells one script from every other.
pub(crate) fn id_of(script: &str) -> String {
    format!("{:.16}", format!("{:x}", Sha256::digest(script.as_bytes())))
}

/// The MIME message whose only part is this script, as a boothook.
pub(crate) fn enveloped(script: &str, gateway_name: &str) -> Result<Zeroizing<String>, RenderError> {
    let mut output = secret_buffer(gateway_name);
    output.push_str(&format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n\
         --{BOUNDARY}\nContent-Type: text/cloud-boothook; charset=\"us-ascii\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: 7bit\nContent-Disposition: attachment; filename=\"hetznat\"\n\n\
         #cloud-boothook\n#!/bin/sh\n# hetznat: first boot, render format {RENDER_FORMAT}\n"
    ));
    output.push_str(script);
    output.push_str(&format!("\n--{BOUNDARY}--\n"));
    if output.len() > MAX_USER_DATA_BYTES {
        return Err(RenderError::TooLarge { bytes: output.len() });
    }
    Ok(output)
}

/// What a server runs at its first boot, with the texts that stand in it.
pub(crate) struct Script<'a> {
    pub(crate) name: &'a str,
    /// One line of ASCII.
    pub(crate) gateway: &'a str,
    pub(crate) private_key: &'a str,
    pub(crate) ipv4: &'a str,
    pub(crate) gateway_public_key: PublicKey,
    pub(crate) pool6: &'a Pool6,
    pub(crate) address6: Ipv6Addr,
    pub(crate) resolvers: &'a str,
}

impl Script<'_> {
    pub(crate) fn render(&self) -> Zeroizing<String> {
        // The template ends the last line, so that it is a shell script itself.
        let files = FILES.map(|(name, content)| (name, template::without_comments(content).trim_end().to_owned()));
        let values = [
            ("interface", INTERFACE.to_owned()),
            ("port", WIREGUARD_PORT.to_string()),
            ("public_key", self.gateway_public_key.to_string()),
            ("pool6", self.pool6.to_string()),
            ("address6", self.address6.to_string()),
            ("mtu", MTU_BYTES.to_string()),
        ];
        let given = [
            ("private_key", self.private_key),
            ("peer", self.name),
            ("gateway", self.gateway),
            ("ipv4", self.ipv4),
            ("dns", self.resolvers),
        ];
        let values: Vec<(&str, &str)> =
            given.into_iter().chain(values.iter().chain(&files).map(|(key, value)| (*key, value.as_str()))).collect();

        let mut output = secret_buffer(self.gateway);
        template::render(&template::without_comments(BOOTHOOK), &values, &mut output);
        output
    }
}

/// Large enough never to be moved: growing would leave a copy of the key behind.
fn secret_buffer(gateway_name: &str) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(MAX_USER_DATA_BYTES + 10 * gateway_name.len()))
}
