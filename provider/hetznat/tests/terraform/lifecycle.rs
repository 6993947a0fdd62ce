//! Created, planned again, changed, replaced, destroyed.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::workspace::{Run, Workspace};
use crate::{HOME, SERVER, applied};

#[test]
fn what_is_applied_is_in_the_document_and_plans_empty() {
    let workspace = applied(HOME);

    workspace.plans_nothing();

    let peer = workspace.state("hetznat_peer.web");
    let mut entry = workspace.entry("web");
    assert_eq!(entry["owner"].take().as_str().unwrap().len(), 32);
    let expected = json!({
        "public_key": peer["public_key"], "prefix": "2001:db8:1:2::/64", "ipv4": "198.18.0.2",
        "endpoint": "[2001:db8:1:2::1]:46464", "owner": null,
    });
    assert_eq!(entry, expected);
    assert_eq!(peer["endpoint"], "2001:DB8:1:2::/64", "the author's spelling");
    assert_eq!(peer["labels"], json!({"hetznat-gateway": "home", "hetznat-peer": "web"}));
    // gzip of anything begins like this in base64.
    assert!(peer["user_data"].as_str().unwrap().starts_with("H4sI"));
    assert!(peer["wireguard_config"].as_str().unwrap().contains("[Interface]"));
}

#[test]
fn the_document_is_what_the_translator_reads() {
    let workspace = applied(HOME);

    let document = contract::Document::parse(workspace.document_text().as_bytes()).unwrap();

    let gateway = document.gateways.values().next().unwrap();
    assert_eq!((gateway.mtu, gateway.keepalive_secs), (1412, 25));
    assert_eq!(gateway.private_key.as_ref().unwrap().public_key(), gateway.public_key);
    let link = &workspace.state("hetznat_gateway.home")["link"];
    let expected = json!({
        "id": "home", "public_key": gateway.public_key.to_string(), "pool6": "64:ff9b::/96",
        "address6": "fd64:ff9b::1", "address4": gateway.address4().to_string(),
    });
    assert_eq!(*link, expected);
}

#[test]
fn the_gateways_own_settings_replace_no_server() {
    let workspace = applied(&format!("{HOME}{SERVER}"));

    workspace.edit("name = \"home\"", "name = \"home\"\n  mtu = 1380\n  keepalive_secs = 15");
    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("0 added, 1 changed, 0 destroyed"), "{}", apply.text);
    assert_eq!(workspace.document()["gateways"]["home"]["mtu"], 1380);
    workspace.plans_nothing();
}

#[test]
fn an_endpoint_changes_in_place_and_another_spelling_of_it_not_at_all() {
    let workspace = applied(&format!("{HOME}{SERVER}"));

    workspace.edit("2001:DB8:1:2::/64", "2001:db8:1:2::1");
    workspace.plans_nothing();
    workspace.edit("2001:db8:1:2::1", "[2001:db8:1:3::7]:4000");
    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("0 added, 1 changed, 0 destroyed"), "{}", apply.text);
    assert_eq!(workspace.entry("web")["endpoint"], "[2001:db8:1:3::7]:4000");
    assert_eq!(workspace.entry("web")["prefix"], "2001:db8:1:3::/64");
    workspace.plans_nothing();
}

#[test]
fn an_endpoint_may_be_unknown_until_apply() {
    let address = "resource \"terraform_data\" \"ip\" {\n  input = \"2001:db8:1:2::\"\n}\n";
    let config = HOME.replace("\"2001:DB8:1:2::/64\"", "\"${terraform_data.ip.output}/64\"");

    let workspace = applied(&format!("{config}{address}"));

    assert_eq!(workspace.entry("web")["prefix"], "2001:db8:1:2::/64");
    workspace.plans_nothing();
}

#[test]
fn rotating_a_peer_changes_its_keys_in_place_and_nothing_else() {
    let workspace = applied(HOME);
    let before = workspace.state("hetznat_peer.web");

    workspace.edit("name     = \"web\"", "name     = \"web\"\n  rotate = { quarter = \"2026-Q4\" }");
    let apply = workspace.apply().succeeds();

    let after = workspace.state("hetznat_peer.web");
    assert!(apply.text.contains("0 added, 1 changed, 0 destroyed"), "{}", apply.text);
    assert_ne!(before["public_key"], after["public_key"]);
    assert_ne!(before["user_data"], after["user_data"]);
    assert_eq!(before["ipv4"], after["ipv4"]);
    assert_eq!(workspace.entry("web")["public_key"], after["public_key"]);
    workspace.plans_nothing();
}

#[test]
fn rotating_a_gateway_warns_of_what_follows() {
    let workspace = applied(&format!("{HOME}{SERVER}"));
    let before = workspace.state("hetznat_peer.web");

    workspace.edit("name = \"home\"", "name = \"home\"\n  rotate = { year = \"2027\" }");
    workspace.plan().says("Warning: the gateway's key changes, and with it the user_data of every one of its servers");
    workspace.apply().succeeds();

    let after = workspace.state("hetznat_peer.web");
    assert_eq!(before["public_key"], after["public_key"]);
    assert_ne!(before["user_data"], after["user_data"]);
    workspace.plans_nothing();
}

#[test]
fn the_authors_key_may_come_and_go() {
    let workspace = applied(HOME);
    let key = "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=";

    workspace.edit("name = \"home\"", &format!("name = \"home\"\n  public_key = \"{key}\""));
    workspace.apply().succeeds();
    assert_eq!(workspace.document()["gateways"]["home"]["public_key"], key);
    assert_eq!(workspace.document()["gateways"]["home"]["private_key"], Value::Null);
    workspace.plans_nothing();
    workspace.edit(&format!("public_key = \"{key}\""), "");
    workspace.apply().succeeds();

    assert_ne!(workspace.document()["gateways"]["home"]["public_key"], key);
    assert!(workspace.document()["gateways"]["home"]["private_key"].is_string());
    workspace.plans_nothing();
}

#[test]
fn the_authors_key_may_be_unknown_until_apply() {
    let key = "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=";
    let source = format!("resource \"terraform_data\" \"key\" {{\n  input = \"{key}\"\n}}\n");
    let config = HOME.replace("name = \"home\"", "name = \"home\"\n  public_key = terraform_data.key.output");

    let workspace = applied(&format!("{config}{source}"));

    assert_eq!(workspace.document()["gateways"]["home"]["public_key"], key);
    assert!(!workspace.document_text().contains("private_key"));
    workspace.plans_nothing();
}

#[test]
fn a_gateway_with_another_pool6_takes_its_peers_along() {
    let workspace = applied(&HOME.replace("\"web\"\n  e", "\"web\"\n  dns = \"gateway\"\n  e"));

    workspace.edit("name = \"home\"", "name = \"home\"\n  pool6 = \"2001:db8:64::/96\"");
    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("2 added, 0 changed, 2 destroyed"), "{}", apply.text);
    assert_eq!(workspace.document()["gateways"]["home"]["pool6"], "2001:db8:64::/96");
    workspace.plans_nothing();
}

#[test]
fn a_successor_may_be_created_before_its_predecessor_goes() {
    let workspace = applied(&HOME.replace("/64\"\n", "/64\"\n  lifecycle {\n    create_before_destroy = true\n  }\n"));
    let before = workspace.entry("web");

    workspace.run(&["apply", "-auto-approve", "-replace=hetznat_peer.web"]).succeeds();

    let after = workspace.entry("web");
    assert_ne!(before["public_key"], after["public_key"]);
    assert_eq!(before["ipv4"], after["ipv4"]);
    assert_eq!(after["public_key"], workspace.state("hetznat_peer.web")["public_key"]);
    workspace.plans_nothing();
}

#[test]
fn destroy_leaves_an_empty_document() {
    let workspace = applied(HOME);

    workspace.run(&["destroy", "-auto-approve"]).succeeds();

    assert_eq!(workspace.document()["gateways"], json!({}));
}

#[test]
fn twenty_peers_are_applied_in_under_ten_seconds() {
    let many = HOME
        .replace("\"hetznat_peer\" \"web\" {", "\"hetznat_peer\" \"web\" {\n  count = 20")
        .replace("\"web\"\n", "\"web-${count.index}\"\n")
        .replace("2001:DB8:1:2::", "2001:db8:1:${count.index + 1}::");
    let workspace = Workspace::with(&many);

    let start = Instant::now();
    workspace.apply().succeeds();

    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let document = contract::Document::parse(workspace.document_text().as_bytes()).unwrap();
    assert_eq!(document.gateways.values().next().unwrap().peers.len(), 20);
    workspace.plans_nothing();
}

#[test]
fn import_finds_both_and_changes_nothing() {
    let workspace = applied(HOME);
    let key = workspace.entry("web")["public_key"].clone();
    workspace.run(&["state", "rm", "hetznat_gateway.home", "hetznat_peer.web"]).succeeds();

    workspace.apply().fails_with("gateway home already exists in the state document; import it");
    workspace.run(&["import", "hetznat_gateway.home", "home"]).succeeds();
    workspace.run(&["import", "hetznat_peer.web", "home/web"]).succeeds();

    workspace.plans_nothing();
    let peer = workspace.state("hetznat_peer.web");
    assert_eq!(peer["public_key"], key);
    assert_eq!(peer["private_key"], Value::Null);
    workspace.edit("name     = \"web\"", "name     = \"web\"\n  rotate = { adopted = \"yes\" }");
    workspace.apply().succeeds();
    assert!(workspace.state("hetznat_peer.web")["user_data"].is_string());
    workspace.plans_nothing();
}

#[test]
fn ctrl_c_while_the_document_is_locked_loses_nothing() {
    let workspace = applied(&HOME.replace("name     = \"web\"", "count = 0\n  name     = \"web\""));
    workspace.edit("count = 0\n", "");
    fs::write(workspace.path("log"), "").unwrap();
    let lock = File::options().write(true).open(workspace.path("state.json.lock")).unwrap();
    lock.lock().unwrap();

    let apply = Group::start(workspace.command(&["apply", "-auto-approve", "-no-color"]));
    wait_for(|| workspace.log().contains("hetznat_peer.web: applying the planned Create change"));
    apply.signal("INT");
    wait_for(|| workspace.log().contains("stop: what is under way is finished"));
    lock.unlock().unwrap();
    let run = apply.end();

    assert!(run.text.contains("Interrupt received"), "{}", run.text);
    assert_eq!(workspace.entry("web")["public_key"], workspace.state("hetznat_peer.web")["public_key"]);
    assert!(!workspace.log().contains("failed to exit gracefully"));
    workspace.plans_nothing();
}

/// Terraform and its plugins in a process group of their own, as a shell would start them. None outlives the test.
struct Group(Option<Child>);

impl Group {
    fn start(mut command: Command) -> Self {
        let command = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// What Ctrl-C does: everybody in the group hears it.
    fn signal(&self, name: &str) {
        let group = format!("-{}", self.0.as_ref().unwrap().id());
        Command::new("kill").args([&format!("-{name}"), "--", &group]).status().unwrap();
    }

    fn end(mut self) -> Run {
        Run::of(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.0.is_some() {
            self.signal("KILL");
        }
    }
}

fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}
