//! cloud-init's own reading of user data, by several versions of it, none of which is installed on this machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::packages;

/// One version of cloud-init, unpacked.
#[derive(Debug)]
pub struct CloudInit {
    modules: PathBuf,
}

/// What it makes of one user data: each part's type, name and text, and the one cloud-config that all of them are merged to.
#[derive(Debug, Clone, PartialEq)]
pub struct Processed {
    /// Unpacked, included, in order.
    pub parts: Vec<Part>,
    /// Null if there is none.
    pub config: Value,
}

/// A part of user data as cloud-init hands it to whoever handles its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As cloud-init has found it out: `text/x-shellscript`.
    pub kind: String,
    /// Scripts are run in the order of their names.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl CloudInit {
    /// Debian's of this machine, and the newest that Debian has anywhere.
    ///
    /// # Errors
    /// Debian's mirror cannot be reached.
    pub fn two_versions() -> Result<[Self; 2]> {
        let modules = |place: PathBuf| Self { modules: place.join("usr/lib/python3/dist-packages") };
        Ok([modules(packages::unpacked("cloud-init")?), modules(packages::newest("cloud-init")?)])
    }

    /// Its version, and what it makes of each of these.
    ///
    /// # Errors
    /// It ended with an error; the message carries what it said.
    pub fn process(&self, user_data: &BTreeMap<String, String>) -> Result<(String, BTreeMap<String, Processed>)> {
        let given = serde_json::to_string(user_data)?;
        let said = self.python(&["-c", include_str!("cloud_init.py"), &self.modules.display().to_string()], &given)?;
        let said: Value = serde_json::from_str(&said)?;
        let results = said["results"].as_object().context("results")?;
        let results = results.iter().map(|(name, result)| (name.clone(), processed(result))).collect();
        Ok((said["version"].as_str().unwrap_or_default().to_owned(), results))
    }

    /// What is wrong with a cloud-config by its own schema; empty if nothing is.
    ///
    /// # Errors
    /// It could not be started.
    pub fn complaints(&self, config: &str) -> Result<String> {
        let program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from cloudinit.cmd.main import main; sys.exit(main(sys.argv))";
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), config)?;
        let (modules, file) = (self.modules.display().to_string(), file.path().display().to_string());
        let outcome = self.python(&["-c", program, &modules, "schema", "--config-file", &file], "");
        Ok(outcome.err().map(|error| format!("{error:#}")).unwrap_or_default())
    }

    /// Debian's own Python: the packages of this machine are not found by another.
    fn python(&self, words: &[&str], input: &str) -> Result<String> {
        let mut python = Command::new("/usr/bin/python3");
        python.args(words).env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut python = python.spawn().context("/usr/bin/python3 (package python3)")?;
        python.stdin.take().context("stdin is a pipe")?.write_all(input.as_bytes())?;
        let output = python.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn processed(result: &Value) -> Processed {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let part = |part: &Value| Part { kind: text(&part[0]), name: text(&part[1]), text: text(&part[2]) };
    Processed {
        parts: result["parts"].as_array().into_iter().flatten().map(part).collect(),
        config: result["config"].clone(),
    }
}
