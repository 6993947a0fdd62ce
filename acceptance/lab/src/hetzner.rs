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

/// A server as Hetzner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rented {
    /// Nobody else ever has it.
    pub id: u64,
    /// Its /64.
    pub network: String,
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
        let answers = self.ask_all(from, &[(method, path.to_owned(), body.clone())])?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Several requests on one connection; what is answered to those that are answered with anything.
    ///
    /// # Errors
    /// The first one that is refused.
    pub fn ask_all(&self, from: &Host, requests: &[(&str, String, Value)]) -> Result<Vec<Value>> {
        let certificate = self.certificate.display().to_string();
        let authorization = format!("Authorization: Bearer {TOKEN}");
        let mut words = vec!["curl".to_owned()];
        for (number, (method, path, body)) in requests.iter().enumerate() {
            let next = if number == 0 { &[][..] } else { &["--next"][..] };
            let url = format!("{}{path}", self.url);
            let common = ["-sS", "-g", "-X", method, "--cacert", &certificate, "-H", &authorization, &url];
            words.extend(next.iter().chain(&common).map(|word| (*word).to_owned()));
            if !body.is_null() {
                words.extend(["--data-binary".to_owned(), body.to_string()]);
            }
        }
        let text = from.run(&words)?;
        let answers: Vec<Value> = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>()?;
        match answers.iter().find(|answer| answer["error"]["code"].is_string()) {
            Some(refusal) => bail!("{refusal}"),
            None => Ok(answers),
        }
    }

    /// Creates servers that have no IPv4, with these names and labels.
    ///
    /// # Errors
    /// As [`Hetzner::ask`].
    pub fn create_servers(&self, from: &Host, wanted: &[(&str, Value)]) -> Result<Vec<Rented>> {
        let requests = wanted.iter().map(|(name, labels)| {
            let body = json!({
                "name": name, "server_type": "cax11", "image": "debian-12", "location": "fsn1", "labels": labels,
                "public_net": { "enable_ipv4": false, "enable_ipv6": true },
            });
            ("POST", "/servers".to_owned(), body)
        });
        let mut answers = self.ask_all(from, &requests.collect::<Vec<_>>())?;
        let rented = answers.iter_mut().map(|answer| {
            let server = answer["server"].take();
            let network = server["public_net"]["ipv6"]["ip"].as_str().context("a server has a network")?.to_owned();
            Ok(Rented { id: server["id"].as_u64().context("a server has an id")?, network })
        });
        rented.collect()
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
