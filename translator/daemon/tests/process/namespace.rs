//! A network and mount namespace of our own, which ends when its owner does.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Kept alive by a `cat` whose standard input we hold: it ends with us, however we end.
pub(crate) struct Namespace {
    holder: Child,
}

impl Namespace {
    /// `None` without root; then it says so.
    pub(crate) fn new() -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("skipped: network namespaces need root");
            return None;
        }
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Some(Self { holder })
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--target", &self.holder.id().to_string(), program]);
        command
    }

    /// Runs a shell script inside; its standard output.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.command("sh").args(["-euc", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything in the kernel that a translator could change.
    pub(crate) fn kernel_state(&self) -> String {
        self.sh("ip -brief address; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; \
             nft list ruleset; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
