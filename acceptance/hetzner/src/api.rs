//! One request and its answer: who asks, how often, for what.

use std::time::Duration;

use ipnet::Ipv6Net;
use serde_json::Value;

use crate::controls::Controls;
use crate::error::{ApiError, Outcome};
use crate::input::Input;
use crate::limit::Limit;
use crate::project::Project;
use crate::route::{self, Answer};
use crate::time::Time;

/// What a stand-in begins with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The token that may do everything.
    pub token: String,
    /// The token that may only read.
    pub read_only_token: String,
    /// Servers get a /64 of it each, in the order of their creation; the first one stays unused.
    pub networks: Ipv6Net,
    /// How long an action takes.
    pub action_takes: Duration,
    /// Requests an hour.
    pub limit: u32,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// `GET`.
    pub method: &'a str,
    /// Without what every path begins with: `/servers/1`.
    pub path: &'a str,
    /// In the order of the URL, decoded.
    pub query: Vec<(String, String)>,
    /// What follows `Bearer`.
    pub token: Option<&'a str>,
    /// JSON, or nothing.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// As in HTTP.
    pub status: u16,
    /// In lower case.
    pub headers: Vec<(&'static str, String)>,
    /// `None` is no body at all.
    pub body: Option<Value>,
}

/// The stand-in.
#[derive(Debug)]
pub struct Api {
    pub(crate) project: Project,
    pub(crate) limit: Limit,
    pub(crate) controls: Controls,
    settings: Settings,
}

impl Api {
    /// An empty project.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let project = Project::new(settings.networks, settings.action_takes);
        Self { project, limit: Limit::new(settings.limit), controls: Controls::default(), settings }
    }

    /// Answers. `now` is the time since 1970 and never goes back.
    pub fn handle(&mut self, now: Duration, request: &Request<'_>) -> Response {
        self.project.advance(now);
        self.limit.refill(now);
        if let Some(path) = request.path.strip_prefix("/_lab") {
            let answer = self.control(path, request);
            return response(answer, Vec::new());
        }
        self.controls.count(request);
        let answer = self.answer(now, request);
        let headers = self.limit.headers(now).into();
        response(answer, headers)
    }

    fn answer(&mut self, now: Time, request: &Request<'_>) -> Outcome<Answer> {
        let may_write = self.authenticate(request.token)?;
        self.limit.take()?;
        self.controls.fault()?;
        if request.method != "GET" && !may_write {
            return Err(ApiError::new(403, "token_readonly", "token is only valid for reading"));
        }
        route::answer(&mut self.project, now, request, &Input::parse(request.body)?)
    }

    /// Whether who asks may write.
    fn authenticate(&self, token: Option<&str>) -> Outcome<bool> {
        match token {
            Some(token) if token == self.settings.token => Ok(true),
            Some(token) if token == self.settings.read_only_token => Ok(false),
            Some(_) | None => Err(ApiError::new(401, "unauthorized", "unable to authenticate")),
        }
    }
}

fn response(answer: Outcome<Answer>, headers: Vec<(&'static str, String)>) -> Response {
    match answer {
        Ok(Answer { status, body }) => Response { status, headers, body },
        Err(error) => Response { status: error.status, headers, body: Some(error.body()) },
    }
}

impl Request<'_> {
    /// The first parameter of a name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters(name).next()
    }

    pub(crate) fn parameters<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str, query: &[(&str, &str)]) -> Self {
        let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { method: "GET", path, query, token: None, body: &[] }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: "write".to_owned(),
            read_only_token: "read".to_owned(),
            networks: Ipv6Net::new_assert([0x2001, 0xdb8, 1, 0, 0, 0, 0, 0].into(), 48),
            action_takes: Duration::from_secs(2),
            limit: 3_600,
        }
    }
}
