//! What people get wrong: each is answered with one line that says what to do, and nothing half-made stays behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use lab::binaries::{TRANSLATOR, built};
use lab::site::{Site, on_site};

use crate::life::{check_network_is, network_of};

/// A start of the translator that must fail.
struct Start<'a> {
    /// What stands before the program: how its surroundings differ.
    wrapper: &'a [&'a str],
    /// What follows `run --state DOCUMENT --gateway home`.
    options: &'a [&'a str],
    /// The documented exit code.
    code: i32,
    /// What the one line says.
    says: &'a str,
}

/// Starts the translator on the Pi; checks the code, that it said one line, and that the Pi is as it was.
fn check(site: &Site, document: &str, start: &Start<'_>) -> Result<()> {
    let before = network_of(&site.lab.pi)?;
    let binary = built(TRANSLATOR)?;
    let binary = binary.to_str().context("a path is text")?;
    let control = site.lab.pi.directory().join("other.sock");
    let fixed = [
        binary,
        "run",
        "--state",
        document,
        "--gateway",
        "home",
        "--control",
        control.to_str().context("a path is text")?,
    ];

    let output = site.lab.pi.attempt(&[start.wrapper, &["timeout", "10"], &fixed, start.options].concat())?;

    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(output.status.code(), Some(start.code), "{said}");
    assert!(errors.len() == 1 && errors[0].contains(start.says), "expected {:?} in\n{said}", start.says);
    assert!(said.lines().last() == errors.first().copied(), "the error is the last line:\n{said}");
    assert!(!control.exists(), "the control socket stayed behind");
    check_network_is(&site.lab.pi, &before)
}

/// A site whose document has a gateway without peers; the document's path as text.
fn on_applied_site(test: impl FnOnce(&mut Site, &str) -> Result<()>) {
    on_site(|site| {
        site.apply(&[])?;
        let document = site.lab.document();
        test(site, document.to_str().context("a path is text")?)
    });
}

#[test]
fn a_machine_that_cannot_run_a_translator_is_told_what_it_lacks() {
    on_applied_site(|site, document| {
        let hide_tun = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev/net && exec \"$@\"", "sh"];
        let no_capability = ["setpriv", "--bounding-set", "-net_admin"];
        let starts = [
            Start { wrapper: &hide_tun, options: &[], code: 69, says: "/dev/net/tun is missing" },
            Start { wrapper: &no_capability, options: &[], code: 77, says: "CAP_NET_ADMIN is missing" },
        ];
        starts.iter().try_for_each(|start| check(site, document, start))
    });
}

#[test]
fn a_name_that_is_taken_is_named_and_left_alone() {
    on_applied_site(|site, document| {
        site.lab.pi.run(&["ip", "link", "add", "taken0", "type", "veth", "peer", "name", "taken1"])?;
        let options = ["--tun", "taken0"];

        check(site, document, &Start { wrapper: &[], options: &options, code: 71, says: "taken0 is taken" })
    });
}

#[test]
fn a_second_translator_on_the_same_machine_is_refused_and_the_first_goes_on() {
    on_applied_site(|site, document| {
        site.start_translator(&[])?;
        let options = ["--tun", "other0"];

        check(site, document, &Start { wrapper: &[], options: &options, code: 71, says: "another translator" })?;

        assert_eq!(site.translator()?.document_state()?, "applied");
        Ok(())
    });
}

#[test]
fn a_document_that_cannot_be_used_stops_a_first_start() {
    on_applied_site(|site, document| {
        let good = fs::read_to_string(document)?;
        let variants = [
            (good.replacen("\"format\": 1", "\"format\": 99", 1), 65, "upgrade"),
            (good[..good.len() / 2].to_owned(), 65, "line"),
            (String::new(), 65, document),
            (good.replacen("\"home\"", "\"away\"", 1), 65, "there is no gateway home"),
        ];
        for (text, code, says) in variants {
            let other = site.lab.pi.directory().join("other.json");
            fs::write(&other, text)?;
            fs::set_permissions(&other, fs::Permissions::from_mode(0o600))?;
            let says = if says == document { "other.json" } else { says };
            check(site, other.to_str().unwrap(), &Start { wrapper: &[], options: &[], code, says })?;
        }
        check(site, "/nowhere/state.json", &Start { wrapper: &[], options: &[], code: 66, says: "/nowhere/state.json" })
    });
}

#[test]
fn a_key_that_is_none_or_anothers_is_refused() {
    on_applied_site(|site, document| {
        let (bad, other) = (site.lab.pi.directory().join("bad.key"), site.lab.pi.directory().join("other.key"));
        fs::write(&bad, "not a key\n")?;
        site.lab.pi.script(&format!("umask 077; wg genkey >{}", other.display()))?;

        for (file, says) in [(&bad, "bad.key"), (&other, "the state document expects the public key")] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
            let options = ["--private-key", file.to_str().context("a path is text")?];
            check(site, document, &Start { wrapper: &[], options: &options, code: 65, says })?;
        }
        Ok(())
    });
}

#[test]
fn an_unknown_option_is_answered_with_where_to_read_on() {
    on_applied_site(|site, document| {
        let options = ["--gatewya", "home"];

        check(site, document, &Start { wrapper: &[], options: &options, code: 64, says: "--gatewya" })
    });
}

#[test]
fn a_wrong_value_in_the_configuration_is_pointed_at_before_anything_is_made() {
    on_site(|site| {
        let peer = |attributes: &str| {
            format!("resource \"hetznat_peer\" \"wrong\" {{\n  gateway = hetznat_gateway.home.link\n{attributes}}}\n")
        };
        let good_gateway = "resource \"hetznat_gateway\" \"home\" {\n  name = \"home\"\n}\n";
        let wrong = [
            (peer("  name = \"web\"\n  endpoint = \"203.0.112.80\"\n"), "endpoint = \"203.0.112.80\""),
            (peer("  name = \"Web_1\"\n  endpoint = \"2001:db8::1\"\n"), "name = \"Web_1\""),
            (peer("  name = \"web\"\n  endpoint = \"fe80::1\"\n"), "endpoint = \"fe80::1\""),
            (
                peer("  name = \"web\"\n  endpoint = \"2001:db8::1\"\n  prefix = \"2001:db8::/56\"\n"),
                "prefix = \"2001:db8::/56\"",
            ),
            (format!("{}  public_key = \"short\"\n}}\n", gateway("other")), "public_key = \"short\""),
            (format!("{}  pool6 = \"64:ff9b::/100\"\n}}\n", gateway("other")), "pool6 = \"64:ff9b::/100\""),
        ];
        for (text, pointed_at) in wrong {
            site.terraform.write("main.tf", &format!("{PROVIDER}{good_gateway}{text}"))?;
            let error = site.terraform.run(&["validate", "-no-color"]).unwrap_err().to_string();

            assert!(error.contains("Error: ") && error.contains(pointed_at), "{pointed_at}: {error}");
        }
        assert!(!site.lab.document().exists(), "nothing was written");
        Ok(())
    });
}

const PROVIDER: &str = "terraform {\n  required_providers {\n    hetznat = { source = \"hetznat/hetznat\" }\n  }\n}\n";

/// The beginning of a gateway, open for one more attribute.
fn gateway(name: &str) -> String {
    format!("resource \"hetznat_gateway\" \"{name}\" {{\n  name = \"{name}\"\n")
}
