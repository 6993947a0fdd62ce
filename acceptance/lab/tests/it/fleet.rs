//! A fleet's life at Hetzner: fifty servers are created, more come, some are replaced, the rest is deleted. Nobody tells the
//! gateway where anything is.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab::hetzner::{Hetzner, Rented};
use lab::site::on_site;
use lab::{Server, Site, wait};
use serde_json::{Value, json};

const PAGE: &str = "http://web.example/";
const FLEET: usize = 50;
/// From the moment when Hetzner has the servers to the moment when the last one has IPv4.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest interval between two questions, and some more for a machine that is busy.
const POLL: Duration = Duration::from_secs(45);

fn peer(number: usize) -> String {
    format!("node-{number:02}")
}

/// Peers that are to be found, and what their servers are given.
fn apply(site: &mut Site, count: usize) -> Result<BTreeMap<String, String>> {
    let servers = (1..=count).map(|number| (peer(number), Value::Null)).collect();
    site.terraform.set("servers", Value::Object(servers))?;
    site.set_gateway_options("discovery {}")?;
    Ok(serde_json::from_str(&site.terraform.run(&["output", "-json", "wireguard_config"])?)?)
}

/// Machines that wait for the gateway's call, each with what its peer was given.
fn boot(site: &Site, configs: &BTreeMap<String, String>, numbers: &[usize]) -> Result<Vec<Server>> {
    let name = |number: &usize| format!("{}-of-{}", peer(*number), numbers.len());
    let servers: Vec<Server> =
        numbers.iter().map(|number| site.lab.add_server(&name(number))).collect::<Result<_>>()?;
    let jobs: Vec<_> = servers.iter().zip(numbers).collect();
    all_at_once(&jobs, |(server, number)| {
        server.start_wireguard(configs.get(&peer(**number)).context("a peer of that name")?)
    })?;
    Ok(servers)
}

/// A few at a time: as many as a small machine can carry.
fn all_at_once<T: Sync>(jobs: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let work = &work;
    thread::scope(|scope| {
        let chunks = jobs.chunks(jobs.len().div_ceil(6).max(1));
        let workers: Vec<_> = chunks.map(|jobs| scope.spawn(move || jobs.iter().try_for_each(work))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

/// The servers at Hetzner that those machines are: it gives its networks in the same order.
fn rent(site: &Site, hetzner: &Hetzner, machines: &[Server], numbers: &[usize]) -> Result<Vec<Rented>> {
    let labels = |number: &usize| json!({ "hetznat-gateway": "home", "hetznat-peer": peer(*number) });
    let wanted: Vec<_> = machines.iter().zip(numbers).map(|(server, number)| (server.name(), labels(number))).collect();
    let rented = hetzner.create_servers(&site.lab.internet6, &wanted)?;
    for (server, rented) in machines.iter().zip(&rented) {
        ensure!(server.network() == rented.network, "{} and {}", server.network(), rented.network);
    }
    Ok(rented)
}

fn all_have_ipv4(servers: &[Server], limit: Duration) -> Result<Duration> {
    let start = Instant::now();
    all_at_once(&servers.iter().collect::<Vec<_>>(), |server| {
        server.wait_for_tunnel(limit.saturating_sub(start.elapsed()))?;
        server.curl(PAGE).map(drop)
    })?;
    Ok(start.elapsed())
}

fn wait_for_peers(site: &Site, count: usize) -> Result<()> {
    wait::until(&format!("{count} tunnels"), POLL, || {
        let status = site.translator()?.status()?;
        Ok((status["datapath"]["peers"].as_array().map(Vec::len) == Some(count)).then_some(()))
    })
    .map(drop)
}

fn delete(site: &Site, hetzner: &Hetzner, rented: &[&Rented]) -> Result<()> {
    let requests = rented.iter().map(|rented| ("DELETE", format!("/servers/{}", rented.id), Value::Null));
    hetzner.ask_all(&site.lab.internet6, &requests.collect::<Vec<_>>()).map(drop)
}

#[test]
fn fifty_servers_appear_by_label_and_have_ipv4_within_30_seconds_and_the_fleet_is_followed_to_its_end() {
    on_site(|site| {
        let configs = apply(site, FLEET)?;
        let hetzner = site.lab.start_hetzner()?;
        let numbers: Vec<usize> = (1..=FLEET).collect();
        let mut fleet = boot(site, &configs, &numbers)?;
        site.start_translator_with(&hetzner)?;
        wait::until("the first answer", POLL, || {
            Ok(site.translator()?.status()?["discovery"]["found_secs_ago"].is_u64().then_some(()))
        })?;

        // Created.
        let mut rented = rent(site, &hetzner, &fleet, &numbers)?;
        let took = all_have_ipv4(&fleet, LIMIT)?;
        eprintln!("{FLEET} servers had IPv4 {took:?} after Hetzner had them");
        ensure!(took < LIMIT, "{took:?}");

        // More come.
        let configs = apply(site, FLEET + 5)?;
        let more: Vec<usize> = (FLEET + 1..=FLEET + 5).collect();
        let newcomers = boot(site, &configs, &more)?;
        rented.extend(rent(site, &hetzner, &newcomers, &more)?);
        all_have_ipv4(&newcomers, POLL)?;
        fleet.extend(newcomers);

        // Some are replaced by others with other addresses.
        let replaced = [3, 17];
        let successors = boot(site, &configs, &replaced)?;
        rent(site, &hetzner, &successors, &replaced)?;
        all_have_ipv4(&successors, POLL)?;
        delete(site, &hetzner, &replaced.map(|number| &rented[number - 1]))?;
        all_have_ipv4(&fleet[..2], POLL)?;

        // All but the successors are deleted.
        let rest = rented.iter().enumerate().filter(|(index, _)| !replaced.contains(&(index + 1)));
        delete(site, &hetzner, &rest.map(|(_, rented)| rented).collect::<Vec<_>>())?;
        wait_for_peers(site, replaced.len())?;
        for successor in &successors {
            successor.curl(PAGE)?;
        }
        assert!(!fleet[0].reaches(PAGE)?, "a server that is gone has no way out");
        Ok(())
    });
}
