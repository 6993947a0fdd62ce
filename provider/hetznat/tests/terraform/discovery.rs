//! Peers without an endpoint: the gateway finds their servers by their labels.

use serde_json::{Value, json};

use crate::{HOME, SERVER, applied};

/// The home with a peer that is to be found, and these options of its gateway.
fn found_by(options: &str) -> String {
    let home = format!("{HOME}{SERVER}").replace("  endpoint = \"2001:DB8:1:2::/64\"\n", "");
    home.replace("name = \"home\"\n", &format!("name = \"home\"\n{options}\n"))
}

#[test]
fn a_peer_without_an_endpoint_is_to_be_found_and_the_labels_say_how() {
    let workspace = applied(&found_by("  discovery {}\n"));

    workspace.plans_nothing();

    let discovery = &workspace.document()["gateways"]["home"]["discovery"];
    assert_eq!(*discovery, json!({ "label_selector": "hetznat-gateway==home" }));
    let entry = workspace.entry("web");
    assert_eq!((&entry["prefix"], &entry["endpoint"]), (&Value::Null, &Value::Null));
    let labels = &workspace.state("hetznat_peer.web")["labels"];
    assert_eq!(*labels, json!({ "hetznat-gateway": "home", "hetznat-peer": "web" }));
    contract::Document::parse(workspace.document_text().as_bytes()).unwrap();
}

#[test]
fn an_endpoint_that_comes_or_goes_changes_no_servers_user_data() {
    let with_endpoint = found_by("  discovery {\n    label_selector = \"pool in (a,b)\"\n  }\n")
        .replace("  name     = \"web\"\n", "  name     = \"web\"\n  endpoint = \"2001:db8:1:2::/64\"\n");
    let workspace = applied(&with_endpoint);
    let before = workspace.state("hetznat_peer.web")["user_data"].clone();

    for resources in [found_by("  discovery {}\n"), with_endpoint] {
        workspace.write(&resources);
        workspace.apply().succeeds();

        assert_eq!(workspace.state("hetznat_peer.web")["user_data"], before);
        workspace.plans_nothing();
    }
    let discovery = &workspace.document()["gateways"]["home"]["discovery"];
    assert_eq!(*discovery, json!({ "label_selector": "pool in (a,b)" }));
}

#[test]
fn who_can_neither_be_dialled_nor_found_is_refused_with_the_remedy() {
    let remedy = "give the peer an endpoint, or its gateway discovery";
    let workspace = applied(&found_by("  discovery {}\n"));

    workspace.write(&found_by(""));
    workspace.apply().fails_with(remedy);
    workspace.write(&found_by("  discovery {\n    label_selector = \"\"\n  }\n"));
    workspace.plan().fails_with("is no label selector");
    workspace.write(
        &found_by("  discovery {}\n")
            .replace("  name     = \"web\"\n", "  name     = \"web\"\n  prefix   = \"2001:db8:1:2::/64\"\n"),
    );
    workspace.plan().fails_with("leave both out, and it is found by its labels");
}
