//! User data: a MIME multipart whose first part is ours, a boothook; the user's own stands beside it.
//!
//! A boothook is never merged with anything, runs before packages are installed and again at each boot, and needs no
//! package: `ip` and Python's standard library configure the kernel's WireGuard.

use std::net::Ipv6Addr;

use contract::{INTERFACE, Name, Pool6, PrivateKey, PublicKey, WIREGUARD_PORT};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Dns, FirstBoot, Format, MTU_BYTES, RenderError, Server, envelope, extra, template};

/// What Hetzner's API takes when a server is created.
pub const MAX_USER_DATA_BYTES: usize = 32 * 1024;
/// What passes the check at plan: less, by how much a server's own values may compress worse than those it is made with.
pub(crate) const CHECKED_BYTES: usize = MAX_USER_DATA_BYTES - 128;

/// What a format is made of: the script, and the files that are put into it.
struct Sources {
    boothook: &'static str,
    files: &'static [(&'static str, &'static str)],
}

macro_rules! sources {
    ($format:literal, $($name:literal)*) => {
        Sources {
            boothook: include_str!(concat!("server/", $format, "/boothook.sh")),
            files: &[$(($name, include_str!(concat!("server/", $format, "/", $name)))),*],
        }
    };
}

const V1: Sources = sources!("1", "wgset.py" "hetznat.sh" "hetznat.service" "hetznat-wait.service"
    "hetznat-refresh.service" "hetznat-refresh.timer");
const V2: Sources = sources!("2", "wg.py" "gateway.py" "hetznat.sh" "hetznat.service" "hetznat-wait.service"
    "hetznat-watch.service" "hetznat-refresh.service" "hetznat-refresh.timer");

/// The user data for `server`. Contains the server's private key.
///
/// # Errors
/// [`RenderError`] if public DNS64 cannot work with the gateway's prefix, if the user's own user data is nothing that
/// cloud-init takes, or if the result is larger than Hetzner takes.
pub fn user_data(server: &Server<'_>, boot: &FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError> {
    if server.dns == Dns::Public && *server.pool6 != Pool6::default() {
        return Err(RenderError::PublicDnsNeedsWellKnownPrefix { pool6: *server.pool6 });
    }
    limited(boot, MAX_USER_DATA_BYTES, |boot| render(server, boot))
}

/// Whether the user data of any server can be rendered with this, before there is one.
///
/// # Errors
/// As [`user_data`], at a size that is a little smaller: whatever passes here will render.
pub fn check(boot: &FirstBoot<'_>) -> Result<(), RenderError> {
    if boot.extra.is_none() {
        return boot.supported();
    }
    let (name, gateway_name) = incompressible_names();
    let server = Server {
        name: &name,
        gateway_name: &gateway_name,
        private_key: &PrivateKey::from_random(incompressible("private")),
        ipv4: [198, 18, 253, 254].into(),
        gateway_public_key: PrivateKey::from_random(incompressible("public")).public_key(),
        pool6: &Pool6::default(),
        address6: incompressible_address(),
        address4: [198, 18, 0, 1].into(),
        dns: Dns::Public,
    };
    limited(boot, CHECKED_BYTES, |boot| render(&server, boot)).map(drop)
}

/// Bytes that no other value of their kind compresses worse than.
pub(crate) fn incompressible(label: &str) -> [u8; 32] {
    Sha256::digest(label).into()
}

/// The longest names there are, of a peer and of a gateway.
pub(crate) fn incompressible_names() -> (Name, String) {
    let letters = format!("{:x}{:x}", Sha256::digest("name"), Sha256::digest("gateway"));
    (letters[..63].parse().expect("hexadecimal digits are a name"), letters[64..127].to_owned())
}

pub(crate) fn incompressible_address() -> Ipv6Addr {
    u128::from_be_bytes(incompressible("address")[..16].try_into().expect("16 of 32 bytes")).into()
}

/// Renders, and says what takes how much if that is more than the limit.
pub(crate) fn limited(
    boot: &FirstBoot<'_>,
    limit_bytes: usize,
    render: impl Fn(&FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError>,
) -> Result<Zeroizing<String>, RenderError> {
    let output = render(boot)?;
    if output.len() <= limit_bytes {
        return Ok(output);
    }
    let own_bytes = render(&FirstBoot { extra: None, ..*boot })?.len();
    Err(RenderError::TooLarge { bytes: output.len(), own_bytes, extra_bytes: boot.extra.map_or(0, str::len) })
}

fn render(server: &Server<'_>, boot: &FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError> {
    boot.supported()?;
    let script = Script {
        name: server.name.as_ref(),
        gateway: &server.gateway_label().to_string(),
        private_key: &server.private_key.to_base64(),
        ipv4: &server.ipv4.to_string(),
        gateway_public_key: server.gateway_public_key,
        pool6: server.pool6,
        address6: server.address6,
        resolvers: &server.resolvers(),
        guard: boot.guard(),
        docker: &boot.docker(server.dns, server.address4),
    };
    sealed(&script.identified(boot.format), boot)
}

/// The user data whose own part is this script, a boothook, and whose other part is the user's.
pub(crate) fn sealed(script: &str, boot: &FirstBoot<'_>) -> Result<Zeroizing<String>, RenderError> {
    match boot.format {
        Format::V1 => Ok(message(Format::V1, script, None)),
        Format::V2 => {
            let extra = boot.extra.map(extra::part).transpose()?.flatten();
            Ok(envelope::wrap(&message(Format::V2, script, extra.as_deref())))
        }
    }
}

/// The MIME message: our part, then the user's.
fn message(format: Format, script: &str, extra: Option<&str>) -> Zeroizing<String> {
    let (boundary, number) = (boundary(format, extra.unwrap_or_default()), format.number());
    let mut output = secret_buffer(script.len() + extra.map_or(0, str::len));
    output.push_str(&format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\nContent-Type: text/cloud-boothook; charset=\"us-ascii\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: 7bit\nContent-Disposition: attachment; filename=\"hetznat\"\n\n\
         #cloud-boothook\n#!/bin/sh\n# hetznat: first boot, render format {number}\n"
    ));
    output.push_str(script);
    if let Some(extra) = extra {
        output.push_str(&format!("\n--{boundary}\n"));
        output.push_str(extra);
    }
    output.push_str(&format!("\n--{boundary}--\n"));
    output
}

/// A line that does not occur in the user's part. Ours has none that begins like it.
fn boundary(format: Format, extra: &str) -> String {
    let number = format.number();
    let mut boundary = format!("=-hetznat-{number}-=");
    while extra.contains(&boundary) {
        boundary.push('=');
    }
    boundary
}

/// What tells one script from every other.
pub(crate) fn id_of(script: &str) -> String {
    format!("{:.16}", format!("{:x}", Sha256::digest(script.as_bytes())))
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
    /// Empty, or anything.
    pub(crate) guard: &'a str,
    /// Empty, or resolvers as elements of a JSON list.
    pub(crate) docker: &'a str,
}

impl Script<'_> {
    /// Behind the identity of everything in it: the same user data on a rebuilt server installs, a reboot does not.
    fn identified(&self, format: Format) -> Zeroizing<String> {
        let script = self.render(format);
        let mut identified = secret_buffer(script.len());
        identified.push_str(&format!("ID={}\n", id_of(&script)));
        identified.push_str(&script);
        identified
    }

    pub(crate) fn render(&self, format: Format) -> Zeroizing<String> {
        let sources = match format {
            Format::V1 => &V1,
            Format::V2 => &V2,
        };
        // The template ends the last line, so that it is a shell script itself.
        let file =
            |(name, content): &(&'static str, &str)| (*name, template::without_comments(content).trim_end().to_owned());
        let files: Vec<_> = sources.files.iter().map(file).collect();
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
            ("guard", self.guard),
            ("docker", self.docker),
        ];
        let values: Vec<(&str, &str)> =
            given.into_iter().chain(values.iter().chain(&files).map(|(key, value)| (*key, value.as_str()))).collect();

        let mut output = secret_buffer(10 * self.gateway.len());
        template::render(&template::without_comments(sources.boothook), &values, &mut output);
        output
    }
}

/// Large enough never to be moved: growing would leave a copy of the key behind.
fn secret_buffer(more_bytes: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(MAX_USER_DATA_BYTES + more_bytes))
}
