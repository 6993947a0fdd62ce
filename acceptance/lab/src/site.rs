//! A lab in use: the terraform that describes it, the translator on its Pi, and what a failed test wants to know of both.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::hetzner::{Hetzner, READ_ONLY_TOKEN};
use crate::{Lab, Server, Terraform, Translator};

/// How long the first handshake may take; WireGuard repeats a lost one after 5 s.
pub const TUNNEL_LIMIT: Duration = Duration::from_secs(20);

/// A lab with an initialised terraform, and a translator once it is started.
#[derive(Debug)]
pub struct Site {
    // Dropped in this order: the translator before the host it runs in.
    translator: Option<Translator>,
    /// The configuration of `terraform/main.tf`, initialised.
    pub terraform: Terraform,
    /// The hosts.
    pub lab: Lab,
}

impl Site {
    /// A lab and an initialised terraform; nothing is applied yet.
    ///
    /// # Errors
    /// Not root, a program is missing, or our binaries are not built.
    pub fn start() -> Result<Self> {
        let lab = Lab::start()?;
        let mut terraform = lab.terraform("terraform")?;
        terraform.set("state", json!(lab.document()))?;
        terraform.init()?;
        Ok(Self { translator: None, terraform, lab })
    }

    /// `terraform apply` with exactly these servers.
    ///
    /// # Errors
    /// Terraform's.
    pub fn apply(&mut self, servers: &[&Server]) -> Result<String> {
        self.terraform.set_servers(servers)?;
        self.terraform.apply()
    }

    /// Adds these lines to the gateway's configuration, in place of earlier ones, and applies.
    ///
    /// # Errors
    /// Terraform's.
    pub fn set_gateway_options(&mut self, options: &str) -> Result<String> {
        self.terraform.set_gateway_options(options)?;
        self.terraform.apply()
    }

    /// Starts the translator on the Pi, with a Hetzner that it is told to ask; its token is in the file that is returned.
    ///
    /// # Errors
    /// As [`Site::start_translator`].
    pub fn start_translator_with(&mut self, hetzner: &Hetzner) -> Result<PathBuf> {
        let token = self.lab.pi.directory().join("hetzner-token");
        fs::write(&token, READ_ONLY_TOKEN)?;
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600))?;
        let (file, certificate) = (token.display().to_string(), hetzner.certificate().display().to_string());
        let found = self.lab.pi.directory().join("found.json").display().to_string();
        let options =
            ["--hetzner-token", &file, "--hetzner-api", hetzner.url(), "--ca-file", &certificate, "--found", &found];
        self.start_translator(&options)?;
        Ok(token)
    }

    /// Starts the translator on the Pi.
    ///
    /// # Errors
    /// It did not come up.
    pub fn start_translator(&mut self, options: &[&str]) -> Result<&Translator> {
        let translator = Translator::start(Arc::clone(&self.lab.pi), &self.lab.document(), options)?;
        Ok(self.translator.insert(translator))
    }

    /// The running translator.
    ///
    /// # Errors
    /// None was started.
    pub fn translator(&self) -> Result<&Translator> {
        self.translator.as_ref().context("no translator was started")
    }

    /// Stops the translator with SIGTERM and says how it ended.
    ///
    /// # Errors
    /// None was started, or it does not stop.
    pub fn stop_translator(&mut self) -> Result<std::process::ExitStatus> {
        self.translator.take().context("no translator was started")?.stop()
    }

    /// Kills the translator: nothing of what it set up is taken down by itself.
    ///
    /// # Errors
    /// None was started.
    pub fn kill_translator(&mut self) -> Result<std::process::ExitStatus> {
        self.translator.take().context("no translator was started")?.kill()
    }

    /// Brings a server's tunnel up with what terraform rendered for it.
    ///
    /// # Errors
    /// There is no such peer.
    pub fn boot(&self, server: &Server) -> Result<()> {
        server.start_wireguard(&self.terraform.wireguard_config(server.name())?)
    }

    /// Boots a server, and waits until the running translator has dialled in.
    ///
    /// # Errors
    /// There is no such peer, or no handshake.
    pub fn connect(&self, server: &Server) -> Result<Duration> {
        self.boot(server)?;
        server.wait_for_tunnel(TUNNEL_LIMIT)
    }

    /// The whole way for servers that are there before the translator: an apply, their boot, the translator, their tunnels.
    ///
    /// # Errors
    /// Any of them did not come about.
    pub fn connect_all(&mut self, servers: &[&Server]) -> Result<()> {
        self.apply(servers)?;
        // Servers first: a gateway that dials too early dials again only after 5 s.
        servers.iter().try_for_each(|server| self.boot(server))?;
        self.start_translator(&[])?;
        servers.iter().try_for_each(|server| server.wait_for_tunnel(TUNNEL_LIMIT).map(drop))
    }

    /// The whole way for one new server.
    ///
    /// # Errors
    /// Any of them did not come about.
    pub fn with_connected_server(&mut self, name: &str) -> Result<Server> {
        let server = self.lab.add_server(name)?;
        self.connect_all(&[&server])?;
        Ok(server)
    }

    /// What is to be known when something went wrong.
    #[must_use]
    pub fn report(&self) -> String {
        let terraform = self.terraform.transcript();
        let (status, log) = match &self.translator {
            Some(translator) => {
                (translator.status_text(&[]).unwrap_or_else(|error| format!("{error:#}")), translator.log())
            }
            None => ("not running".to_owned(), String::new()),
        };
        format!("== terraform\n{terraform}\n== translator's status\n{status}\n== translator's log\n{log}")
    }
}

/// Runs a test on a site of its own; when it fails, prints what the site knows.
///
/// # Panics
/// With the test's error or panic.
pub fn on_site(test: impl FnOnce(&mut Site) -> Result<()>) {
    run(Site::start(), test, Site::report);
}

/// Runs a test on what it needs; when it fails, prints the report first.
///
/// # Panics
/// With the error of the start, or with the test's error or panic.
pub(crate) fn run<T>(started: Result<T>, test: impl FnOnce(&mut T) -> Result<()>, report: impl FnOnce(&T) -> String) {
    let mut place = started.unwrap_or_else(|error| panic!("{error:?}"));
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| test(&mut place)));
    if !matches!(outcome, Ok(Ok(()))) {
        eprintln!("{}", report(&place));
    }
    // Torn down before the error is told: it is the last thing to read.
    drop(place);
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:?}"),
        Err(panic) => panic::resume_unwind(panic),
    }
}
