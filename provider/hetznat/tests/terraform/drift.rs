//! What happens to the document behind Terraform's back, and what the next plan makes of it.

use std::fs;

use serde_json::json;

use crate::{HOME, SERVER, applied};

#[test]
fn a_deleted_document_heals_in_place_with_the_same_keys() {
    let workspace = applied(&format!("{HOME}{SERVER}"));
    let before = workspace.document();
    fs::remove_file(workspace.path("state.json")).unwrap();

    workspace.plan().says("published = false -> true").says("Plan: 0 to add, 2 to change, 0 to destroy.");
    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("0 added, 2 changed, 0 destroyed"), "{}", apply.text);
    assert_eq!(before["gateways"], workspace.document()["gateways"]);
    workspace.plans_nothing();
}

#[test]
fn an_entry_removed_by_hand_heals_and_keeps_its_address() {
    let workspace = applied(HOME);
    let before = workspace.entry("web");
    workspace.edit_document(|document| {
        document["gateways"]["home"]["peers"].as_object_mut().unwrap().remove("web");
    });

    workspace.apply().succeeds();

    assert_eq!(workspace.entry("web"), before);
    workspace.plans_nothing();
}

#[test]
fn an_entry_edited_by_hand_is_an_ordinary_difference() {
    let workspace = applied(HOME);
    workspace.edit_document(|document| {
        document["gateways"]["home"]["peers"]["web"]["endpoint"] = json!("[2001:db8:bad::1]:46464");
        document["gateways"]["home"]["mtu"] = json!(1280);
    });

    workspace.plan().says("mtu = 1280 -> 1412").says("\"[2001:db8:bad::1]:46464\" -> \"2001:DB8:1:2::/64\"");
    workspace.apply().succeeds();

    assert_eq!(workspace.entry("web")["endpoint"], "[2001:db8:1:2::1]:46464");
    workspace.plans_nothing();
}

#[test]
fn what_could_only_be_replaced_is_written_again_instead() {
    let workspace = applied(&format!("{HOME}{SERVER}"));
    let before = workspace.document();
    workspace.edit_document(|document| {
        document["gateways"]["home"]["address6"] = json!("fd00::1");
        document["gateways"]["home"]["peers"]["web"]["ipv4"] = json!("198.18.7.7");
        document["gateways"]["home"]["peers"]["web"]["public_key"] =
            json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    });

    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("0 added, 2 changed, 0 destroyed"), "{}", apply.text);
    assert_eq!(before["gateways"], workspace.document()["gateways"]);
    workspace.plans_nothing();
}

#[test]
fn a_document_that_cannot_be_read_is_an_error_and_stays_as_it_is() {
    let workspace = applied(HOME);

    for (document, problem) in [
        ("{\"format\": 1, \"ser", "state file state.json: line 1, column"),
        (
            "{\"format\": 2, \"serial\": 1, \"gateways\": {}}",
            "format version 2 is newer than this provider understands (1)",
        ),
    ] {
        fs::write(workspace.path("state.json"), document).unwrap();

        workspace.plan().fails_with(problem);
        workspace.run(&["apply", "-auto-approve", "-refresh=false", "-replace=hetznat_peer.web"]).fails_with(problem);

        assert_eq!(workspace.document_text(), document);
    }
}

#[test]
fn keys_of_later_versions_survive_an_update() {
    let workspace = applied(HOME);
    workspace.edit_document(|document| {
        document["gateways"]["home"]["later"] = json!({"a": 1});
        document["gateways"]["home"]["peers"]["web"]["later"] = json!(true);
    });

    workspace.edit("2001:DB8:1:2::/64", "2001:db8:1:3::/64");
    workspace.edit("name = \"home\"", "name = \"home\"\n  mtu = 1300");
    workspace.apply().succeeds();

    assert_eq!(workspace.document()["gateways"]["home"]["later"], json!({"a": 1}));
    assert_eq!(workspace.entry("web")["later"], true);
}
