//! Every example under `examples/terraform` is applied as it stands; examples/terraform/README.md says how `hcloud` is stood in for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use contract::Document;
use lab::Terraform;
use lab::site::{Site, on_site};
use lab::terraform::Plan;
use serde_json::json;

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
        assert!(names.len() >= 3, "{names:?}");
        for name in names {
            let mut terraform = prepare(site, &name)?;
            if name == "existing-server" {
                terraform.set("address", json!("2001:db8:1:2::1"))?;
            }
            terraform.init()?;

            terraform.apply()?;
            let document = Document::parse(&fs::read(site.lab.document())?)?;
            assert!(document.gateways.values().any(|gateway| !gateway.peers.is_empty()), "{name}");
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
