//! The resolver of a gateway: what its document says, at the gateway's own addresses and in its LAN.
//!
//! Tunnels come first: whatever is wrong with the resolver is said, tried again, and delays no packet.

use contract::Gateway;

use super::{Config, Counts, Server};

/// A resolver that is there if the document asks for one.
#[derive(Default)]
pub(crate) struct Resolver {
    running: Option<(Server, Config)>,
    problem: Option<String>,
}

impl Resolver {
    /// Follows the document; does nothing if nothing changed and all is well.
    pub(crate) async fn follow(&mut self, gateway: &Gateway) {
        let outcome = match Config::of_gateway(gateway) {
            Ok(None) => {
                self.running = None;
                Ok(())
            }
            Ok(Some(config)) => self.run_on(config).await,
            Err(why) => Err(why),
        };
        match outcome {
            Ok(()) => self.problem = None,
            Err(why) => {
                if self.problem.as_ref() != Some(&why) {
                    tracing::error!("DNS64 cannot do as the document says, which is tried again: {why}");
                }
                self.problem = Some(why);
            }
        }
    }

    async fn run_on(&mut self, config: Config) -> Result<(), String> {
        match &mut self.running {
            Some((server, running)) if server.is_alive() => {
                if *running != config {
                    server.reconfigure(&running.listen, config.clone()).await?;
                    *running = config;
                }
            }
            none_or_dead => {
                let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
                *none_or_dead = Some((Server::start(config.clone()).await?, config));
                tracing::info!("DNS64 answers on {}", listen.join(", "));
            }
        }
        Ok(())
    }

    /// Whether [`Self::follow`] has something to do although the document did not change.
    pub(crate) fn needs_care(&self) -> bool {
        self.problem.is_some() || self.running.as_ref().is_some_and(|(server, _)| !server.is_alive())
    }

    /// What it answered; `None` without one.
    pub(crate) fn counts(&self) -> Option<Counts> {
        self.running.as_ref().map(|(server, _)| server.counts())
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}
