//! Documents for unit tests.

use contract::{Document, Gateway, PrivateKey};

use crate::source::Config;

/// A document with the gateway `home`, whose key Terraform made, and its peer `web`.
pub(crate) fn document() -> Document {
    let private_key = PrivateKey::from_random([1; 32]);
    let peer_key = PrivateKey::from_random([2; 32]).public_key();
    let text = format!(
        r#"{{ "format": 1, "serial": 42, "gateways": {{ "home": {{
            "public_key": "{}", "private_key": "{}", "pool6": "64:ff9b::/96", "mtu": 1412, "keepalive_secs": 25,
            "address6": "fd64:ff9b::1", "ipv4_prefix": "198.18.0.0/16", "owner": "x",
            "peers": {{ "web": {{ "public_key": "{peer_key}", "prefix": "2001:db8:1:2::/64", "ipv4": "198.18.0.2",
                                 "endpoint": "[2001:db8:1:2::1]:46464", "owner": "y" }} }} }} }} }}"#,
        private_key.public_key(),
        *private_key.to_base64(),
    );
    Document::parse(text.as_bytes()).expect("a valid document")
}

/// The gateway `home` of [`document`].
pub(crate) fn gateway() -> Gateway {
    document().gateways.into_values().next().expect("one gateway")
}

/// What a translator for `home` runs on.
pub(crate) fn config() -> Config {
    let gateway = gateway();
    let private_key = gateway.private_key.clone().expect("Terraform made the pair");
    Config { serial: 42, gateway, private_key }
}
