//! A project that the tests do something with.

use std::time::Duration;

use hetzner::{Api, Request, Response, Settings};
use serde_json::{Value, json};

use crate::shapes;

const START: Duration = Duration::from_secs(1_795_357_835);

/// A project on the API; whatever it is answered has the shape that Hetzner has published.
pub(crate) struct Project {
    api: Api,
    pub(crate) now: Duration,
    pub(crate) token: &'static str,
    /// Unless a test makes the API say what Hetzner's would not.
    pub(crate) is_as_published: bool,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { api: Api::new(Settings::default()), now: START, token: "write", is_as_published: true }
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &Value) -> Response {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let response =
            self.api.handle(self.now, &Request { method, path, query, token: Some(self.token), body: &body });
        if self.is_as_published {
            shapes::check(method, path, &response);
        }
        response
    }

    pub(crate) fn done(&mut self, method: &str, path: &str, body: Value) -> Value {
        let response = self.ask(method, path, &body);
        assert!(response.status < 300, "{method} {path}: {response:?}");
        response.body.unwrap_or_default()
    }

    pub(crate) fn refused(&mut self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let response = self.ask(method, path, &body);
        (response.status, response.body.unwrap_or_default()["error"]["code"].take())
    }

    pub(crate) fn create(&mut self, name: &str, public_net: Value) -> Value {
        let body = json!({ "name": name, "server_type": "cax11", "image": "debian-12", "public_net": public_net });
        self.done("POST", "/servers", body)["server"].take()
    }

    pub(crate) fn wait(&mut self) {
        self.now += Duration::from_secs(10);
    }
}
