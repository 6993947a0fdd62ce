//! The translator under test: the built binary as a process of the Pi, or of a router.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::binaries::{self, TRANSLATOR};
use crate::{Host, Process, wait};

/// How long a start or a stop may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A running translator; dropping it kills it.
#[derive(Debug)]
pub struct Translator {
    host: Arc<Host>,
    process: Process,
    control: PathBuf,
    binary: PathBuf,
}

impl Translator {
    /// Starts `hetznat-translator run` on the Pi, and waits until it answers `status`.
    ///
    /// # Errors
    /// The binary is not built or did not come up; the message carries its log.
    pub fn start(host: Arc<Host>, document: &Path, options: &[&str]) -> Result<Self> {
        let fixed = ["run", "--state", text(document)?, "--gateway", "home"];
        Self::start_command(host, &[&fixed, options].concat())
    }

    /// Starts `hetznat-translator nat64`, the stand-alone mode, and waits until it answers `status`.
    ///
    /// # Errors
    /// As [`Translator::start`].
    pub fn start_nat64(host: Arc<Host>, options: &[&str]) -> Result<Self> {
        Self::start_command(host, &[&["nat64"], options].concat())
    }

    fn start_command(host: Arc<Host>, words: &[&str]) -> Result<Self> {
        Self::start_binary(host, binaries::built(TRANSLATOR)?, words)
    }

    /// Starts a translator that was built elsewhere, with these words, and waits until it answers `status`.
    ///
    /// # Errors
    /// As [`Translator::start`].
    pub fn start_binary(host: Arc<Host>, binary: PathBuf, words: &[&str]) -> Result<Self> {
        let control = host.directory().join("control.sock");
        let socket = ["--control", text(&control)?];
        let process = host.spawn("translator", &[&[text(&binary)?], words, &socket].concat())?;
        let mut translator = Self { host, process, control, binary };
        wait::until("the translator's status", LIMIT, || {
            if let Some(status) = translator.process.ended()? {
                anyhow::bail!("it ended with {status}");
            }
            translator.status().map(Some)
        })
        .with_context(|| translator.log())?;
        Ok(translator)
    }

    /// Its pid inside the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Runs a command that asks the translator: `bib list`, `config set`.
    ///
    /// # Errors
    /// It is refused; the message is the command's.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        self.host.run(&[&[text(&self.binary)?], words, &["--control", text(&self.control)?]].concat())
    }

    /// What `status --json` says.
    ///
    /// # Errors
    /// The translator does not answer.
    pub fn status(&self) -> Result<Value> {
        let text = self.status_text(&["--json"])?;
        serde_json::from_str(&text).with_context(|| format!("status --json said {text}"))
    }

    /// What `status` says.
    ///
    /// # Errors
    /// The translator does not answer.
    pub fn status_text(&self, options: &[&str]) -> Result<String> {
        self.ask(&[&["status"], options].concat())
    }

    /// What a person on the Pi types to see the status.
    #[must_use]
    pub fn status_command(&self) -> String {
        format!("{} status --control {}", self.binary.display(), self.control.display())
    }

    /// How many packets were dropped for a reason.
    ///
    /// # Errors
    /// The translator does not answer.
    pub fn dropped(&self, reason: &str) -> Result<u64> {
        Ok(self.status()?["datapath"]["dropped"][reason].as_u64().unwrap_or(0))
    }

    /// What it says about the state document: `applied`, `refused`, `withdrawn`.
    ///
    /// # Errors
    /// The translator does not answer.
    pub fn document_state(&self) -> Result<String> {
        Ok(self.status()?["document"]["state"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until `status` says that the document is in this state, and returns what it says about it.
    ///
    /// # Errors
    /// It did not come to that within 10 s.
    pub fn wait_for_document(&self, state: &str) -> Result<Value> {
        let found = wait::until(&format!("the document to be {state}"), LIMIT, || {
            let document = self.status()?["document"].take();
            Ok((document["state"] == state).then_some(document))
        });
        found.map(|(document, _)| document)
    }

    /// Waits until it has applied a document with exactly these peers.
    ///
    /// # Errors
    /// It did not come to that within 10 s.
    pub fn wait_for_peers(&self, names: &[&str]) -> Result<()> {
        let mut expected: Vec<_> = names.to_vec();
        expected.sort_unstable();
        let found = wait::until(&format!("the peers {expected:?}"), LIMIT, || {
            let status = self.status()?;
            let peers = status["datapath"]["peers"].as_array().into_iter().flatten();
            let mut names: Vec<_> = peers.filter_map(|peer| peer["name"].as_str()).collect();
            names.sort_unstable();
            Ok((names == expected).then_some(()))
        });
        found.map(|_| ())
    }

    /// Everything it has logged, and its predecessors in this lab.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Resident memory in KiB.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = self.host.run(&["cat", &format!("/proc/{}/status", self.process.pid())])?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Sends it a signal by name: `STOP`, `CONT`.
    ///
    /// # Errors
    /// `kill` could not be started.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.process.signal(signal)
    }

    /// SIGKILL: nothing of what it set up is taken down by itself.
    ///
    /// # Errors
    /// It did not end within 10 s.
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.process.signal("KILL")?;
        self.process.wait(LIMIT)
    }

    /// SIGTERM, as systemd stops it.
    ///
    /// # Errors
    /// It did not end within 10 s.
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.process.stop(LIMIT)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
