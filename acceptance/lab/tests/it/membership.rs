//! Servers come and go by `terraform apply`, and those that stay do not notice.

use std::fs;
use std::time::{Duration, Instant};

use contract::Document;
use lab::Site;
use lab::site::{TUNNEL_LIMIT, on_site};
use lab::terraform::Plan;
use lab::topology::{LARGE_FILE, LARGE_FILE_SHA256};
use serde_json::json;

const PAGE: &str = "http://web.example/";

#[test]
fn a_second_plan_is_empty() {
    on_site(|site| {
        let web = site.lab.add_server("web")?;
        site.apply(&[&web])?;

        assert_eq!(site.terraform.plan()?, Plan::Empty);
        Ok(())
    });
}

#[test]
fn a_peer_that_is_added_does_not_disturb_a_download_through_another() {
    on_site(|site| {
        site.lab.publish_large_file()?;
        let first = site.with_connected_server("first")?;
        let handshake = first.latest_handshake()?;
        // Taken in slowly until the second server is there, whatever that takes; then as fast as it comes.
        let there = first.host().directory().join("second-is-there");
        let slowly = format!("while [ ! -e {} ]; do head -c 500000; sleep 0.1; done; cat", there.display());
        let script = format!("curl -sS --fail http://web.example/{LARGE_FILE} | {{ {slowly}; }} | sha256sum");
        let mut download = first.host().spawn("download", &["sh", "-c", &script])?;

        let second = site.lab.add_server("second")?;
        site.apply(&[&first, &second])?;
        site.connect(&second)?;
        second.curl(PAGE)?;

        assert_eq!(download.ended()?, None, "the download is still running: it has seen the second server come");
        fs::write(&there, "")?;
        download.wait(Duration::from_secs(60))?;
        assert!(download.log().starts_with(LARGE_FILE_SHA256), "{}", download.log());
        assert_eq!(first.latest_handshake()?, handshake, "the session of the first server was left alone");
        Ok(())
    });
}

#[test]
fn a_peer_that_is_destroyed_loses_access_and_the_other_keeps_it() {
    on_site(|site| {
        let (stays, leaves) = (site.lab.add_server("stays")?, site.lab.add_server("leaves")?);
        site.connect_all(&[&stays, &leaves])?;
        for server in [&stays, &leaves] {
            server.curl(PAGE)?;
        }

        site.apply(&[&stays])?;
        site.translator()?.wait_for_peers(&["stays"])?;

        assert!(!leaves.reaches(PAGE)?, "a destroyed peer has no way out");
        stays.curl(PAGE)?;
        Ok(())
    });
}

#[test]
fn destroy_leaves_an_empty_document_and_no_access() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        web.curl(PAGE)?;

        site.terraform.destroy()?;

        let document = Document::parse(&fs::read(site.lab.document())?)?;
        assert!(document.gateways.is_empty() && document.serial > 0, "{}", document.render());
        site.translator()?.wait_for_document("withdrawn")?;
        assert!(!web.reaches(PAGE)?);
        Ok(())
    });
}

#[test]
fn twenty_peers_are_applied_in_under_ten_seconds() {
    on_site(|site| {
        let servers = (1..=20).map(|n| (format!("server-{n:02}"), json!(format!("2001:db8:1:{n:x}::/64")))).collect();
        site.terraform.set("servers", serde_json::Value::Object(servers))?;

        let start = Instant::now();
        site.terraform.apply()?;
        let took = start.elapsed();

        assert!(took < Duration::from_secs(10), "{took:?}");
        let document = Document::parse(&fs::read(site.lab.document())?)?;
        assert_eq!(document.gateways.values().map(|gateway| gateway.peers.len()).sum::<usize>(), 20);
        assert_eq!(site.terraform.plan()?, Plan::Empty);
        Ok(())
    });
}

#[test]
fn new_keys_by_rotation_reach_the_gateway_and_replace_the_server() {
    on_site(|site: &mut Site| {
        let web = site.with_connected_server("web")?;
        let (before, server) = (site.terraform.wireguard_config("web")?, site.terraform.output_entry("server", "web")?);

        site.terraform.set("rotate", json!({ "keys": "2" }))?;
        site.terraform.apply()?;

        assert_ne!(site.terraform.wireguard_config("web")?, before);
        assert_ne!(site.terraform.output_entry("server", "web")?, server, "another user_data is another server");
        web.stop_wireguard()?;
        site.connect(&web)?;
        web.wait_for_tunnel(TUNNEL_LIMIT)?;
        web.curl(PAGE)?;
        Ok(())
    });
}
