//! The servers' WireGuard, which nobody here wrote: it works between two servers before ours takes part.

use std::time::Duration;

use anyhow::Result;
use lab::{Lab, Server};

/// A `wg-quick` file that gives `own` the address 10.0.0.`host`, with the other server as its only peer.
fn config(private: &str, host: u8, other: &Server, other_public: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {private}\nListenPort = 46464\nAddress = 10.0.0.{host}/24\n\n[Peer]\n\
         PublicKey = {other_public}\nAllowedIPs = 10.0.0.0/24\nEndpoint = [{}]:46464\nPersistentKeepalive = 1\n",
        other.address()
    )
}

#[test]
fn two_servers_talk_through_the_wireguard_of_the_machine() -> Result<()> {
    let lab = Lab::start()?;
    let (one, other) = (lab.add_server("one")?, lab.add_server("other")?);
    let keys = |server: &Server| server.host().script("key=$(wg genkey); echo $key; echo $key | wg pubkey");
    let (one_keys, other_keys) = (keys(&one)?, keys(&other)?);
    let (one_keys, other_keys): (Vec<_>, Vec<_>) = (one_keys.lines().collect(), other_keys.lines().collect());

    one.start_wireguard(&config(one_keys[0], 1, &other, other_keys[1]))?;
    other.start_wireguard(&config(other_keys[0], 2, &one, one_keys[1]))?;

    other.wait_for_tunnel(Duration::from_secs(20))?;
    one.ping("10.0.0.2")?;
    one.stop_wireguard()?;
    assert!(one.ping("10.0.0.2").is_err(), "the tunnel is down");
    Ok(())
}
