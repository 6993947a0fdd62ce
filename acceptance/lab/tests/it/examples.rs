//! Every example under `examples/terraform` is applied as it stands; examples/terraform/README.md says how `hcloud` is stood in for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use contract::{Document, Gateway};
use lab::Terraform;
use lab::site::{Site, on_site};
use lab::terraform::Plan;
use serde_json::{Value, json};

const STAND_INS: &str = "stand-ins";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/terraform")
}

fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(examples())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && name != STAND_INS {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A working directory with one example, its `hcloud` resources stood in for.
fn prepare(site: &Site, name: &str) -> Result<Terraform> {
    let mut terraform = site.lab.terraform(&format!("example-{name}"))?;
    for entry in fs::read_dir(examples().join(name))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|file| file.to_str()).context("an example's file has a name")?;
        let stand_in = examples().join(STAND_INS).join(name).join(file);
        let text = fs::read_to_string(if stand_in.exists() { &stand_in } else { &path })?;
        let text = text.replace("hcloud_primary_ip.", "terraform_data.").replace(".ip_network", ".output.ip_network");
        terraform.write(file, &text)?;
    }
    terraform.set("state", json!(site.lab.document()))?;
    Ok(terraform)
}

#[test]
fn every_example_applies_plans_empty_afterwards_and_is_destroyed_whole() {
    on_site(|site| {
        let names = names()?;
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            let mut terraform = prepare(site, &name)?;
            if name == "existing-server" {
                terraform.set("address", json!("2001:db8:1:2::1"))?;
            }
            terraform.init()?;

            terraform.apply()?;
            let document = Document::parse(&fs::read(site.lab.document())?)?;
            let has_servers = |gateway: &Gateway| !gateway.peers.is_empty() || !gateway.groups.is_empty();
            assert!(document.gateways.values().any(has_servers), "{name}");
            assert_eq!(terraform.plan()?, Plan::Empty, "{name}");

            terraform.destroy()?;
            let document = Document::parse(&fs::read(site.lab.document())?)?;
            assert!(document.gateways.is_empty(), "{name}: {}", document.render());
        }
        Ok(())
    });
}

#[test]
fn a_server_that_exists_already_is_connected_as_the_example_says() {
    on_site(|site| {
        let server = site.lab.add_server("existing")?;
        let mut terraform = prepare(site, "existing-server")?;
        terraform.set("address", json!(server.address()))?;
        terraform.init()?;

        terraform.apply()?;
        site.start_translator(&[])?;
        server.start_wireguard(&terraform.run(&["output", "-raw", "wireguard_config"])?)?;
        server.wait_for_tunnel(lab::site::TUNNEL_LIMIT)?;

        server.curl("http://web.example/")?;
        Ok(())
    });
}

/// What the stand-ins of an example's servers were given, by the addresses of their resources.
fn labels(terraform: &Terraform) -> Result<Vec<Value>> {
    let state: Value = serde_json::from_str(&terraform.run(&["show", "-json"])?)?;
    let resources = state["values"]["root_module"]["resources"].as_array().context("resources")?;
    let servers = resources.iter().filter(|resource| resource["type"] == "terraform_data");
    Ok(servers.map(|server| server["values"]["output"]["labels"].clone()).collect())
}

/// The examples whose servers have no address in Terraform: by the labels that they get there, the gateway finds them.
#[test]
fn servers_of_the_examples_are_found_by_the_labels_that_they_get() {
    for (name, servers) in [("discovery", 2), ("group", 3)] {
        on_site(|site| {
            let terraform = prepare(site, name)?;
            terraform.init()?;
            terraform.apply()?;
            let hetzner = site.lab.start_hetzner()?;
            let labels = labels(&terraform)?;
            let names: Vec<String> = (0..labels.len()).map(|number| format!("{name}-{number}")).collect();
            let wanted: Vec<_> = names.iter().map(String::as_str).zip(labels).collect();
            hetzner.create_servers(&site.lab.internet6, &wanted)?;

            site.start_translator_with(&hetzner)?;

            lab::wait::until("a peer for each server", lab::site::TUNNEL_LIMIT, || {
                let status = site.translator()?.status()?;
                Ok((status["datapath"]["peers"].as_array().map(Vec::len) == Some(servers)).then_some(()))
            })?;
            Ok(())
        });
    }
}
