//! Who may depend on whom: arrows between our crates point one way, and pure crates bring no world with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Finding, PURE_CRATES};
use crate::cargo::cargo;

/// Crates that speak to the operating system.
const IMPURE: [&str; 12] =
    ["async_std", "getrandom", "hyper", "libc", "mio", "nix", "rand", "reqwest", "rustix", "smol", "socket2", "tokio"];
/// What the provider may see of ours, beside itself.
const SEEN_BY_PROVIDER: [&str; 3] = ["cloud-init", "contract", "dns64"];

pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, directory) in PURE_CRATES {
        for way in impure(&tree(name)?) {
            let manifest = Path::new(directory).join("Cargo.toml");
            findings.push(Finding::new(manifest, 1, format!("a pure crate reaches the operating system: {way}")));
        }
    }
    findings.extend(provider(root, &metadata()?));
    Ok(findings)
}

/// What ends up in the product with a crate, one a line, with its depth in front: `2memchr`. Always for one target, because
/// what is found must not depend on who looks.
fn tree(name: &str) -> Result<String> {
    let words = ["tree", "--package", name, "--edges", "normal", "--target", "x86_64-unknown-linux-gnu"];
    said(&[&words[..], &["--prefix", "depth", "--format", " {lib}", "--no-dedupe"]].concat())
}

/// The ways to the operating system: `contract -> x25519_dalek -> libc`, once for each that is reached.
fn impure(tree: &str) -> Vec<String> {
    let mut way: Vec<&str> = Vec::new();
    let mut ways = BTreeMap::new();
    for (depth, name) in tree.lines().filter_map(|line| line.split_once(' ')) {
        way.truncate(depth.parse().unwrap_or(0));
        way.push(name);
        if IMPURE.contains(&name) {
            ways.entry(name).or_insert_with(|| way.join(" -> "));
        }
    }
    ways.into_values().collect()
}

fn metadata() -> Result<Value> {
    serde_json::from_str(&said(&["metadata", "--format-version", "1", "--no-deps"])?).context("cargo metadata")
}

fn said(words: &[&str]) -> Result<String> {
    let output = cargo(words).output().with_context(|| format!("cargo {}", words[0]))?;
    ensure!(output.status.success(), "cargo {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Of our crates, the provider's see [`SEEN_BY_PROVIDER`] and each other.
fn provider(root: &Path, metadata: &Value) -> Vec<Finding> {
    let provider = root.join("provider");
    let own: Vec<_> =
        entries(metadata, "packages").filter(|package| manifest(package).starts_with(&provider)).collect();
    let siblings: BTreeSet<_> = own.iter().map(|package| text(package, "name")).collect();
    let mut findings = Vec::new();
    for package in &own {
        for dependency in entries(package, "dependencies").filter(|dependency| dependency["path"].is_string()) {
            let name = text(dependency, "name");
            if !siblings.contains(name) && !SEEN_BY_PROVIDER.contains(&name) {
                let path = manifest(package).strip_prefix(root).unwrap_or_else(|_| manifest(package));
                findings.push(Finding::new(path, 1, format!("the provider may not depend on {name}")));
            }
        }
    }
    findings
}

fn entries<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn manifest(package: &Value) -> &Path {
    Path::new(text(package, "manifest_path"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pure_crate_brings_is_found_through_others_and_once() {
        let tree = "0 contract\n1 serde\n2 libc\n1 x25519_dalek\n2 libc\n2 rand_core\n3 getrandom\n4 libc\n";

        assert_eq!(impure(tree), ["contract -> x25519_dalek -> rand_core -> getrandom", "contract -> serde -> libc"]);
    }

    #[test]
    fn the_provider_may_not_see_the_translator() {
        let metadata = json!({ "packages": [{
            "name": "tfplugin5", "manifest_path": "/top/provider/tfplugin5/Cargo.toml",
            "dependencies": [{ "name": "nat64", "path": "/top/translator/nat64" }, { "name": "serde" }],
        }] });

        let findings = provider(Path::new("/top"), &metadata);

        assert_eq!(findings[0].to_string(), "provider/tfplugin5/Cargo.toml:1: the provider may not depend on nat64");
        assert_eq!(findings.len(), 1);
    }
}
