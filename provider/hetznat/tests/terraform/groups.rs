//! Groups: one user data for any number of servers, a secret that can be changed, and nothing per server.

use serde_json::{Value, json};

use crate::applied;
use crate::workspace::Workspace;

/// A gateway and a group with these options.
fn group(options: &str) -> String {
    format!(
        "
resource \"hetznat_gateway\" \"home\" {{
  name = \"home\"
}}
resource \"hetznat_peer_group\" \"workers\" {{
  gateway = hetznat_gateway.home.link
  name    = \"workers\"
{options}
}}
"
    )
}

fn entry(workspace: &Workspace) -> Value {
    workspace.document()["gateways"]["home"]["groups"]["workers"].clone()
}

fn state(workspace: &Workspace) -> Value {
    workspace.state("hetznat_peer_group.workers")
}

#[test]
fn a_group_is_in_the_document_with_the_labels_that_its_servers_get() {
    let workspace = applied(&group(""));

    workspace.plans_nothing();

    let (entry, state) = (entry(&workspace), state(&workspace));
    assert_eq!(entry["label_selector"], "hetznat-gateway==home,hetznat-group==workers");
    assert_eq!(entry["secret"], state["secret"]);
    assert_eq!(state["labels"], json!({ "hetznat-gateway": "home", "hetznat-group": "workers" }));
    assert_eq!(state["previous_secret"], Value::Null);
    assert_eq!(state["render_format"], 2);
    assert!(state["user_data"].as_str().unwrap().starts_with("H4sI"), "gzip in base64");
    contract::Document::parse(workspace.document_text().as_bytes()).unwrap();
}

#[test]
fn a_group_takes_what_a_peer_takes_and_a_plan_says_what_it_cannot() {
    let wishes =
        "  metadata_guard = true\n  docker = true\n  extra_user_data = \"#cloud-config\\npackages: [nginx]\\n\"\n";
    let workspace = applied(&group(""));
    let before = (entry(&workspace), state(&workspace)["user_data"].clone());

    workspace.write(&group(wishes));
    workspace.apply().succeeds();

    workspace.plans_nothing();
    assert_eq!(entry(&workspace), before.0, "the gateway needs nothing new");
    assert_ne!(state(&workspace)["user_data"], before.1);
    workspace.write(&group(&format!("{wishes}  render_format = 1\n")));
    workspace.plan().fails_with("needs render_format = 2");
    workspace.write(&group("  render_format = 1\n"));
    workspace.apply().succeeds();
    let (entry, state) = (entry(&workspace), state(&workspace));
    let user_data = state["user_data"].as_str().unwrap();
    assert!(user_data.contains("#cloud-boothook") && user_data.contains(entry["secret"].as_str().unwrap()));
}

#[test]
fn a_rotated_secret_leaves_the_old_one_in_force_until_it_is_told_otherwise() {
    let workspace = applied(&group(""));
    let first = entry(&workspace)["secret"].clone();

    let rotated = "  rotate = { year = \"2027\" }\n";
    workspace.write(&group(rotated));
    workspace.plan().says("the group's secret changes");
    workspace.apply().succeeds();
    workspace.plans_nothing();
    let second = entry(&workspace);
    assert_ne!(second["secret"], first);
    assert_eq!(second["previous_secret"], first);

    workspace.write(&group(&format!("{rotated}  accept_previous = false\n")));
    let before = state(&workspace)["user_data"].clone();
    workspace.apply().succeeds();
    workspace.plans_nothing();
    assert_eq!(
        (&entry(&workspace)["secret"], &entry(&workspace)["previous_secret"]),
        (&second["secret"], &Value::Null)
    );
    assert_eq!(state(&workspace)["user_data"], before, "servers need nothing new");
}

#[test]
fn a_group_that_is_gone_from_the_document_comes_back_with_its_secret() {
    let workspace = applied(&group("  label_selector = \"pool == a\"\n"));
    let before = entry(&workspace);
    workspace.edit_document(|document| {
        document["gateways"]["home"]["groups"] = json!({});
    });

    workspace.plan().says("published");
    workspace.apply().succeeds();

    assert_eq!(entry(&workspace), before);
    assert_eq!(before["label_selector"], "pool == a");
    workspace.plans_nothing();
}

#[test]
fn a_name_that_leaves_no_room_for_instance_ids_is_refused() {
    let workspace =
        Workspace::with(&group("").replace("name    = \"workers\"", &format!("name    = \"{}\"", "a".repeat(47))));

    workspace.plan().fails_with("at most 46");
}

#[test]
fn a_group_is_imported_with_its_secret_and_destroyed_whole() {
    let workspace = applied(&group(""));
    let secret = entry(&workspace)["secret"].clone();
    workspace.run(&["state", "rm", "hetznat_peer_group.workers"]).succeeds();

    workspace.run(&["import", "hetznat_peer_group.workers", "home/workers"]).succeeds();
    assert_eq!(state(&workspace)["secret"], secret);

    workspace.run(&["destroy", "-auto-approve"]).succeeds();
    assert_eq!(workspace.document()["gateways"], json!({}));
}
