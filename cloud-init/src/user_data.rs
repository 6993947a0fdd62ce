//! User data: a MIME multipart whose only part is a boothook, so that a user's own parts can stand beside it later.
//!
//! A boothook is never merged with anything, runs before packages are installed and again at each boot, and needs no
//! package: `ip` and Python's standard library configure the kernel's WireGuard.

use contract::{INTERFACE, Pool6, WIREGUARD_PORT};
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
    let script = script(server);
    // The identity of everything below it: the same user data on a rebuilt server installs, a reboot does not.
    let id = format!("{:.16}", format!("{:x}", Sha256::digest(script.as_bytes())));

    let mut output = secret_buffer(server);
    output.push_str(&format!(
        "Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n\
         --{BOUNDARY}\nContent-Type: text/cloud-boothook; charset=\"us-ascii\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: 7bit\nContent-Disposition: attachment; filename=\"hetznat\"\n\n\
         #cloud-boothook\n#!/bin/sh\n# hetznat: first boot, render format {RENDER_FORMAT}\nID={id}\n"
    ));
    output.push_str(&script);
    output.push_str(&format!("\n--{BOUNDARY}--\n"));
    if output.len() > MAX_USER_DATA_BYTES {
        return Err(RenderError::TooLarge { bytes: output.len() });
    }
    Ok(output)
}

fn script(server: &Server<'_>) -> Zeroizing<String> {
    // The template ends the last line, so that it is a shell script itself.
    let files = FILES.map(|(name, content)| (name, template::without_comments(content).trim_end().to_owned()));
    let private_key = server.private_key.to_base64();
    let values = [
        ("peer", server.name.to_string()),
        ("gateway", server.gateway_label().to_string()),
        ("interface", INTERFACE.to_owned()),
        ("port", WIREGUARD_PORT.to_string()),
        ("public_key", server.gateway_public_key.to_string()),
        ("pool6", server.pool6.to_string()),
        ("address6", server.address6.to_string()),
        ("mtu", MTU_BYTES.to_string()),
        ("ipv4", server.ipv4.to_string()),
        ("dns", server.resolvers()),
    ];
    let values: Vec<(&str, &str)> = [("private_key", private_key.as_str())]
        .into_iter()
        .chain(values.iter().chain(&files).map(|(key, value)| (*key, value.as_str())))
        .collect();

    let mut output = secret_buffer(server);
    template::render(&template::without_comments(BOOTHOOK), &values, &mut output);
    output
}

/// Large enough never to be moved: growing would leave a copy of the key behind.
fn secret_buffer(server: &Server<'_>) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(MAX_USER_DATA_BYTES + 10 * server.gateway_name.len()))
}
