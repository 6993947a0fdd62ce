//! Every way in which a command can end: the exit codes and the one line that each error prints.
//!
//! Invariant: a message is one line, says what is wrong and what to do next, and never holds a key.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use contract::{KeyError, Name, ParseError, PublicKey};
use ipnet::{IpNet, Ipv4Net};
use tun::TunError;

/// What `--help` says about [`Exit`].
pub(crate) const EXIT_CODES_HELP: &str = "\
Exit codes:
   0  success
  64  the command line is wrong
  65  the state document or a key cannot be used: malformed, newer format, no such gateway
  66  a file cannot be read
  69  the machine lacks a feature: /dev/net/tun, nft, IPv6
  70  internal error: please report it
  71  the system refused: a name, route, port or socket is taken, a file cannot be written
  77  the capability CAP_NET_ADMIN is missing";

/// Exit codes, numbered as in sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// `EX_USAGE`: the command line is wrong.
    Usage = 64,
    /// `EX_DATAERR`: a document or a key cannot be used.
    Document = 65,
    /// `EX_NOINPUT`: a file cannot be read.
    Unreadable = 66,
    /// `EX_UNAVAILABLE`: the kernel or the machine lacks a feature.
    Missing = 69,
    /// `EX_SOFTWARE`: a fault of this program.
    Internal = 70,
    /// `EX_OSERR`: the system refused.
    System = 71,
    /// `EX_NOPERM`: a capability is missing.
    Capability = 77,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),

    #[error("state file {}: {source}", path.display())]
    Document { path: PathBuf, source: ParseError },
    #[error("state file {}: there is no gateway {gateway} in it ({}); name one with --gateway, or run terraform apply", path.display(), known_gateways(known))]
    GatewayMissing { path: PathBuf, gateway: Name, known: Vec<Name> },
    #[error(
        "gateway {gateway}: the state document holds no private key; give the one of {public_key} with --private-key FILE"
    )]
    NoPrivateKey { gateway: Name, public_key: PublicKey },
    #[error(
        "gateway {gateway}: the state document expects the public key {expected}, but {} belongs to {found}; \
         set public_key = \"{found}\" in Terraform or give the other key", path.display()
    )]
    OtherKey { gateway: Name, path: PathBuf, expected: PublicKey, found: PublicKey },
    #[error("private key {origin}: {source}")]
    PrivateKey { origin: String, source: KeyError },

    #[error("cannot read {what} {}: {}; {hint}", path.display(), Reason(source))]
    Unreadable { what: &'static str, path: PathBuf, hint: &'static str, source: io::Error },

    #[error(
        "/dev/net/tun is missing; load the module with modprobe tun, or hand the device to the container \
         (--device /dev/net/tun)"
    )]
    NoTunDevice,
    #[error("nft is missing; install it with apt install nftables")]
    NoNft,
    #[error("this kernel has no nf_tables; use a kernel with CONFIG_NF_TABLES, such as Debian's own ({0})")]
    NoNfTables(String),
    #[error("IPv6 is off on this machine; switch it on (net.ipv6.conf.all.disable_ipv6=0, no ipv6.disable=1 at boot)")]
    NoIpv6,

    #[error("CAP_NET_ADMIN is missing; start it by systemd (systemctl start hetznat-translator) or as root")]
    NoCapability,

    #[error("the interface name {0} is taken; stop what uses it, or choose another with --tun NAME")]
    TunBusy(String),
    #[error(
        "cannot create the interface {name}: {}; check that a TUN device can be made: ip tuntap add mode tun",
        Reason(source)
    )]
    Tun { name: String, source: io::Error },
    #[error(
        "another translator runs in this network namespace: it routes table {table} into interface {index}; \
         stop it first"
    )]
    OtherInstance { table: u32, index: u32 },
    #[error(
        "another translator answers on {}; stop it first (systemctl stop hetznat-translator), or choose another \
         socket with --control", .0.display()
    )]
    SocketInUse(PathBuf),
    #[error("cannot listen on the control socket {}: {}; choose another path with --control SOCKET", path.display(), Reason(source))]
    Control { path: PathBuf, source: io::Error },
    #[error("ipv4_prefix {prefix}: this machine has a route for {taken} already; set another ipv4_prefix in Terraform")]
    RouteTaken { prefix: Ipv4Net, taken: Ipv4Net },
    #[error(
        "pool4 {prefix}: this machine has a route for it already; remove that, or name another prefix in Terraform"
    )]
    PoolTaken { prefix: Ipv4Net },
    #[error(
        "the kernel refused to {action}: {reason}; check ip address, ip route and ip -6 rule for what is in the way"
    )]
    Netlink { action: &'static str, reason: String },
    #[error(
        "nft refused our rules: {0}; check nft list ruleset, and report this if the table inet hetznat is the cause"
    )]
    Nft(String),
    #[error(
        "IPv4 forwarding is off and cannot be switched on from here ({}); install the shipped \
         sysctl.d/50-hetznat-translator.conf, or run sysctl -w net.ipv4.ip_forward=1", Reason(.0)
    )]
    Forwarding(io::Error),
    #[error("{what} {prefix}: this machine has a route for it already; remove that, or choose another {what}")]
    PoolRouted { what: &'static str, prefix: IpNet },
    #[error("cannot start the tunnels: {0}")]
    Datapath(String),
    #[error("configuration {}: {why}", path.display())]
    Dns64 { path: PathBuf, why: String },
    #[error("DNS64 stopped by itself: {0}; please report this")]
    Dns64Died(String),
    #[error("cannot start to translate: {0}")]
    Nat64(String),
    #[error("{0}")]
    Refused(String),
    #[error("no translator answers on {}: {}; start it with systemctl start hetznat-translator, or give its socket with --control", path.display(), Reason(source))]
    NoAnswer { path: PathBuf, source: io::Error },
    #[error("the translator on {} answered with an error: {message}; is it of another version?", path.display())]
    BadAnswer { path: PathBuf, message: String },
    #[error("{} exists already and is kept; choose another file, or move it away", .0.display())]
    KeyFileExists(PathBuf),
    #[error("cannot write {}: {}; check the directory and its permissions", path.display(), Reason(source))]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {}; check where it leads", Reason(.0))]
    Output(io::Error),

    #[error("the datapath stopped: {0}; the translator ends so that systemd starts it afresh")]
    DatapathDied(String),
    #[error("{0}; please report this")]
    Internal(String),
}

impl Error {
    /// The code that the process ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Document { .. }
            | Self::GatewayMissing { .. }
            | Self::NoPrivateKey { .. }
            | Self::OtherKey { .. }
            | Self::PrivateKey { .. }
            | Self::Dns64 { .. } => Exit::Document,
            Self::Unreadable { .. } => Exit::Unreadable,
            Self::NoTunDevice | Self::NoNft | Self::NoNfTables(_) | Self::NoIpv6 => Exit::Missing,
            Self::NoCapability => Exit::Capability,
            Self::TunBusy(_)
            | Self::Tun { .. }
            | Self::OtherInstance { .. }
            | Self::SocketInUse(_)
            | Self::Control { .. }
            | Self::RouteTaken { .. }
            | Self::PoolTaken { .. }
            | Self::Netlink { .. }
            | Self::Nft(_)
            | Self::Forwarding(_)
            | Self::PoolRouted { .. }
            | Self::Datapath(_)
            | Self::Nat64(_)
            | Self::Refused(_)
            | Self::NoAnswer { .. }
            | Self::BadAnswer { .. }
            | Self::KeyFileExists(_)
            | Self::Unwritable { .. }
            | Self::Output(_) => Exit::System,
            Self::DatapathDied(_) | Self::Dns64Died(_) | Self::Internal(_) => Exit::Internal,
        }
    }

    /// The message on one line, whatever a path or the kernel put into it.
    pub(crate) fn line(&self) -> String {
        one_line(&self.to_string())
    }
}

impl From<TunError> for Error {
    fn from(error: TunError) -> Self {
        match error {
            TunError::NoDevice => Self::NoTunDevice,
            TunError::NoCapability => Self::NoCapability,
            TunError::NameBusy(name) => Self::TunBusy(name),
            TunError::Other { name, source } => Self::Tun { name, source },
        }
    }
}

/// `text` without control characters, runs of white space made one space.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// An I/O error as a clause: lower case, without the number that means nothing to most.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        let mut chars = text.chars();
        match chars.next() {
            Some(first) => write!(f, "{}{}", first.to_lowercase(), chars.as_str()),
            None => f.write_str("unknown error"),
        }
    }
}

fn known_gateways(known: &[Name]) -> String {
    if known.is_empty() {
        return "it has none".to_owned();
    }
    let names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    format!("it has {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let error = Error::TunBusy("a\n\u{1b}[31mb".to_owned());

        assert_eq!(
            error.line(),
            "the interface name a [31mb is taken; stop what uses it, or choose another with --tun NAME"
        );
    }

    #[test]
    fn io_errors_read_as_a_clause() {
        let error = io::Error::from_raw_os_error(libc::ENOENT);

        assert_eq!(Reason(&error).to_string(), "no such file or directory");
    }

    #[test]
    fn every_code_of_the_help_is_one_that_is_used() {
        let documented: Vec<u8> =
            EXIT_CODES_HELP.lines().filter_map(|line| line.get(..4)?.trim().parse().ok()).collect();

        let used = [
            Exit::Usage,
            Exit::Document,
            Exit::Unreadable,
            Exit::Missing,
            Exit::Internal,
            Exit::System,
            Exit::Capability,
        ];
        assert_eq!(documented[1..], used.map(|exit| exit as u8));
    }
}
