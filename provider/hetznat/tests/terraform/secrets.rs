//! Where private keys are not.

use crate::{HOME, applied};

#[test]
fn no_private_key_is_in_any_log() {
    let workspace = applied(HOME);
    workspace.plans_nothing();
    let keys = [
        workspace.state("hetznat_peer.web")["private_key"].clone(),
        workspace.state("hetznat_gateway.home")["private_key"].clone(),
    ];
    workspace.run(&["destroy", "-auto-approve"]).succeeds();

    let log = workspace.log();

    assert!(log.contains("provider.terraform-provider-hetznat"), "the provider did log");
    for key in keys {
        assert!(!log.contains(key.as_str().unwrap()));
    }
}

#[test]
fn a_peers_private_key_never_reaches_the_document() {
    let workspace = applied(HOME);

    let key = workspace.state("hetznat_peer.web")["private_key"].clone();

    assert!(!workspace.document_text().contains(key.as_str().unwrap()));
}

#[test]
fn with_a_key_made_on_the_gateway_the_document_holds_no_secret() {
    let key = "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=";
    let workspace = applied(&HOME.replace("\"home\"\n", &format!("\"home\"\n  public_key = \"{key}\"\n")));

    assert!(!workspace.document_text().contains("private_key"));
    assert_eq!(workspace.document()["gateways"]["home"]["public_key"], key);
    workspace.plans_nothing();
}

#[test]
fn secrets_are_not_printed_by_terraform() {
    let workspace = applied(HOME);

    let shown = workspace.run(&["show", "-no-color"]).succeeds();

    for attribute in ["private_key", "user_data", "wireguard_config"] {
        let line = shown.text.lines().find(|line| line.trim_start().starts_with(attribute)).unwrap();
        assert!(line.ends_with("(sensitive value)"), "{line}");
    }
}
