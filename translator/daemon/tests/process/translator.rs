//! A translator under test.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::namespace::Namespace;
use crate::state::State;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_hetznat-translator");
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The arguments of `run` for the gateway of a [`State`].
pub(crate) fn run_arguments(state: &State) -> Vec<String> {
    let path = |name: &str| state.directory().join(name).to_str().unwrap().to_owned();
    let control = path("run/control.sock");
    ["run", "--state", &path("state.json"), "--gateway", "home", "--control", &control].map(str::to_owned).to_vec()
}

/// The binary as systemd starts it: as a user of its own, with one capability. The directory of `state` becomes that user's.
pub(crate) fn command_of_nobody(namespace: &Namespace, state: &State) -> Command {
    // The directory that cargo builds in may be closed to others.
    let binary = state.directory().join("translator");
    std::fs::copy(BINARY, &binary).unwrap();
    state.give_to_nobody();
    let mut command = namespace.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
    for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
        command.args([set, "-all,+net_admin"]);
    }
    command.arg(binary);
    command
}

/// Runs the binary to its end; its exit code and what it printed. One that runs on instead of failing is killed.
pub(crate) fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    command.env_remove("HETZNAT_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A running translator; killed when dropped.
pub(crate) struct Translator<'a> {
    state: &'a State,
    child: Child,
    notifications: UnixDatagram,
}

impl<'a> Translator<'a> {
    /// Starts one and waits until it is ready, and the kernel too.
    pub(crate) fn start(namespace: &Namespace, state: &'a State, more: &[&str]) -> Self {
        let translator = Self::start_by(namespace.command(BINARY), state, more);
        let start = Instant::now();
        // The kernel adds this route by itself, and some time later.
        while !namespace.sh("ip -6 route show table local").contains("local fd64:ff9b::1") {
            assert!(start.elapsed() < PATIENCE, "no local route; log: {}", translator.log());
        }
        translator
    }

    /// Starts one by a command that only lacks the arguments of `run`.
    pub(crate) fn start_by(command: Command, state: &'a State, more: &[&str]) -> Self {
        Self::start_with(command, state, &run_arguments(state), more)
    }

    /// Starts one by a command that only lacks all its arguments.
    pub(crate) fn start_with(mut command: Command, state: &'a State, arguments: &[String], more: &[&str]) -> Self {
        let socket = state.directory().join("notify.sock");
        let _ = std::fs::remove_file(&socket);
        let notifications = UnixDatagram::bind(&socket).unwrap();
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(state.directory().join("log")).unwrap();
        let child = command
            .args(arguments)
            .args(more)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "200000")
            .env_remove("HETZNAT_LOG")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut translator = Self { state, child, notifications };
        translator.expect_notification("READY=1");
        translator
    }

    /// Waits for a datagram to systemd that has this line; the whole datagram.
    pub(crate) fn expect_notification(&mut self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let read = self.notifications.recv(&mut buffer);
            let Ok(length) = read else { panic!("no {line} for systemd; log: {}", self.log()) };
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.lines().any(|found| found == line) {
                return text;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for its end, for two seconds at most.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(2), "it takes too long; log: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> Value {
        let control = self.state.directory().join("run/control.sock");
        let mut command = Command::new(BINARY);
        let (code, stdout, stderr) = finish(command.args(["status", "--json", "--control"]).arg(control));
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }

    /// Asks for the status until it is as expected.
    pub(crate) fn wait_for_status(&self, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let status = self.status();
            if expected(&status) {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "never {what}: {status:#}; log: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state.directory().join("log")).unwrap()
    }
}

impl Drop for Translator<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
