//! Hetzner in the lab: the stand-in of its API as a process of a host, and requests to it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{Host, Process, binaries, wait};

/// The token that may do everything.
pub const TOKEN: &str = "write";
/// The token that may only read.
pub const READ_ONLY_TOKEN: &str = "read";
/// Where the API is.
pub const PORT: u16 = 8443;

const LIMIT: Duration = Duration::from_secs(20);
const WALK: &str = include_str!("hetzner/walk.py");

/// A running API with an empty project.
#[derive(Debug)]
pub struct Hetzner {
    _process: Process,
    url: String,
    certificate: PathBuf,
}

impl Hetzner {
    /// Starts it at an address of a host, with a certificate for that address.
    ///
    /// # Errors
    /// It is not built, or did not come up.
    pub fn start(host: &Host, address: &str) -> Result<Self> {
        let certificate = host.directory().join("hetzner.pem");
        let program = binaries::built(binaries::HETZNER)?.display().to_string();
        let listen = format!("[{address}]:{PORT}");
        let file = certificate.display().to_string();
        let words = [&program, "--listen", &listen, "--tls-name", address, "--certificate", &file];
        let process = host.spawn("hetzner", &words)?;
        wait::until("Hetzner's API", LIMIT, || Ok(process.log().contains("ready").then_some(())))
            .with_context(|| process.log())?;
        Ok(Self { _process: process, url: format!("https://{listen}/v1"), certificate })
    }

    /// What a client is told to ask.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a client has to believe.
    #[must_use]
    pub fn certificate(&self) -> &PathBuf {
        &self.certificate
    }

    /// A request from a host that reaches the API, with the token that may do everything.
    ///
    /// # Errors
    /// It is refused.
    pub fn ask(&self, from: &Host, method: &str, path: &str, body: &Value) -> Result<Value> {
        let (url, certificate) = (format!("{}{path}", self.url), self.certificate.display().to_string());
        let authorization = format!("Authorization: Bearer {TOKEN}");
        let mut words = vec!["curl", "-sS", "-g", "-X", method, "--cacert", &certificate, "-H", &authorization, &url];
        let body = body.to_string();
        if body != "null" {
            words.extend(["--data-binary", &body]);
        }
        let text = from.run(&words)?;
        let answer: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? };
        if answer["error"]["code"].is_string() {
            bail!("{method} {path}: {answer}");
        }
        Ok(answer)
    }

    /// Creates a server that has no IPv4; its id and its /64.
    ///
    /// # Errors
    /// As [`Hetzner::ask`].
    pub fn create_server(&self, from: &Host, name: &str, user_data: &str, labels: &Value) -> Result<(u64, String)> {
        let body = json!({
            "name": name, "server_type": "cax11", "image": "debian-12", "location": "fsn1", "labels": labels,
            "user_data": user_data, "public_net": { "enable_ipv4": false, "enable_ipv6": true },
        });
        let server = self.ask(from, "POST", "/servers", &body)?["server"].take();
        let network = server["public_net"]["ipv6"]["ip"].as_str().context("a server has a network")?.to_owned();
        Ok((server["id"].as_u64().context("a server has an id")?, network))
    }

    /// Lets Hetzner's own client go through the whole API of a project that is empty.
    ///
    /// # Errors
    /// It is not installed, or something is not as it expects.
    pub fn walk(&self, from: &Host) -> Result<String> {
        let script = from.directory().join("walk.py");
        std::fs::write(&script, WALK)?;
        let bundle = format!("REQUESTS_CA_BUNDLE={}", self.certificate.display());
        // Debian's own Python: no other has Debian's packages.
        from.run(&["env", &bundle, "/usr/bin/python3", &script.display().to_string(), &self.url])
    }
}
