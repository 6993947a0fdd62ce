//! Servers are found by their labels, and followed wherever they go; labels let nobody in.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::hetzner::Hetzner;
use lab::site::{TUNNEL_LIMIT, on_site};
use lab::{Server, Site, wait};
use serde_json::{Value, json};

const PAGE: &str = "http://web.example/";
/// The longest interval between two questions, and some more for a machine that is busy.
const POLL: Duration = Duration::from_secs(45);

/// A site whose peers, by name, are found by their labels, and the Hetzner that knows where.
fn site_with(site: &mut Site, peers: &[&str]) -> Result<Hetzner> {
    let servers = peers.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    site.terraform.set("servers", Value::Object(servers))?;
    site.set_gateway_options("discovery {}")?;
    site.lab.start_hetzner()
}

fn labels(peer: &str) -> Value {
    json!({ "hetznat-gateway": "home", "hetznat-peer": peer })
}

/// A host at the lab's hoster, and the server that Hetzner takes it for.
fn rent(site: &Site, hetzner: &Hetzner, name: &str, labels: &Value) -> Result<(Server, u64)> {
    let server = site.lab.add_server(name)?;
    let rented = hetzner.create_servers(&site.lab.internet6, &[(name, labels.clone())])?;
    assert_eq!(rented[0].network, server.network(), "the lab and Hetzner count alike");
    Ok((server, rented[0].id))
}

fn discovery(site: &Site) -> Result<Value> {
    Ok(site.translator()?.status()?["discovery"].take())
}

fn wait_for_problem(site: &Site, part: &str) -> Result<()> {
    let what = format!("the problem {part:?}");
    wait::until(&what, POLL, || {
        let problem = discovery(site)?["problem"].take();
        Ok(problem.as_str().is_some_and(|problem| problem.contains(part)).then_some(()))
    })
    .map(drop)
}

#[test]
fn a_server_is_found_renamed_replaced_and_deleted_within_a_poll() {
    on_site(|site| {
        let hetzner = site_with(site, &["web"])?;
        let (first, first_id) = rent(site, &hetzner, "first", &labels("web"))?;
        let config = site.terraform.wireguard_config("web")?;
        first.start_wireguard(&config)?;
        site.start_translator_with(&hetzner)?;
        first.wait_for_tunnel(TUNNEL_LIMIT)?;
        first.curl(PAGE)?;

        let asked = json!({ "forget_requests": true });
        let handshake = first.latest_handshake()?;
        hetzner.ask(&site.lab.internet6, "PUT", &format!("/servers/{first_id}"), &json!({ "name": "renamed" }))?;
        hetzner.ask(&site.lab.internet6, "POST", "/_lab", &asked)?;
        wait::until("the next question", POLL, || {
            let requests = hetzner.ask(&site.lab.internet6, "GET", "/_lab", &Value::Null)?["requests"].take();
            Ok(requests["GET /servers"].is_u64().then_some(()))
        })?;
        first.curl(PAGE)?;
        assert_eq!(first.latest_handshake()?, handshake, "a name means nothing");

        // Another machine with the same keys, as after a replacement: while there are both, the newer one counts.
        let (second, second_id) = rent(site, &hetzner, "second", &labels("web"))?;
        second.start_wireguard(&config)?;
        second.wait_for_tunnel(POLL)?;
        second.curl(PAGE)?;
        hetzner.ask(&site.lab.internet6, "DELETE", &format!("/servers/{first_id}"), &Value::Null)?;

        hetzner.ask(&site.lab.internet6, "DELETE", &format!("/servers/{second_id}"), &Value::Null)?;
        wait::until("the tunnel to be gone", POLL, || {
            let status = site.translator()?.status()?;
            Ok(status["datapath"]["peers"].as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
        assert!(!second.reaches(PAGE)?, "a server that is gone has no way out");
        Ok(())
    });
}

#[test]
fn a_label_lets_no_stranger_in() {
    on_site(|site| {
        let hetzner = site_with(site, &["web"])?;
        let (web, _) = rent(site, &hetzner, "web", &labels("web"))?;
        let (stranger, _) = rent(site, &hetzner, "stranger", &labels("stranger"))?;
        let config = site.terraform.wireguard_config("web")?;
        web.start_wireguard(&config)?;
        stranger.start_wireguard(&config)?;

        site.start_translator_with(&hetzner)?;
        web.wait_for_tunnel(TUNNEL_LIMIT)?;

        site.translator()?.wait_for_peers(&["web"])?;
        assert_eq!(discovery(site)?["servers"], 2, "both were found");
        assert!(!stranger.reaches(PAGE)?);
        Ok(())
    });
}

#[test]
fn a_server_that_is_off_or_blocked_is_not_dialled_and_says_why() {
    on_site(|site| {
        let hetzner = site_with(site, &["web"])?;
        let (web, id) = rent(site, &hetzner, "web", &labels("web"))?;
        web.start_wireguard(&site.terraform.wireguard_config("web")?)?;
        hetzner.ask(&site.lab.internet6, "POST", "/_lab", &json!({ "server": { "id": id, "blocked": true } }))?;
        site.start_translator_with(&hetzner)?;

        let (notes, _) = wait::until("what is wrong", POLL, || {
            let notes = discovery(site)?["notes"].take();
            Ok(notes.get(0).and_then(Value::as_str).is_some_and(|note| note.contains("blocked")).then_some(notes))
        })?;
        assert_eq!(
            notes,
            json!([format!(
                "peer web: server web ({id}): Hetzner has blocked its IPv6; see the message in its console"
            )])
        );
        site.translator()?.wait_for_peers(&[])?;

        hetzner.ask(&site.lab.internet6, "POST", "/_lab", &json!({ "server": { "id": id, "blocked": false } }))?;
        web.wait_for_tunnel(POLL)?;
        web.curl(PAGE)?;
        Ok(())
    });
}

#[test]
fn when_hetzner_does_not_answer_the_tunnels_stay_and_the_status_says_why() {
    on_site(|site| {
        let hetzner = site_with(site, &["web"])?;
        let (web, _) = rent(site, &hetzner, "web", &labels("web"))?;
        web.start_wireguard(&site.terraform.wireguard_config("web")?)?;
        let token = site.start_translator_with(&hetzner)?;
        web.wait_for_tunnel(TUNNEL_LIMIT)?;

        hetzner.ask(&site.lab.internet6, "POST", "/_lab", &json!({ "faults": { "status": 503, "count": 1 } }))?;
        wait_for_problem(site, "Hetzner answers 503 (unavailable)")?;
        web.curl(PAGE)?;
        std::fs::write(&token, "somebody-elses").context("the token")?;
        wait_for_problem(site, "Hetzner refuses the token")?;
        web.curl(PAGE)?;
        std::fs::write(&token, lab::hetzner::READ_ONLY_TOKEN).context("the token")?;

        wait::until("it to be well again", POLL, || Ok(discovery(site)?["problem"].is_null().then_some(())))?;
        Ok(())
    });
}

#[test]
fn what_was_found_survives_a_restart_while_hetzner_does_not_answer() {
    on_site(|site| {
        let hetzner = site_with(site, &["web", "db"])?;
        let (web, _) = rent(site, &hetzner, "web", &labels("web"))?;
        let (stranger, _) = rent(site, &hetzner, "stranger", &labels("stranger"))?;
        for server in [&web, &stranger] {
            server.start_wireguard(&site.terraform.wireguard_config("web")?)?;
        }
        site.start_translator_with(&hetzner)?;
        web.wait_for_tunnel(TUNNEL_LIMIT)?;
        site.stop_translator()?;

        hetzner.ask(&site.lab.internet6, "POST", "/_lab", &json!({ "faults": { "status": 503, "count": 1000 } }))?;
        site.start_translator_with(&hetzner)?;

        wait::until("the tunnel again", TUNNEL_LIMIT, || Ok(web.reaches(PAGE)?.then_some(())))?;
        wait_for_problem(site, "Hetzner answers 503 (unavailable)")?;
        site.translator()?.wait_for_peers(&["web"])?;
        assert!(!stranger.reaches(PAGE)?, "what was kept lets in nobody whom Hetzner's answer would not");
        let page = site.translator()?.status_text(&[])?;
        assert!(page.contains("discovery  2 servers found before the start, asked every"), "{page}");

        // The author's word counts more than what was found: without the peer there is none.
        site.terraform.set("servers", json!({ "db": null }))?;
        site.terraform.apply()?;
        site.translator()?.wait_for_peers(&[])?;
        Ok(())
    });
}
