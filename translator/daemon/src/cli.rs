//! The command line: what can be asked for, and how a wrong question is answered.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::Name;

use crate::error::{EXIT_CODES_HELP, Error, one_line};

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
    Run(RunArgs),
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
    /// UDP port to dial the servers from; 0 takes any that is free
    #[arg(long, value_name = "PORT", env = "HETZNAT_LISTEN_PORT", hide_env_values = true, default_value_t = 0)]
    pub(crate) listen_port: u16,
    /// How to write the log to standard error; HETZNAT_LOG sets the level (error, warn, info, debug)
    #[arg(long, value_name = "FORMAT", env = "HETZNAT_LOG_FORMAT", hide_env_values = true, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// The control socket
    #[arg(
        long = "control",
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
    let help = match command {
        "run" | "keygen" | "pubkey" | "check" | "status" => format!("{PROGRAM} {command} --help"),
        _ => format!("{PROGRAM} --help"),
    };
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("a command is missing (run, keygen, pubkey, check or status); see {help}");
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
    use clap::CommandFactory as _;

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
        ];

        let report: Vec<String> = lines.iter().map(|line| format!("$ {line}\nerror: {}\n", error(line))).collect();

        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn help_of_every_command() {
        // Otherwise the width of the terminal counts in which the tests run.
        let mut command = Cli::command().term_width(100);
        command.build();

        let mut pages = vec![command.render_long_help().to_string()];
        pages.extend(command.get_subcommands_mut().map(|command| command.render_long_help().to_string()));

        // Nobody sees the spaces that clap puts on empty lines.
        let lines = pages.iter().flat_map(|page| page.lines()).map(str::trim_end);
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
