//! The same tunnel for a server that runs already: a file for `wg-quick`.

use contract::{INTERFACE, WIREGUARD_PORT};
use zeroize::Zeroizing;

use crate::{MTU_BYTES, Server, template};

const TEMPLATE: &str = include_str!("server/wg-quick.conf");

/// A configuration for `wg-quick up`, to be saved as `/etc/wireguard/hetznat0.conf`. Contains the server's private key.
///
/// Routes are made by `PostUp`: of its own accord `wg-quick` would route all of IPv4 by firewall mark and leave the
/// server's metadata service behind. The interface has no IPv6 address, so that the source is the server's own global
/// one.
pub fn wireguard_config(server: &Server<'_>) -> String {
    let mut output = Zeroizing::new(String::with_capacity(2 * TEMPLATE.len()));
    let values = [
        ("peer", server.name.as_ref()),
        ("gateway", &server.gateway_label().to_string()),
        ("interface", INTERFACE),
        ("private_key", &server.private_key.to_base64()),
        ("port", &WIREGUARD_PORT.to_string()),
        ("ipv4", &server.ipv4.to_string()),
        ("mtu", &MTU_BYTES.to_string()),
        ("pool6", &server.pool6.to_string()),
        ("address6", &server.address6.to_string()),
        ("address4", &server.address4.to_string()),
        ("dns", &server.resolvers()),
        ("public_key", &server.gateway_public_key.to_string()),
    ];
    template::render(TEMPLATE, &values, &mut output);
    std::mem::take(&mut output)
}
