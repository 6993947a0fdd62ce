//! What a test may do and Hetzner's customers may not: `/_lab`, which asks for no token.
//!
//! `GET /_lab` says what was asked for so far, `GET /_lab/servers/ID/user_data` what a server was given. `POST /_lab` takes
//! any of `faults: {status, count}` (the next requests fail), `limit_left`, `next_id`, `server: {id, status, blocked}` and
//! `forget_requests`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{Api, Request};
use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::route::Answer;

/// What is set by tests, and counted for them.
#[derive(Debug, Default)]
pub(crate) struct Controls {
    requests: BTreeMap<String, u64>,
    fault: Option<(u16, u64)>,
}

impl Controls {
    pub(crate) fn count(&mut self, request: &Request<'_>) {
        *self.requests.entry(format!("{} {}", request.method, request.path)).or_default() += 1;
    }

    /// Fails as often as it was told to.
    pub(crate) fn fault(&mut self) -> Outcome<()> {
        let Some((status, left)) = self.fault else { return Ok(()) };
        self.fault = (left > 1).then(|| (status, left - 1));
        let (code, message) = match status {
            429 => ("rate_limit_exceeded", "limit of 3600 requests per hour reached"),
            503 => ("unavailable", "the service is temporarily unavailable"),
            502 | 504 => ("server_error", "bad gateway"),
            _ => ("server_error", "an internal error occurred"),
        };
        Err(ApiError::new(status, code, message))
    }
}

impl Api {
    pub(crate) fn control(&mut self, path: &str, request: &Request<'_>) -> Outcome<Answer> {
        let unknown = || ApiError::new(404, "not_found", "no such control");
        let body = match (request.method, path) {
            ("GET", "") => json!({ "requests": self.controls.requests }),
            ("POST", "") => {
                self.set(&Input::parse(request.body)?)?;
                json!({})
            }
            ("GET", path) => {
                let id = path.strip_prefix("/servers/").and_then(|rest| rest.strip_suffix("/user_data"));
                let id = id.and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
                json!({ "user_data": self.project.server(id)?.user_data })
            }
            _ => return Err(unknown()),
        };
        Ok(Answer { status: 200, body: Some(body) })
    }

    fn set(&mut self, input: &Input) -> Outcome<()> {
        let faults = input.part("faults");
        if let (Some(status), Some(count)) = (faults.number("status")?, faults.number("count")?) {
            let status = u16::try_from(status).map_err(|_| ApiError::invalid("status", "is no status"))?;
            self.controls.fault = (count > 0).then_some((status, count));
        }
        if let Some(left) = input.number("limit_left")? {
            self.limit.set_left(u32::try_from(left).unwrap_or(u32::MAX));
        }
        if let Some(next) = input.number("next_id")? {
            self.project.set_next_id(next);
        }
        if input.flag("forget_requests", false)? {
            self.controls.requests.clear();
        }
        if !input.get("server").is_null() {
            self.set_server(&input.part("server"))?;
        }
        Ok(())
    }

    fn set_server(&mut self, input: &Input) -> Outcome<()> {
        let id = input.number("id")?.unwrap_or_default();
        self.project.server(id)?;
        if let (Some(server), Some(status)) = (self.project.servers.get_mut(&id), input.text("status")?) {
            status.clone_into(&mut server.status);
        }
        if let Value::Bool(blocked) = input.get("blocked") {
            let its = self.project.primary_ips.values_mut().filter(|ip| ip.assignee == Some(id));
            its.for_each(|ip| ip.blocked = *blocked);
        }
        Ok(())
    }
}
