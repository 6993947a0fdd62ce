//! What an author is told about a configuration that cannot work: one line that says what to do, at its attribute.

use std::fs;

use crate::workspace::Workspace;
use crate::{HOME, applied};

#[track_caller]
fn refused(from: &str, to: &str, expected: &[&str]) {
    let workspace = Workspace::with(HOME);
    workspace.edit(from, to);
    let mut run = workspace.apply();
    for message in expected {
        run = run.fails_with(message);
    }
    assert!(!workspace.path("state.json").exists(), "nothing is written");
}

#[test]
fn an_ipv4_endpoint() {
    refused(
        "\"2001:DB8:1:2::/64\"",
        "\"192.0.2.1\"",
        &[
            "endpoint: 192.0.2.1 is IPv4, but the gateway dials servers over IPv6; use the server's IPv6 address",
            "endpoint = \"192.0.2.1\"",
        ],
    );
}

#[test]
fn a_prefix_of_the_wrong_length() {
    refused(
        "name     = \"web\"",
        "name     = \"web\"\n  prefix = \"2001:db8::/48\"",
        &["prefix: must be a /64, the one that Hetzner routes to the server (got /48)", "prefix = \"2001:db8::/48\""],
    );
}

#[test]
fn user_data_that_cloud_init_would_ignore() {
    refused(
        "name     = \"web\"",
        "name     = \"web\"\n  extra_user_data = \"packages: []\"",
        &[
            "extra_user_data begins with \"packages: []\", which cloud-init ignores",
            "extra_user_data = \"packages: []\"",
        ],
    );
}

#[test]
fn user_data_that_is_too_large() {
    let noise = "join(\"\", [for i in range(700) : sha256(i)])";
    refused(
        "name     = \"web\"",
        &format!("name     = \"web\"\n  extra_user_data = format(\"#!/bin/sh\\n# %s\", {noise})"),
        &["bytes, and Hetzner takes 32768", "come of the 44812 bytes of extra_user_data; shorten it"],
    );
}

#[test]
fn a_key_that_is_none() {
    refused(
        "name = \"home\"",
        "name = \"home\"\n  public_key = \"c2hvcnQ=\"",
        &["public_key: a WireGuard key has 44 characters, this has 8", "public_key = \"c2hvcnQ=\""],
    );
}

#[test]
fn a_pool6_of_a_length_that_does_not_exist() {
    refused(
        "name = \"home\"",
        "name = \"home\"\n  pool6 = \"2001:db8::/100\"",
        &["pool6 prefix length must be one of 32, 40, 48, 56, 64, 96 (got /100)", "pool6 = \"2001:db8::/100\""],
    );
}

#[test]
fn settings_that_do_not_fit_together() {
    refused(
        "name = \"home\"",
        "name = \"home\"\n  mtu = 1000",
        &["gateway home, mtu: must be at least 1280, not 1000", "mtu = 1000"],
    );
    refused(
        "name = \"home\"",
        "name = \"home\"\n  address6 = \"64:ff9b::1\"",
        &["lies inside pool6 64:ff9b::/96", "address6 = \"64:ff9b::1\""],
    );
    refused(
        "name = \"home\"",
        "name = \"home\"\n  rotate = {}\n  public_key = \"mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=\"",
        &["rotate draws keys, but public_key says that they are made elsewhere"],
    );
    refused(
        "name = \"home\"",
        "name = \"home\"\n  pool6 = \"2001:db8:64::/96\"",
        &["public DNS64 servers use 64:ff9b::/96, not 2001:db8:64::/96; set dns = \"gateway\""],
    );
}

#[test]
fn names_that_are_not_one_label() {
    refused("name = \"home\"", "name = \"Home Sweet Home\"", &["name: ", "name = \"Home Sweet Home\""]);
}

#[test]
fn no_state_file() {
    refused("  state = \"state.json\"\n", "", &["no state file: set state to the path", "HETZNAT_STATE"]);
}

#[test]
fn the_state_file_may_come_from_the_environment() {
    let workspace = Workspace::with(HOME);
    workspace.edit("  state = \"state.json\"\n", "");

    let mut command = workspace.command(&["apply", "-auto-approve"]);
    let output = command.env("HETZNAT_STATE", "state.json").output().unwrap();

    assert!(output.status.success() && workspace.path("state.json").exists());
}

#[test]
fn two_peers_of_one_name_or_one_prefix() {
    let second = "resource \"hetznat_peer\" \"other\" {\n  gateway = hetznat_gateway.home.link\n  name = \"NAME\"\n  \
                  endpoint = \"ENDPOINT\"\n}\n";
    let with = |name: &str, endpoint: &str| {
        Workspace::with(&format!("{HOME}{}", second.replace("NAME", name).replace("ENDPOINT", endpoint))).apply()
    };

    with("web", "2001:db8:1:2::9").fails_with("two peers of gateway home are named web; give each its own name");
    with("web", "2001:db8:1:3::9").fails_with("two peers of gateway home are named web; give each its own name");
    with("db", "2001:db8:1:2::9").fails_with("2001:db8:1:2::/64 is the prefix of peer");
}

#[test]
fn a_peer_that_somebody_else_declared() {
    let workspace = applied(HOME);
    workspace.run(&["state", "rm", "hetznat_peer.web"]).succeeds();
    workspace.edit("2001:DB8:1:2::/64", "2001:db8:1:3::/64");
    let before = workspace.document_text();

    workspace
        .apply()
        .fails_with("peer web already exists in gateway home; import it, or choose another name")
        .fails_with("terraform import hetznat_peer.<resource> home/web");

    assert_eq!(workspace.document_text(), before);
}

#[test]
fn a_gateway_that_still_has_peers() {
    let workspace = applied(HOME);
    workspace.run(&["state", "rm", "hetznat_peer.web"]).succeeds();

    workspace
        .run(&["destroy", "-auto-approve", "-no-color"])
        .fails_with("gateway home still has peers: web; destroy them first, where they are declared");

    assert!(workspace.entry("web").is_object());
}

#[test]
fn an_import_of_what_is_not_there() {
    let workspace = applied(HOME);
    workspace.run(&["state", "rm", "hetznat_peer.web"]).succeeds();

    workspace.run(&["import", "hetznat_peer.web", "web"]).fails_with("like home/web, and not \"web\"");
    workspace
        .run(&["import", "hetznat_peer.web", "home/db"])
        .fails_with("there is no peer db in gateway home; it has web");
}

#[test]
fn a_directory_that_does_not_exist() {
    let workspace = Workspace::with(HOME);
    workspace.edit("state.json", "missing/state.json");

    workspace.apply().fails_with("directory missing does not exist; create it with mkdir -p missing");

    assert!(fs::read_dir(workspace.path("missing")).is_err());
}
