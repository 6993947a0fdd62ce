//! Our own nftables table: the way out for the engine's pool, and a fence around this machine and its LAN.
//!
//! The engine refuses private destinations before any state exists; the rules refuse them again, so that one fault does not
//! open the home. The table goes in and out in one transaction each and touches no other.

mod rules;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Plan;
use crate::error::{Error, Reason, one_line};
use rules::{UdpTimeout, render};

/// Makes the table exist, so that deleting it cannot fail, and deletes it with all that is in it.
const REMOVE: &str = "table inet hetznat\ndelete table inet hetznat\n";

/// Fails if the table is not there.
const PROBE: &str = "list table inet hetznat\n";

/// The installed table; dropping it removes it.
#[derive(Debug)]
pub(super) struct Table {
    nft: PathBuf,
    rules: String,
    timeout: UdpTimeout,
}

impl Table {
    /// Installs the rules in place of any that a killed predecessor left. `reserved_ports` is what that one would have to
    /// give back.
    pub(super) fn install(plan: &Plan, reserved_ports: &str) -> Result<Self, Error> {
        let timeout = UdpTimeout::OfEngine;
        let mut table = Self { nft: find_nft()?, rules: render(plan, reserved_ports, timeout), timeout };
        let Err(error) = table.run(&table.rules) else { return Ok(table) };
        // A kernel without CONFIG_NF_CONNTRACK_TIMEOUT; the second error is told if it is anything else.
        table.timeout = UdpTimeout::OfKernel;
        table.rules = render(plan, reserved_ports, table.timeout);
        table.run(&table.rules)?;
        tracing::warn!(
            "masqueraded UDP flows end by net.netfilter.nf_conntrack_udp_timeout, for the kernel takes no other time ({})",
            error.line()
        );
        Ok(table)
    }

    /// Installs the rules of another plan in place of these, in one transaction.
    pub(super) fn replace(&mut self, plan: &Plan, reserved_ports: &str) -> Result<(), Error> {
        let rules = render(plan, reserved_ports, self.timeout);
        if rules != self.rules {
            self.run(&rules)?;
            self.rules = rules;
        }
        Ok(())
    }

    /// Puts the table back if somebody flushed it, as a reload of nftables.service does.
    pub(super) fn keep(&self) -> Result<(), Error> {
        if self.run(PROBE).is_ok() {
            return Ok(());
        }
        tracing::warn!("the nftables table inet hetznat was gone; it is put back");
        self.run(&self.rules)
    }

    /// Runs one transaction.
    fn run(&self, rules: &str) -> Result<(), Error> {
        let failed = |source: io::Error| Error::Nft(Reason(&source).to_string());
        let mut command = Command::new(&self.nft);
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(rules.as_bytes()));
        let output = child.wait_with_output().map_err(failed)?;
        if output.status.success() {
            return written.map_err(failed);
        }
        Err(refused(&String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Err(error) = self.run(REMOVE) {
            tracing::error!("the nftables table inet hetznat stays behind: {}", error.line());
        }
    }
}

/// The ports that a killed predecessor reserved, as a list; `None` if there was none, or it reserved none.
pub(super) fn left_reserved_ports() -> Option<String> {
    let words = ["list", "set", "inet", "hetznat", rules::RESERVED_PORTS];
    let output = Command::new(find_nft().ok()?).args(words).output().ok()?;
    elements(str::from_utf8(&output.stdout).ok()?)
}

/// The elements of a listed set; nft breaks long lines.
fn elements(listed: &str) -> Option<String> {
    let (elements, _) = listed.split_once("elements = {")?.1.split_once('}')?;
    Some(elements.split_ascii_whitespace().collect())
}

/// Where nft is; services and users without privileges often have no sbin in their path.
///
/// # Errors
/// [`Error::NoNft`].
pub(super) fn find_nft() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(sbin).map(|directory| directory.join("nft"));
    candidates.find(|candidate| candidate.is_file()).ok_or(Error::NoNft)
}

/// nft repeats the rule and points at it; the first line has the reason.
fn refused(stderr: &str) -> Error {
    let reason = one_line(stderr.lines().next().unwrap_or("no reason given"));
    if reason.contains("Operation not permitted") {
        Error::NoCapability
    } else if reason.contains("not supported") {
        Error::NoNfTables(reason)
    } else {
        Error::Nft(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_of_a_set_are_read_over_line_breaks() {
        let listed = "table inet hetznat {\n\tset reserved_ports {\n\t\ttype inet_service\n\t\tflags interval\n\t\t\
                      elements = { 40000-49999, 50001,\n\t\t\t     50003-59999 }\n\t}\n}\n";

        assert_eq!(elements(listed).unwrap(), "40000-49999,50001,50003-59999");
        assert_eq!(elements("table inet hetznat {\n\tset reserved_ports {\n\t}\n}\n"), None);
        assert_eq!(elements(""), None);
    }

    #[test]
    fn the_reason_is_told_from_nft_s_paragraph() {
        let permission = "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed";
        let kernel =
            "/dev/stdin:1:1-18: Error: Could not process rule: Operation not supported\ntable inet hetznat\n^^^";
        let other = "/dev/stdin:1:1-18: Error: Could not process rule: No space left on device\n";

        assert!(matches!(refused(permission), Error::NoCapability));
        assert!(matches!(refused(kernel), Error::NoNfTables(_)));
        assert!(matches!(refused(other), Error::Nft(_)));
    }
}
