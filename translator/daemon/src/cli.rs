//! The command line: what can be asked for, and how a wrong question is answered.

mod nat64;

use std::ffi::OsString;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use contract::Name;

use crate::discovery::Endpoint;
use crate::error::{EXIT_CODES_HELP, Error, one_line};
use crate::mapping::{Protocol, inner_endpoint, outer_endpoint};
use crate::settings::Key;

pub(crate) use nat64::Nat64Args;

pub(crate) const PROGRAM: &str = "hetznat-translator";

/// Gives IPv6-only servers IPv4: dials them with WireGuard and translates between IPv6 and IPv4
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = EXIT_CODES_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until SIGTERM; SIGHUP reads the state document again
    #[command(after_help = EXIT_CODES_HELP)]
    Run(Box<RunArgs>),
    /// Make a private key; Terraform then needs its public half only
    Keygen {
        /// Write the private key here (mode 0600) and print the public key; default: print the private key
        ///
        /// A file that exists is never overwritten.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the public key of a private key
    Pubkey {
        /// File with the private key; default: standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Read a state document as `run` would, and say what is in it
    Check {
        /// The state document
        #[arg(long, value_name = "FILE", env = "HETZNAT_STATE", hide_env_values = true)]
        state: PathBuf,
        /// Show this gateway only, and fail if it is not there; default: all
        #[arg(long, value_name = "NAME")]
        gateway: Option<Name>,
    },
    /// Show what a running translator does
    Status {
        #[command(flatten)]
        control: ControlArgs,
        /// Print JSON: sizes in bytes, times in seconds
        #[arg(long)]
        json: bool,
    },
    /// Translate between IPv6 and IPv4 and nothing else: no tunnels, no Terraform, for a router somebody else runs
    ///
    /// Makes a TUN interface, routes pool6 and pool4 into it, and takes all of it away at the end. It changes neither
    /// forwarding nor firewall rules; it says when IPv4 or IPv6 forwarding is off. Runs until SIGTERM.
    #[command(after_help = EXIT_CODES_HELP)]
    Nat64(Box<Nat64Args>),
    /// Answer DNS questions and nothing else: AAAA records for names that have only A records (DNS64)
    ///
    /// For a LAN, or a router somebody else runs. Runs until SIGTERM; SIGHUP reads the configuration again.
    #[command(after_help = EXIT_CODES_HELP)]
    Dns64(Dns64Args),
    /// Show and change which inside endpoint has which outside endpoint (the Binding Information Base of RFC 6146)
    Bib {
        #[command(flatten)]
        control: ControlArgs,
        #[command(subcommand)]
        command: BibCommand,
    },
    /// Show which flows a running translator remembers
    Sessions {
        #[command(flatten)]
        control: ControlArgs,
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Change how a running `nat64` translates
    Config {
        #[command(flatten)]
        control: ControlArgs,
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BibCommand {
    /// Show every mapping
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a mapping that stays until it is removed or the translator ends
    Add {
        /// Of the mapping; for icmp, identifiers stand for ports
        protocol: Protocol,
        /// An endpoint of pool4, like `192.0.2.2:1000`
        #[arg(value_parser = outer_endpoint)]
        outside: SocketAddrV4,
        /// The endpoint it stands for, like `[2001:db8::5]:1001`
        #[arg(value_parser = inner_endpoint)]
        inside: SocketAddr,
    },
    /// Remove a mapping and its sessions, whoever made it
    Remove {
        /// Of the mapping
        protocol: Protocol,
        /// Its endpoint of pool4, like `192.0.2.2:1000`
        #[arg(value_parser = outer_endpoint)]
        outside: SocketAddrV4,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// Show every session
    List {
        /// Print JSON: times in seconds
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Give a setting a new value until the translator ends
    Set {
        /// Which setting
        key: Key,
        /// Its new value
        value: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The state document that Terraform writes; watched for changes
    #[arg(long, value_name = "FILE", env = "HETZNAT_STATE", hide_env_values = true)]
    pub(crate) state: PathBuf,
    /// Which gateway of the document this machine is
    #[arg(long, value_name = "NAME", env = "HETZNAT_GATEWAY", hide_env_values = true)]
    pub(crate) gateway: Name,
    /// File with the gateway's private key; default: the one in the document
    #[arg(long, value_name = "FILE", env = "HETZNAT_PRIVATE_KEY_FILE", hide_env_values = true)]
    pub(crate) private_key: Option<PathBuf>,
    /// Name of the TUN interface to create
    #[arg(long, value_name = "NAME", env = "HETZNAT_TUN", hide_env_values = true, default_value = contract::INTERFACE, value_parser = interface_name)]
    pub(crate) tun: String,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    /// Keep the last good configuration here (mode 0600), to start from when the document is gone or bad
    ///
    /// Default: $STATE_DIRECTORY/last-good-NAME.json, or no copy if systemd gives no state directory.
    #[arg(long, value_name = "FILE", env = "HETZNAT_LAST_GOOD", hide_env_values = true)]
    pub(crate) last_good: Option<PathBuf>,
    /// File with a read-only token of Hetzner's API, for a document that has servers found by their labels
    ///
    /// Read at every question, so a new token needs no restart. Default: hetzner-token among systemd's credentials, if it is
    /// there.
    #[arg(long, value_name = "FILE", env = "HETZNAT_HETZNER_TOKEN_FILE", hide_env_values = true)]
    pub(crate) hetzner_token: Option<PathBuf>,
    /// Keep where servers were found here (mode 0600), to start from while Hetzner cannot be asked
    ///
    /// Default: $STATE_DIRECTORY/found-NAME.json, or nowhere if systemd gives no state directory.
    #[arg(long, value_name = "FILE", env = "HETZNAT_FOUND", hide_env_values = true)]
    pub(crate) found: Option<PathBuf>,
    /// Where Hetzner's API is
    #[arg(
        long,
        value_name = "URL",
        env = "HCLOUD_ENDPOINT",
        hide_env_values = true,
        default_value = "https://api.hetzner.cloud/v1"
    )]
    pub(crate) hetzner_api: Endpoint,
    /// PEM certificates that Hetzner's API is believed by
    #[arg(long, value_name = "FILE", env = "HETZNAT_CA_FILE", hide_env_values = true, default_value = crate::tls::CA_FILE)]
    pub(crate) ca_file: PathBuf,
    /// UDP port to dial the servers from; 0 takes any that is free
    #[arg(long, value_name = "PORT", env = "HETZNAT_LISTEN_PORT", hide_env_values = true, default_value_t = 0)]
    pub(crate) listen_port: u16,
    /// How to write the log to standard error; HETZNAT_LOG sets the level (error, warn, info, debug)
    #[arg(long, value_name = "FORMAT", env = "HETZNAT_LOG_FORMAT", hide_env_values = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Dns64Args {
    /// The configuration, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Say what is in it, and do nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// How to write the log to standard error; HETZNAT_LOG sets the level (error, warn, info, debug)
    #[arg(long, value_name = "FORMAT", env = "HETZNAT_LOG_FORMAT", hide_env_values = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// The control socket
    #[arg(
        long = "control",
        global = true,
        value_name = "SOCKET",
        env = "HETZNAT_CONTROL",
        hide_env_values = true,
        default_value = "/run/hetznat/control.sock"
    )]
    pub(crate) socket: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line per event
    Text,
    /// One JSON object per line
    Json,
}

/// Linux takes more than this, but the name stands in nft rules too.
fn interface_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=15).contains(&text.len()) && text.chars().all(legal) && !matches!(text, "." | "..") {
        return Ok(text.to_owned());
    }
    Err("an interface name has 1 to 15 letters, digits, -, _ or .".to_owned())
}

/// What a command line means.
pub(crate) enum Parsed {
    /// A command to run.
    Command(Command),
    /// Text that was asked for by `--help` or `--version`.
    Text(String),
}

/// Parses a command line.
///
/// # Errors
/// [`Error::Usage`], on one line and with the command whose `--help` would tell more.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Parsed, Error> {
    let command = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default().to_owned();
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Parsed::Command(cli.command)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Text(error.render().to_string()))
        }
        Err(error) => Err(Error::Usage(usage_error(&error, &command))),
    }
}

/// clap writes a paragraph for people at a terminal; a log wants its first sentence, the tip and where to read on.
fn usage_error(error: &clap::Error, command: &str) -> String {
    let definition = Cli::command();
    let definition = definition.find_subcommand(command).unwrap_or(&definition);
    let help = match definition.get_name() {
        PROGRAM => format!("{PROGRAM} --help"),
        name => format!("{PROGRAM} {name} --help"),
    };
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let names: Vec<&str> = definition.get_subcommands().map(clap::Command::get_name).collect();
        return format!("a command is missing ({}); see {help}", names.join(", "));
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let problem = one_line(paragraphs.next().unwrap_or_default());
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem).to_owned();
    let tip = paragraphs.find_map(|paragraph| paragraph.trim().strip_prefix("tip: "));
    let tip = tip.map(|tip| format!("; {}", one_line(tip))).unwrap_or_default();
    format!("{problem}{tip}; see {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let arguments = line.split_whitespace().map(OsString::from).collect();
        match parse(arguments) {
            Ok(_) => panic!("{line} is a good command line"),
            Err(error) => error.line(),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_errors_are_one_line_with_a_hint() {
        let lines = [
            "hetznat-translator",
            "hetznat-translator frobnicate",
            "hetznat-translator statsu",
            "hetznat-translator --frobnicate",
            "hetznat-translator run",
            "hetznat-translator run --state x --gateway home --gatewya home",
            "hetznat-translator run --state x --gateway Home",
            "hetznat-translator run --state x --gateway home --tun a/b",
            "hetznat-translator run --state x --gateway home --tun sixteen-letters-",
            "hetznat-translator run --state x --gateway home --listen-port 65536",
            "hetznat-translator run --state x --gateway home --log-format yaml",
            "hetznat-translator run --state x --gateway home extra",
            "hetznat-translator keygen --out",
            "hetznat-translator pubkey a b",
            "hetznat-translator check",
            "hetznat-translator status --jsno",
            "hetznat-translator bib",
            "hetznat-translator bib add sctp 192.0.2.2:1000 [2001:db8::5]:1001",
            "hetznat-translator bib add udp 192.0.2.2 [2001:db8::5]:1001",
            "hetznat-translator bib add udp 192.0.2.2:1000",
            "hetznat-translator bib remove udp 192.0.2.2:0",
            "hetznat-translator sessions list --jsno",
            "hetznat-translator config set mtu 1500",
            "hetznat-translator config get mtu4",
        ];

        let report: Vec<String> = lines.iter().map(|line| format!("$ {line}\nerror: {}\n", error(line))).collect();

        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn usage_errors_of_the_stand_alone_mode_say_what_is_possible() {
        let lines = [
            "",
            "--pool4 2001:db8::1",
            "--pool4 192.0.2.4-192.0.2.2",
            "--pool4 192.0.2.0-192.0.3.0",
            "--pool4 224.0.0.1",
            "--pool6 64:ff9b::/97 --pool4 192.0.2.2",
            "--pool4 192.0.2.2 --ports 0-10",
            "--pool4 192.0.2.2 --ports 10-9",
            "--pool4 192.0.2.2 --ports 1-65536",
            "--pool4 192.0.2.2 --ports sctp,1-65535",
            "--pool4 192.0.2.2 --error-source4 192.0.2.9 --address4 192.0.2.8",
            "--pool4 192.0.2.2 --address4 127.0.0.1",
            "--pool4 192.0.2.2 --address6 fe80::1",
            "--pool4 192.0.2.2 --mtu4 67",
            "--pool4 192.0.2.2 --mtu6 1279",
            "--pool4 192.0.2.2 --lowest-ipv6-mtu 1279",
            "--pool4 192.0.2.2 --filtering some",
            "--pool4 192.0.2.2 --hairpinning maybe",
            "--pool4 192.0.2.2 --static tcp,192.0.2.2:2000",
            "--pool4 192.0.2.2 --allow 10.0.0.0/33",
        ];
        let lines = lines.map(|line| format!("hetznat-translator nat64 {line}"));

        let report: Vec<String> = lines.iter().map(|line| format!("$ {line}\nerror: {}\n", error(line))).collect();

        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn help_of_every_command() {
        // Otherwise the width of the terminal counts in which the tests run.
        let mut command = Cli::command().term_width(100);
        command.build();

        let mut pages = vec![command.render_long_help().to_string()];
        for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            pages.push(command.render_long_help().to_string());
            let inner = command.get_subcommands_mut().filter(|inner| inner.get_name() != "help");
            pages.extend(inner.map(|inner| inner.render_long_help().to_string()));
        }

        // Nobody sees the spaces that clap puts on empty lines.
        let lines = pages.iter().flat_map(|page| page.lines()).map(str::trim_end);
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
