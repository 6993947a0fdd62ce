//! The hetznat Terraform provider: gateways at home, IPv6-only servers as their peers, and the state document between them.

mod attributes;
mod entry;
mod first_boot;
mod gateway;
mod list;
mod peer;
mod peer_group;
mod provider;
mod store;

use std::process::ExitCode;

use tfplugin5::About;

fn main() -> ExitCode {
    tfplugin5::run::<provider::Hetznat>(About {
        name: "hetznat",
        version: env!("CARGO_PKG_VERSION"),
        address: "registry.terraform.io/hetznat/hetznat",
        crate_name: env!("CARGO_CRATE_NAME"),
    })
}
