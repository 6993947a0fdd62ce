//! The real terraform with the built provider: a filesystem mirror for `init`, a directory of its own, no network.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use crate::binaries::{self, PROVIDER, TerraformBinary};
use crate::{Host, Server};

/// What the tests apply unless they bring their own.
const MAIN: &str = include_str!("terraform/main.tf");

/// What `terraform plan` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing to do.
    Empty,
    /// What it printed about the changes.
    Changes(String),
}

/// A working directory with the provider installed beside it.
#[derive(Debug)]
pub struct Terraform {
    host: Arc<Host>,
    binary: TerraformBinary,
    directory: PathBuf,
    variables: Map<String, Value>,
    /// What every command printed, for the report of a failed test.
    transcript: RefCell<String>,
}

impl Terraform {
    /// Prepares `directory`; nothing runs yet.
    pub(crate) fn new(host: Arc<Host>, directory: &Path) -> Result<Self> {
        let binary = binaries::terraform()?;
        let provider = binaries::built(PROVIDER)?;
        let terraform = Self {
            host,
            binary,
            directory: directory.to_owned(),
            variables: Map::new(),
            transcript: RefCell::default(),
        };
        terraform.mirror(&provider)?;
        terraform.write("main.tf", MAIN)?;
        Ok(terraform)
    }

    /// Lays the provider out as `terraform init` looks for it: registry/namespace/type/version/platform/.
    fn mirror(&self, provider: &Path) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let place = format!("mirror/{}/hetznat/hetznat/{version}/{}", self.binary.registry, platform());
        let place = self.directory.join(place);
        fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        let target = place.join(format!("{PROVIDER}_v{version}"));
        // A link costs nothing; another file system needs the copy.
        fs::hard_link(provider, &target)
            .or_else(|_| fs::copy(provider, &target).map(drop))
            .with_context(|| target.display().to_string())?;
        let mirror = self.directory.join("mirror");
        self.write(
            "terraform.rc",
            &format!("provider_installation {{\n  filesystem_mirror {{ path = {mirror:?} }}\n}}\n"),
        )
    }

    /// Writes a file of the configuration.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Where the configuration and terraform's state are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program and its version, for people.
    #[must_use]
    pub fn binary(&self) -> &TerraformBinary {
        &self.binary
    }

    /// Sets a variable of the configuration from now on.
    ///
    /// # Errors
    /// The disk is full.
    pub fn set(&mut self, name: &str, value: Value) -> Result<()> {
        self.variables.insert(name.to_owned(), value);
        self.write("terraform.tfvars.json", &Value::Object(self.variables.clone()).to_string())
    }

    /// Adds these lines to the gateway of the configuration, in place of earlier ones.
    ///
    /// # Errors
    /// The disk is full.
    pub fn set_gateway_options(&self, options: &str) -> Result<()> {
        let key = "public_key = var.gateway_public_key\n";
        self.write("main.tf", &MAIN.replacen(key, &format!("{key}{options}\n"), 1))
    }

    /// The servers that shall exist from the next apply on.
    ///
    /// # Errors
    /// The disk is full.
    pub fn set_servers(&mut self, servers: &[&Server]) -> Result<()> {
        let map: Map<_, _> = servers.iter().map(|server| (server.name().to_owned(), json!(server.network()))).collect();
        self.set("servers", Value::Object(map))
    }

    /// A terraform command, not started.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.host.command(&self.binary.path);
        command.arg(format!("-chdir={}", self.directory.display())).args(words);
        command
            .env("TF_CLI_CONFIG_FILE", self.directory.join("terraform.rc"))
            .env("TF_DATA_DIR", self.directory.join(".terraform"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1");
        command
    }

    fn attempt(&self, words: &[&str]) -> Result<Output> {
        let output = self.command(words).output().context("nsenter (package util-linux)")?;
        // Outputs are for programs, and some are secret.
        if words.first() != Some(&"output") {
            let mut transcript = self.transcript.borrow_mut();
            transcript.push_str(&format!("$ terraform {}\n{}", words.join(" "), text(&output)));
        }
        Ok(output)
    }

    /// Everything terraform has printed in this directory, outputs left out.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.transcript.borrow().clone()
    }

    /// Runs terraform; returns what it printed.
    ///
    /// # Errors
    /// It ended with an error; the message carries everything it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let output = self.attempt(words)?;
        if output.status.success() {
            Ok(text(&output))
        } else {
            bail!("terraform {}\n{}", words.join(" "), text(&output))
        }
    }

    /// `terraform init`.
    ///
    /// # Errors
    /// As [`Terraform::run`].
    pub fn init(&self) -> Result<String> {
        self.run(&["init", "-input=false", "-no-color"])
    }

    /// `terraform plan`.
    ///
    /// # Errors
    /// As [`Terraform::run`].
    pub fn plan(&self) -> Result<Plan> {
        let output = self.attempt(&["plan", "-input=false", "-no-color", "-detailed-exitcode"])?;
        match output.status.code() {
            Some(0) => Ok(Plan::Empty),
            Some(2) => Ok(Plan::Changes(text(&output))),
            _ => bail!("terraform plan\n{}", text(&output)),
        }
    }

    /// `terraform apply`.
    ///
    /// # Errors
    /// As [`Terraform::run`].
    pub fn apply(&self) -> Result<String> {
        self.run(&["apply", "-input=false", "-no-color", "-auto-approve"])
    }

    /// `terraform destroy`.
    ///
    /// # Errors
    /// As [`Terraform::run`].
    pub fn destroy(&self) -> Result<String> {
        self.run(&["destroy", "-input=false", "-no-color", "-auto-approve"])
    }

    /// The entry `key` of an output that is a map of strings.
    ///
    /// # Errors
    /// There is no such output or entry.
    pub fn output_entry(&self, output: &str, key: &str) -> Result<String> {
        let json = self.run(&["output", "-json", output])?;
        let value: Value = serde_json::from_str(&json).with_context(|| format!("output {output}"))?;
        let entry = value.get(key).and_then(Value::as_str).map(str::to_owned);
        entry.with_context(|| format!("output {output} has no {key}"))
    }

    /// The text a server's tunnel is brought up with.
    ///
    /// # Errors
    /// There is no such server.
    pub fn wireguard_config(&self, server: &str) -> Result<String> {
        self.output_entry("wireguard_config", server)
    }
}

fn text(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{stdout}{stderr}")
}

/// Terraform's name for this machine: `linux_amd64`.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}_{architecture}", std::env::consts::OS)
}
