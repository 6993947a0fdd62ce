//! Servers of a group: all have the same user data, none is known to Terraform, and all have IPv4. Without the secret a label
//! is worth nothing.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::hetzner::Hetzner;
use lab::site::{TUNNEL_LIMIT, on_site};
use lab::{Host, Server, Site, wait};
use serde_json::{Value, json};

const PAGE: &str = "http://web.example/";
const LITERAL: &str = "http://203.0.112.80/";
/// Two of the longest intervals between two questions, and some more for a machine that is busy.
const POLLS: Duration = Duration::from_secs(75);

const GROUP: &str = r#"
variable "group" {
  type    = object({ rotate = optional(map(string)), accept_previous = optional(bool) })
  default = {}
}

resource "hetznat_peer_group" "workers" {
  gateway         = hetznat_gateway.home.link
  name            = "workers"
  rotate          = var.group.rotate
  accept_previous = var.group.accept_previous
}

resource "hetznat_peer_group" "others" {
  gateway = hetznat_gateway.home.link
  name    = "others"
}

output "group" {
  value     = { user_data = hetznat_peer_group.workers.user_data, others = hetznat_peer_group.others.user_data }
  sensitive = true
}
"#;

/// A site with the group, its user data, and a Hetzner without servers.
fn with_group(site: &mut Site) -> Result<(Hetzner, String)> {
    site.terraform.write("group.tf", GROUP)?;
    site.terraform.apply()?;
    Ok((site.lab.start_hetzner()?, site.terraform.output_entry("group", "user_data")?))
}

fn set_group(site: &mut Site, group: Value) -> Result<String> {
    site.terraform.set("group", group)?;
    site.terraform.apply()?;
    site.terraform.output_entry("group", "user_data")
}

/// A server of the group: rented with its labels, and booted with its user data.
fn rent(site: &Site, hetzner: &Hetzner, name: &str, user_data: &str) -> Result<(Server, u64)> {
    let server = site.lab.add_server(name)?;
    let labels = json!({ "hetznat-gateway": "home", "hetznat-group": "workers" });
    let rented = hetzner.create_servers(&site.lab.internet6, &[(name, labels)])?.remove(0);
    assert_eq!(rented.network, server.network(), "the lab and Hetzner count alike");
    server.start_wireguard(&first_boot(&server, user_data, rented.id)?)?;
    Ok((server, rented.id))
}

/// What the member makes of its user data: its own Python is run, and what it would install becomes a file for `wg-quick`,
/// because there may be no WireGuard in this kernel.
fn first_boot(server: &Server, user_data: &str, instance: u64) -> Result<String> {
    let host = server.host();
    let user_data = &opened(host, user_data)?;
    for (name, path) in [("group.secret", "group.secret"), ("member.py", "member.py"), ("boothook", "member.boothook")]
    {
        let text = between(user_data, &format!("cat >/etc/hetznat/{path} <<'END-OF-MEMBER'\n"), "\nEND-OF-MEMBER\n")?;
        fs::write(host.directory().join(name), format!("{text}\n"))?;
    }
    let (_, call) = user_data.rsplit_once("/etc/hetznat/group.secret ").context("the call of member.py")?;
    let range: Vec<&str> = call.split_whitespace().take(2).collect();
    let path = |name: &str| host.directory().join(name).display().to_string();
    let (script, secret, template) = (path("member.py"), path("group.secret"), path("boothook"));
    let words = ["python3", "-I", &script, &secret, range[0], range[1], &template, &instance.to_string()];
    let boothook = host.run(&words)?;

    let conf = between(&boothook, "cat >/etc/hetznat/conf <<'END'\n", "END\n")?;
    let value = |key: &str| {
        let line = conf.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.with_context(|| format!("{key} in {conf}"))
    };
    let key = between(&boothook, "cat >/etc/hetznat/wg.key <<'END'\n", "\nEND\n")?;
    let (ipv4, mtu, pool6, gateway) = (value("IPV4")?, value("MTU")?, value("POOL6")?, value("GATEWAY")?);
    Ok(format!(
        "[Interface]\nPrivateKey = {key}\nListenPort = {}\nAddress = {ipv4}/32\nMTU = {mtu}\nTable = off\n\
         PostUp = ip -6 route replace {pool6} dev %i; ip -6 route replace {gateway}/128 dev %i\n\
         PostUp = ip -4 route replace default dev %i src {ipv4}\n\
         [Peer]\nPublicKey = {}\nAllowedIPs = {}\n",
        value("PORT")?,
        value("PEER")?,
        value("ALLOWED")?,
    ))
}

/// What is in user data that is compressed.
fn opened(host: &Host, user_data: &str) -> Result<String> {
    let file = host.directory().join("user-data");
    fs::write(&file, user_data)?;
    host.script(&format!("base64 -d {} | gunzip", file.display()))
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Result<&'t str> {
    let found = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    found.map(|(found, _)| found).with_context(|| format!("{start:?} and {end:?}"))
}

#[test]
fn servers_with_the_same_user_data_all_have_ipv4_and_a_label_alone_lets_nobody_in() {
    on_site(|site| {
        let (hetzner, user_data) = with_group(site)?;
        let mut workers = Vec::new();
        for name in ["worker-a", "worker-b", "worker-c"] {
            workers.push(rent(site, &hetzner, name, &user_data)?);
        }
        // Another group of the same gateway, which only the label says this one is of.
        let guessed = site.terraform.output_entry("group", "others")?;
        let (stranger, _) = rent(site, &hetzner, "stranger", &guessed)?;

        site.start_translator_with(&hetzner)?;

        for (worker, _) in &workers {
            worker.wait_for_tunnel(TUNNEL_LIMIT)?;
            worker.curl(PAGE)?;
            worker.curl(LITERAL)?;
        }
        assert_eq!(stranger.latest_handshake()?, None, "it has the label and not the secret");
        assert!(!stranger.reaches(PAGE)?);

        let (gone, id) = &workers[0];
        hetzner.ask(&site.lab.internet6, "DELETE", &format!("/servers/{id}"), &Value::Null)?;
        wait::until("its tunnel to be gone", POLLS, || {
            let status = site.translator()?.status()?;
            Ok((status["datapath"]["peers"].as_array().map(Vec::len) == Some(3)).then_some(()))
        })?;
        assert!(!gone.reaches(PAGE)?);
        Ok(())
    });
}

#[test]
fn a_rotated_secret_disturbs_no_member_until_the_old_one_is_refused() {
    on_site(|site| {
        let (hetzner, user_data) = with_group(site)?;
        let (old, _) = rent(site, &hetzner, "old", &user_data)?;
        site.start_translator_with(&hetzner)?;
        old.wait_for_tunnel(TUNNEL_LIMIT)?;
        let handshake = old.latest_handshake()?;

        let rotated = set_group(site, json!({ "rotate": { "year": "2027" } }))?;
        assert_ne!(rotated, user_data);
        let (new, _) = rent(site, &hetzner, "new", &rotated)?;
        new.wait_for_tunnel(POLLS)?;
        new.curl(PAGE)?;
        old.curl(PAGE)?;
        assert_eq!(old.latest_handshake()?, handshake, "its session was left alone");

        // Nothing is known of who has which secret after a restart; it is found out.
        site.stop_translator()?;
        site.start_translator_with(&hetzner)?;
        wait::until("the old member to be back", POLLS, || Ok(old.reaches(PAGE)?.then_some(())))?;

        set_group(site, json!({ "rotate": { "year": "2027" }, "accept_previous": false }))?;
        wait::until("the old secret to be refused", POLLS, || Ok((!old.reaches(PAGE)?).then_some(())))?;
        new.curl(PAGE)?;
        Ok(())
    });
}
