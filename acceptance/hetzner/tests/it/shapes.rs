//! What answers look like: `shapes.json` is what Hetzner's OpenAPI document (as of February 2026) says of the requests that the
//! stand-in answers, reduced to types, fields and enumerations; without `datacenter`, which the API dropped in July 2026, and with
//! what it says of server types since.
//!
//! A shape `is` another one by its name, or has a `type`; `fields` are all there unless they are `optional`, and no others are.

use std::sync::LazyLock;

use hetzner::Response;
use serde_json::{Value, json};

use crate::project::Project;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("shapes.json")).expect("shapes.json is JSON"));

/// Compares an answer with what it shall look like.
///
/// # Panics
/// It looks different.
pub(crate) fn check(method: &str, path: &str, response: &Response) {
    let Some(body) = &response.body else { return };
    let at = format!("{method} {}", template(path));
    let shape = if response.status < 300 { DOCUMENT["answers"][&at].as_str() } else { Some("error_response") };
    // Not everything is published: the controls of the lab are its own.
    let Some(shape) = shape else {
        assert!(path.starts_with("/_lab"), "{at} is in no OpenAPI document");
        return;
    };
    if let Err(problem) = matches(&json!({ "is": shape }), body, shape) {
        panic!("{at}: {problem} in {body}");
    }
}

/// The path with `{id}` for each number.
fn template(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.parse::<u64>().is_ok() { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn matches(shape: &Value, value: &Value, at: &str) -> Result<(), String> {
    if value.is_null() && shape["nullable"] == true {
        return Ok(());
    }
    if let Some(name) = shape["is"].as_str() {
        return matches(&DOCUMENT["shapes"][name], value, at);
    }
    let is_right = match shape["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some(other) => return Err(format!("{at}: what is a {other}?")),
        None => true,
    };
    if !is_right {
        return Err(format!("{at} is {value}, and not of the type {}", shape["type"]));
    }
    if shape["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return Err(format!("{at} is {value}, which is none of {}", shape["enum"]));
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        matches(&shape["items"], item, &format!("{at}[{number}]"))?;
    }
    fields(shape, value, at)
}

fn fields(shape: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (name, content) in value.as_object().into_iter().flatten() {
        let inner = format!("{at}.{name}");
        match (&shape["fields"], &shape["values"]) {
            (Value::Object(fields), _) => match fields.get(name) {
                Some(field) => matches(field, content, &inner)?,
                None => return Err(format!("{inner} is not published")),
            },
            (_, values) => matches(values, content, &inner)?,
        }
    }
    let optional = |name: &str| shape["optional"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let missing = shape["fields"].as_object().into_iter().flatten().map(|(name, _)| name);
    match missing.filter(|name| value.get(name).is_none()).find(|name| !optional(name)) {
        Some(name) => Err(format!("{at}.{name} is missing")),
        None => Ok(()),
    }
}

#[test]
fn what_is_not_as_published_is_found() {
    let action = json!({ "code": "locked", "message": "it is" });
    let problem = |change: &str, to: Value| {
        let mut answer = json!({ "error": action });
        answer["error"][change] = to;
        matches(&json!({ "is": "error_response" }), &answer, "answer").err()
    };

    assert_eq!(problem("code", json!("locked")), None);
    assert_eq!(problem("code", json!(1)).unwrap(), "answer.error.code is 1, and not of the type \"string\"");
    assert_eq!(problem("why", json!("")).unwrap(), "answer.error.why is not published");
    let bare = matches(&json!({ "is": "error_response" }), &json!({ "error": { "code": "locked" } }), "answer");
    assert_eq!(bare.unwrap_err(), "answer.error.message is missing");
}

#[test]
fn every_kind_of_answer_looks_as_hetzner_publishes_it() {
    let mut project = Project::new();
    let server = project.create("web", json!({ "enable_ipv4": true, "enable_ipv6": true }))["id"].take();
    let ip = json!({ "name": "kept", "type": "ipv6", "assignee_type": "server", "location": "fsn1" });
    let ip = project.done("POST", "/primary_ips", ip)["primary_ip"]["id"].take();
    let rule = json!({ "direction": "in", "protocol": "udp", "port": "46464", "source_ips": ["::/0"] });
    let apply = json!([{ "type": "label_selector", "label_selector": { "selector": "a==b" } },
        { "type": "server", "server": { "id": server } }]);
    let firewall = json!({ "name": "tunnel", "rules": [rule], "apply_to": apply });
    let firewall = project.done("POST", "/firewalls", firewall)["firewall"]["id"].take();
    project.wait();

    for path in ["/servers", "/primary_ips", "/firewalls", "/locations", "/server_types", "/images"] {
        let list = project.done("GET", path, Value::Null);
        let name = path.trim_start_matches('/');
        let first = list[name][0]["id"].clone();
        assert!(first.is_u64(), "{path}: {list}");
        project.done("GET", &format!("{path}/{first}"), Value::Null);
    }
    for (path, body) in [
        (format!("/servers/{server}"), json!({ "name": "other", "labels": { "a": "b" } })),
        (format!("/primary_ips/{ip}"), json!({ "name": "other" })),
        (format!("/firewalls/{firewall}"), json!({ "name": "other" })),
    ] {
        project.done("PUT", &path, body);
    }
    for (action, body) in
        [("poweroff", Value::Null), ("poweron", Value::Null), ("rebuild", json!({ "image": "debian-12" }))]
    {
        project.done("POST", &format!("/servers/{server}/actions/{action}"), body);
        project.wait();
    }
    project.done("GET", &format!("/servers/{server}/actions"), Value::Null);
    project.refused("GET", "/servers/1", Value::Null);
    project.refused("POST", "/servers", json!({ "name": "-" }));
    project.done("DELETE", &format!("/servers/{server}"), Value::Null);
}
