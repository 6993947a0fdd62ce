//! A translator's life on the Pi: its key, its memory, its restarts, and that it leaves nothing behind.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::binaries::{TRANSLATOR, built};
use lab::site::on_site;
use lab::{Host, wait};
use serde_json::json;

const PAGE: &str = "http://web.example/";
const RESIDENT_LIMIT_KIB: u64 = 40 * 1024;

/// How long the kernel may take to settle: it removes what hangs on an interface in the background.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Everything the kernel keeps about a host's network that a translator could leave behind.
pub(crate) fn network_of(host: &Host) -> Result<Vec<String>> {
    let text = host.script(
        "ip address; ip route show table all; ip -6 route show table all; ip rule; ip -6 rule; nft list ruleset
         grep '' /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_local_reserved_ports /proc/sys/net/ipv6/conf/all/forwarding; ss -lnu",
    )?;
    // The remaining life of an address counts down by itself.
    Ok(text.lines().filter(|line| !line.contains("valid_lft")).map(str::to_owned).collect())
}

/// The host's network becomes what it was before.
pub(crate) fn check_network_is(host: &Host, before: &[String]) -> Result<()> {
    let settled = wait::until("the network to be as before", SETTLE_LIMIT, || {
        let now = network_of(host)?;
        let more: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
        let less: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
        ensure!(more.is_empty() && less.is_empty(), "too much: {more:#?}, missing: {less:#?}");
        Ok(Some(()))
    });
    settled.map(|_| ())
}

#[test]
fn a_key_made_on_the_pi_stays_on_the_pi() {
    on_site(|site| {
        let key = site.lab.pi.directory().join("private.key");
        let key = key.to_str().unwrap();
        let public = site.lab.pi.run(&[built(TRANSLATOR)?.to_str().unwrap(), "keygen", "--out", key])?;
        site.terraform.set("gateway_public_key", json!(public.trim()))?;
        let web = site.lab.add_server("web")?;

        site.apply(&[&web])?;
        site.start_translator(&["--private-key", key])?;
        site.connect(&web)?;

        web.curl(PAGE)?;
        let private = fs::read_to_string(key)?;
        assert!(!fs::read_to_string(site.lab.document())?.contains("private_key"), "the document holds a secret");
        assert!(!fs::read_to_string(site.terraform.directory().join("terraform.tfstate"))?.contains(private.trim()));
        Ok(())
    });
}

#[test]
fn sigterm_leaves_the_pi_as_it_was() {
    on_site(|site| {
        let before = network_of(&site.lab.pi)?;
        let web = site.with_connected_server("web")?;
        web.curl(PAGE)?;
        assert_ne!(network_of(&site.lab.pi)?, before, "the translator shows while it runs");

        let status = site.stop_translator()?;

        assert!(status.success(), "{status}");
        check_network_is(&site.lab.pi, &before)
    });
}

#[test]
fn what_a_killed_translator_left_behind_is_taken_over_by_the_next() {
    on_site(|site| {
        // Whether forwarding was on before is the one thing that a killed translator takes with it.
        site.lab.pi.script("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        let before = network_of(&site.lab.pi)?;
        let web = site.with_connected_server("web")?;
        site.kill_translator()?;

        site.start_translator(&[])?;
        wait::until("the way out after a restart", Duration::from_secs(30), || Ok(web.reaches(PAGE)?.then_some(())))?;

        assert!(site.stop_translator()?.success());
        check_network_is(&site.lab.pi, &before)
    });
}

#[test]
fn the_tunnels_come_back_after_a_restart() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        web.curl(PAGE)?;
        assert!(site.stop_translator()?.success());
        assert!(!web.reaches(PAGE)?, "without a translator there is no way out");

        site.start_translator(&[])?;

        wait::until("the way out after a restart", Duration::from_secs(30), || Ok(web.reaches(PAGE)?.then_some(())))?;
        Ok(())
    });
}

#[test]
fn a_translator_starts_from_its_last_good_copy_when_the_document_is_bad() {
    on_site(|site| {
        let copy = site.lab.pi.directory().join("last-good.json");
        let copy = ["--last-good", copy.to_str().unwrap()];
        let web = site.lab.add_server("web")?;
        site.apply(&[&web])?;
        site.start_translator(&copy)?;
        site.stop_translator()?;
        fs::write(site.lab.document(), "{")?;

        site.start_translator(&copy)?;
        site.connect(&web)?;

        web.curl(PAGE)?;
        site.translator()?.wait_for_document("refused")?;
        Ok(())
    });
}

#[test]
fn an_idle_translator_needs_less_than_forty_mebibytes() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        web.curl(PAGE)?;

        let resident = site.translator()?.resident_kib()?;

        assert!(resident < RESIDENT_LIMIT_KIB, "{resident} KiB");
        Ok(())
    });
}
