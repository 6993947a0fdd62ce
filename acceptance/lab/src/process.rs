//! A process that runs in a host until it is stopped: its log, its pid inside the host, its end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Host, wait};

/// How long a process has to appear after it was asked for.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running process of a host.
#[derive(Debug)]
pub struct Process {
    name: String,
    /// `nsenter`, which waits for the process and ends with its status.
    child: Child,
    /// As the host counts it.
    pid: u32,
    log: PathBuf,
    /// How to run a command where the process runs.
    enter: Vec<std::ffi::OsString>,
}

impl Process {
    pub(crate) fn start<S: AsRef<OsStr>>(host: &Host, name: &str, words: &[S]) -> Result<Self> {
        let log = host.directory().join(format!("{name}.log"));
        let pid_file = host.directory().join(format!("{name}.pid"));
        let _ = fs::remove_file(&pid_file);
        let out = File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())?;

        let mut command = host.command("sh");
        command.args(["-c", r#"echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@""#]).arg(&pid_file).args(words);
        command.stderr(out.try_clone()?).stdout(out);
        let mut child = command.spawn().context("nsenter (package util-linux)")?;

        let pid = wait::until(&format!("the pid of {name}"), START_LIMIT, || match child.try_wait()? {
            Some(status) => bail!("{name} ended before it began ({status})"),
            None => Ok(fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok())),
        });
        let pid = pid.with_context(|| fs::read_to_string(&log).unwrap_or_default())?.0;
        let enter = host.command("kill");
        let enter = std::iter::once(enter.get_program()).chain(enter.get_args()).map(OsStr::to_owned).collect();
        Ok(Self { name: name.to_owned(), child, pid, log, enter })
    }

    /// Its pid inside the host.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything it and its predecessors of the same name have printed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exit status if it has ended.
    ///
    /// # Errors
    /// The kernel does not know it any more.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal by name: `TERM`, `HUP`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// `kill` could not be started.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let (nsenter, arguments) = self.enter.split_first().context("a command has a program")?;
        Command::new(nsenter).args(arguments).arg(format!("-{signal}")).arg(self.pid.to_string()).output()?;
        if matches!(signal, "CONT" | "KILL") {
            // It stops itself when what it waits for is stopped, and would wait no more.
            kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGCONT)?;
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after `limit`; the message carries the end of its log.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let ended = wait::until(&format!("the end of {}", self.name), limit, || Ok(self.child.try_wait()?));
        ended.map(|(status, _)| status).with_context(|| self.log())
    }

    /// Asks it to stop (SIGTERM) and waits.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait(limit)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}
