//! Which request means what.

use serde_json::{Value, json};

use crate::api::Request;
use crate::catalogue;
use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::page::list;
use crate::project::Project;
use crate::time::Time;

/// What is answered to a request that is accepted.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

pub(crate) fn answer(project: &mut Project, now: Time, request: &Request<'_>, input: &Input) -> Outcome<Answer> {
    let parts: Vec<&str> = request.path.split('/').skip(1).collect();
    match (request.method, parts.as_slice()) {
        ("GET", _) => read(project, now, request, &parts).map(ok),
        ("POST", ["servers"]) => project.create_server(input, now).map(created),
        ("POST", ["primary_ips"]) => project.create_primary_ip(input, now).map(created),
        ("POST", ["firewalls"]) => project.create_firewall(input, now).map(created),
        ("PUT", ["servers", at]) => project.change_server(id(at)?, input).map(ok),
        ("PUT", ["primary_ips", at]) => project.change_primary_ip(id(at)?, input).map(ok),
        ("PUT", ["firewalls", at]) => project.change_firewall(id(at)?, input).map(ok),
        ("DELETE", ["servers", at]) => project.delete_server(id(at)?, now).map(ok),
        ("DELETE", ["primary_ips", at]) => project.delete_primary_ip(id(at)?).map(|()| NO_CONTENT),
        ("DELETE", ["firewalls", at]) => project.delete_firewall(id(at)?).map(|()| NO_CONTENT),
        ("POST", ["servers", at, "actions", action]) => project.act_on_server(id(at)?, action, input, now).map(created),
        ("POST", ["primary_ips", at, "actions", action]) => {
            project.act_on_primary_ip(id(at)?, action, input, now).map(created)
        }
        ("POST", ["firewalls", at, "actions", action]) => {
            project.act_on_firewall(id(at)?, action, input, now).map(created)
        }
        ("POST" | "PUT" | "DELETE", _) => Err(unknown()),
        _ => Err(ApiError::new(405, "method_not_allowed", "method not allowed")),
    }
}

fn read(project: &Project, now: Time, request: &Request<'_>, parts: &[&str]) -> Outcome<Value> {
    match parts {
        ["servers"] => list("servers", project.servers_json(), request, &["name", "status"]),
        ["servers", at] => project.server_json(id(at)?),
        ["primary_ips"] => list("primary_ips", project.primary_ips_json(request.parameter("ip")), request, &["name"]),
        ["primary_ips", at] => project.primary_ip_json(id(at)?),
        ["firewalls"] => list("firewalls", project.firewalls_json(), request, &["name"]),
        ["firewalls", at] => project.firewall_json(id(at)?),
        ["actions"] => {
            let ids: Vec<&str> = request.parameters("id").collect();
            if ids.is_empty() {
                return Err(ApiError::invalid("id", "is required"));
            }
            let all = ids.into_iter().map(|at| project.actions.get(id(at)?, now)).collect::<Outcome<_>>()?;
            list("actions", all, request, &["status"])
        }
        ["actions", at] | ["servers" | "primary_ips" | "firewalls", "actions", at] => {
            Ok(json!({ "action": project.actions.get(id(at)?, now)? }))
        }
        [kind @ ("servers" | "primary_ips" | "firewalls"), at, "actions"] => {
            let kind = kind.strip_suffix('s').unwrap_or(kind);
            list("actions", project.actions.of(kind, id(at)?, now), request, &["status"])
        }
        ["servers" | "primary_ips" | "firewalls", _, "actions", at] => {
            Ok(json!({ "action": project.actions.get(id(at)?, now)? }))
        }
        ["locations"] => list("locations", catalogue::locations(), request, &["name"]),
        ["locations", at] => one("location", catalogue::locations(), at),
        ["server_types"] => list("server_types", catalogue::server_types(), request, &["name"]),
        ["server_types", at] => one("server_type", catalogue::server_types(), at),
        ["images"] => list("images", catalogue::images(), request, &["name", "type", "status", "architecture"]),
        ["images", at] => one("image", catalogue::images(), at),
        _ => Err(unknown()),
    }
}

fn one(kind: &str, all: Vec<Value>, at: &str) -> Outcome<Value> {
    let id = id(at)?;
    let found = all.into_iter().find(|entry| entry["id"] == id).ok_or_else(|| ApiError::not_found(kind, id))?;
    Ok(json!({ kind: found }))
}

fn id(text: &str) -> Outcome<u64> {
    text.parse().map_err(|_| unknown())
}

fn unknown() -> ApiError {
    ApiError::new(404, "not_found", "the requested resource does not exist")
}

const NO_CONTENT: Answer = Answer { status: 204, body: None };

fn ok(body: Value) -> Answer {
    Answer { status: 200, body: Some(body) }
}

fn created(body: Value) -> Answer {
    Answer { status: 201, body: Some(body) }
}
