//! `hetzner-api`: the stand-in behind HTTP, in the clear or with a certificate that it makes for itself.

mod http;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use hetzner::{Api, Settings};
use ipnet::Ipv6Net;

/// Stands in for Hetzner's cloud API.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "[::1]:8080")]
    listen: SocketAddr,
    /// Speak TLS: the name that clients ask for
    #[arg(long, requires = "certificate")]
    tls_name: Option<String>,
    /// Where to write the certificate that clients must believe
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The token that may do everything
    #[arg(long, default_value = "write")]
    token: String,
    /// The token that may only read
    #[arg(long, default_value = "read")]
    read_only_token: String,
    /// Where servers get their /64 from
    #[arg(long, default_value = "2001:db8:1::/48")]
    networks: Ipv6Net,
    /// How long an action takes
    #[arg(long, default_value_t = 200)]
    action_millis: u64,
    /// Requests an hour
    #[arg(long, default_value_t = 3_600)]
    limit: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let api = Api::new(Settings {
        token: args.token,
        read_only_token: args.read_only_token,
        networks: args.networks,
        action_takes: Duration::from_millis(args.action_millis),
        limit: args.limit,
    });
    let tls = match (args.tls_name, args.certificate) {
        (Some(name), Some(path)) => Some(http::certificate(name, &path)?),
        _ => None,
    };
    http::serve(args.listen, tls, api).await
}
