//! `hetznat-translator dns64`: the resolver alone, for a LAN or a router that somebody else runs.

use std::fs;

use crate::cli::Dns64Args;
use crate::error::Error;
use crate::signals::Signals;
use crate::systemd::{self, Watchdog};

use super::{Config, Server};

/// A configuration larger than this is a mistake.
const LARGEST: usize = 1 << 20;

/// Answers until it is told to stop; SIGHUP reads the file again.
///
/// # Errors
/// Why it could not start, or why it stopped by itself.
pub(crate) async fn run(args: Dns64Args) -> Result<(), Error> {
    let mut config = read(&args)?;
    let mut signals = Signals::new()?;
    let refused = |why| Error::Dns64 { path: args.config.clone(), why };
    let server = Server::start(config.clone()).await.map_err(refused)?;
    let sentence = sentence(&config);
    tracing::info!("{sentence}");
    systemd::ready(&sentence);
    let mut watchdog = Watchdog::new();
    loop {
        tokio::select! {
            biased;
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            why = server.died() => return Err(Error::Dns64Died(why)),
            () = watchdog.due() => systemd::alive(),
            _ = signals.hang_up.recv() => reload(&args, &server, &mut config).await,
        }
    }
    systemd::stopping();
    tracing::info!("answered: {}", serde_json::to_string(&server.counts()).unwrap_or_default());
    Ok(())
}

/// Reads the file as [`run`] would, and says what is in it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(args: &Dns64Args) -> Result<String, Error> {
    Ok(format!("{}\n", sentence(&read(args)?)))
}

async fn reload(args: &Dns64Args, server: &Server, config: &mut Config) {
    let outcome = match read(args) {
        Ok(new) => server.reconfigure(&config.listen, new.clone()).await.map(|()| *config = new),
        Err(error) => Err(error.line()),
    };
    match outcome {
        Ok(()) => {
            let sentence = sentence(config);
            tracing::info!("{sentence}");
            systemd::status(&sentence);
        }
        Err(why) => tracing::error!("goes on with the last good configuration: {why}"),
    }
}

fn read(args: &Dns64Args) -> Result<Config, Error> {
    let text = fs::read(&args.config).map_err(|source| Error::Unreadable {
        what: "configuration",
        path: args.config.clone(),
        hint: "give another with --config FILE",
        source,
    })?;
    let refused = |why| Error::Dns64 { path: args.config.clone(), why };
    if text.len() > LARGEST {
        return Err(refused(format!("{} bytes are more than {LARGEST}; is this the right file?", text.len())));
    }
    Config::parse(&text).map_err(refused)
}

fn sentence(config: &Config) -> String {
    let join = |texts: Vec<String>| texts.join(", ");
    let listen = join(config.listen.iter().map(ToString::to_string).collect());
    let prefixes = join(config.policy.prefixes().iter().map(|prefix| prefix.pool6().to_string()).collect());
    let upstreams = join(config.upstreams.iter().map(ToString::to_string).collect());
    format!("DNS64 on {listen} with {prefixes}, asking {upstreams}")
}
