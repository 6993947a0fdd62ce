//! What becomes of servers and their addresses, and of requests that are refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::project::Project;

fn ipv6_only() -> Value {
    json!({ "enable_ipv4": false, "enable_ipv6": true })
}

#[test]
fn a_server_without_ipv4_boots_and_has_a_64_of_its_own() {
    let mut project = Project::new();

    let server = project.create("web", ipv6_only());
    assert_eq!(server["status"], "initializing");
    assert_eq!(server["public_net"]["ipv4"], Value::Null);
    assert_eq!(server["public_net"]["ipv6"]["ip"], "2001:db8:1:1::/64");
    project.wait();

    let server = project.done("GET", &format!("/servers/{}", server["id"]), Value::Null);
    assert_eq!(server["server"]["status"], "running");
}

#[test]
fn only_one_action_runs_at_a_time_and_its_end_is_told() {
    let mut project = Project::new();
    let server = project.create("web", ipv6_only());
    project.wait();
    let off = format!("/servers/{}/actions/poweroff", server["id"]);

    let action = project.done("POST", &off, Value::Null)["action"].take();
    assert_eq!((&action["status"], &action["progress"]), (&json!("running"), &json!(0)));
    assert_eq!(project.refused("POST", &off, Value::Null), (423, json!("locked")));
    project.wait();

    let action = project.done("GET", &format!("/actions/{}", action["id"]), Value::Null)["action"].take();
    assert_eq!((&action["status"], &action["progress"]), (&json!("success"), &json!(100)));
}

#[test]
fn an_address_of_the_authors_outlives_its_server_and_any_other_does_not() {
    let mut project = Project::new();
    let kept = json!({ "name": "kept", "type": "ipv6", "assignee_type": "server", "location": "fsn1" });
    let kept = project.done("POST", "/primary_ips", kept)["primary_ip"].take();
    let first = project.create("first", json!({ "enable_ipv4": false, "ipv6": kept["id"] }));
    project.create("second", ipv6_only());
    project.wait();

    for name in ["first", "second"] {
        let found = project.done("GET", &format!("/servers?name={name}"), Value::Null);
        project.done("DELETE", &format!("/servers/{}", found["servers"][0]["id"]), Value::Null);
    }
    project.wait();

    assert_eq!(first["public_net"]["ipv6"]["ip"], kept["ip"]);
    let left = project.done("GET", "/primary_ips", Value::Null);
    assert_eq!(left["primary_ips"].as_array().unwrap().len(), 1);
    assert_eq!((&left["primary_ips"][0]["id"], &left["primary_ips"][0]["assignee_id"]), (&kept["id"], &Value::Null));
}

#[test]
fn a_rebuilt_server_keeps_its_addresses_and_takes_new_user_data() {
    let mut project = Project::new();
    let before = project.create("web", ipv6_only());
    project.wait();

    let rebuild = json!({ "image": "debian-13", "user_data": "#!/bin/sh" });
    project.done("POST", &format!("/servers/{}/actions/rebuild", before["id"]), rebuild);
    let during = project.done("GET", &format!("/servers/{}", before["id"]), Value::Null)["server"].take();
    project.wait();

    assert_eq!((&during["status"], &during["public_net"]), (&json!("rebuilding"), &before["public_net"]));
    let given = project.done("GET", &format!("/_lab/servers/{}/user_data", before["id"]), Value::Null);
    assert_eq!(given["user_data"], "#!/bin/sh");
}

#[test]
fn labels_are_replaced_whole_and_select() {
    let mut project = Project::new();
    let server = project.create("web", ipv6_only());
    let path = format!("/servers/{}", server["id"]);

    project.done("PUT", &path, json!({ "labels": { "a": "1", "b": "2" } }));
    project.done("PUT", &path, json!({ "labels": { "a": "1" } }));

    let count = |project: &mut Project, selector: &str| {
        let found = project.done("GET", &format!("/servers?label_selector={selector}"), Value::Null);
        found["servers"].as_array().unwrap().len()
    };
    assert_eq!(count(&mut project, "a==1,!b"), 1);
    assert_eq!(count(&mut project, "b"), 0);
}

#[test]
fn what_cannot_be_done_has_the_code_that_hetzner_gives_it() {
    let mut project = Project::new();
    project.create("web", ipv6_only());
    let server = |more: Value| {
        let mut body = json!({ "name": "db", "server_type": "cax11", "image": "debian-12" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };

    let invalid = (422, json!("invalid_input"));
    assert_eq!(project.refused("POST", "/servers", json!({ "name": "db" })), invalid);
    assert_eq!(project.refused("POST", "/servers", server(json!({ "name": "a b" }))), invalid);
    assert_eq!(project.refused("POST", "/servers", server(json!({ "image": "debian-1" }))), invalid);
    assert_eq!(project.refused("POST", "/servers", server(json!({ "labels": { "a": "=" } }))), invalid);
    let too_long = "a".repeat(32 * 1024 + 1);
    assert_eq!(project.refused("POST", "/servers", server(json!({ "user_data": too_long }))), invalid);
    let no_net = json!({ "public_net": { "enable_ipv4": false, "enable_ipv6": false } });
    assert_eq!(project.refused("POST", "/servers", server(no_net)), invalid);
    assert_eq!(project.refused("POST", "/servers", server(json!({ "name": "web" }))), (409, json!("uniqueness_error")));
    assert_eq!(project.refused("GET", "/servers/1", Value::Null), (404, json!("not_found")));
    assert_eq!(project.refused("PATCH", "/servers", Value::Null), (405, json!("method_not_allowed")));
}

#[test]
fn a_token_reads_or_writes_or_is_unknown() {
    let mut project = Project::new();

    project.token = "read";
    project.done("GET", "/servers", Value::Null);
    assert_eq!(project.refused("POST", "/servers", json!({})), (403, json!("token_readonly")));
    project.token = "somebody else's";
    assert_eq!(project.refused("GET", "/servers", Value::Null), (401, json!("unauthorized")));
}

#[test]
fn requests_are_counted_and_too_many_are_refused_until_some_come_back() {
    let mut project = Project::new();
    project.done("POST", "/_lab", json!({ "limit_left": 1 }));

    let last = project.ask("GET", "/servers", &Value::Null);
    let header = |name: &str| last.headers.iter().find(|(key, _)| *key == name).unwrap().1.clone();
    assert_eq!((header("ratelimit-limit"), header("ratelimit-remaining")), ("3600".to_owned(), "0".to_owned()));
    assert_eq!(project.refused("GET", "/servers", Value::Null), (429, json!("rate_limit_exceeded")));
    project.now += Duration::from_secs(1);

    project.done("GET", "/servers", Value::Null);
    assert_eq!(project.done("GET", "/_lab", Value::Null)["requests"]["GET /servers"], 3);
}

#[test]
fn a_test_can_make_requests_fail_and_servers_change() {
    let mut project = Project::new();
    let server = project.create("web", ipv6_only());

    let change = json!({ "id": server["id"], "status": "hibernating", "blocked": true });
    project.done("POST", "/_lab", json!({ "faults": { "status": 503, "count": 1 }, "server": change }));

    project.is_as_published = false;
    assert_eq!(project.refused("GET", "/servers", Value::Null), (503, json!("unavailable")));
    let found = project.done("GET", "/servers", Value::Null)["servers"][0].take();
    assert_eq!((&found["status"], &found["public_net"]["ipv6"]["blocked"]), (&json!("hibernating"), &json!(true)));
}
