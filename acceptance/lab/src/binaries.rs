//! Where the programs are: ours beside the test, terraform (or tofu) on the PATH.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::host::path;

/// Terraform's side of hetznat.
pub const PROVIDER: &str = "terraform-provider-hetznat";
/// The Pi's side of hetznat.
pub const TRANSLATOR: &str = "hetznat-translator";
/// The stand-in of Hetzner's API.
pub const HETZNER: &str = "hetzner-api";
/// What the benchmarks put through a gateway.
pub const LOAD: &str = "hetznat-load";

/// One of our binaries, from the directory cargo built the running program into.
///
/// # Errors
/// It has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("path of the running program")?;
    // target/debug/xtask, or target/debug/deps/it-0123: the binaries are beside the one, above the other.
    let found = own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built; run `cargo build --workspace` first, or use `cargo xtask`"))
}

/// Terraform, or OpenTofu where that is what the machine has.
#[derive(Debug, Clone)]
pub struct TerraformBinary {
    /// Where it is.
    pub path: PathBuf,
    /// The first line of `version`: `Terraform v1.11.4`.
    pub version: String,
    /// The registry a short source address like `hetznat/hetznat` means.
    pub registry: &'static str,
}

/// Finds the terraform to test with.
///
/// # Errors
/// Neither terraform nor tofu is on the PATH.
pub fn terraform() -> Result<TerraformBinary> {
    for (name, registry) in [("terraform", "registry.terraform.io"), ("tofu", "registry.opentofu.org")] {
        let Some(path) = find(name) else { continue };
        let output = Command::new(&path)
            .arg("version")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .output()
            .with_context(|| path.display().to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.lines().next().unwrap_or_default().to_owned();
        return Ok(TerraformBinary { path, version, registry });
    }
    bail!(
        "neither terraform nor tofu is on the PATH, and Debian packages neither: get Terraform 1.5 or newer from \
         https://developer.hashicorp.com/terraform/install or OpenTofu from https://opentofu.org/docs/intro/install/"
    )
}

/// A program on the PATH or where Debian puts an administrator's.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    path().split(':').map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_was_not_built_is_named_with_the_way_to_build_it() {
        let error = built("hetznat-imaginary").unwrap_err().to_string();

        assert!(error.contains("hetznat-imaginary is not built; run `cargo build"), "{error}");
    }

    #[test]
    fn a_shell_is_found() {
        assert!(find("sh").is_some());
    }
}
