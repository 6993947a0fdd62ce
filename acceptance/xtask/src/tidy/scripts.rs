//! Shell scripts parse as POSIX shell, and the examples are formatted as terraform formats them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::Finding;
use super::files::SourceFile;

/// By its name or by its first line.
pub(super) fn is_shell(file: &SourceFile) -> bool {
    file.has_extension("sh")
        || file.text.lines().next().is_some_and(|line| line.starts_with("#!") && line.ends_with("sh"))
}

/// `dash -n`: Debian's `sh`, which knows nothing but POSIX.
pub(super) fn syntax(file: &SourceFile) -> Option<Finding> {
    match parse(&file.text) {
        Ok(None) => None,
        Ok(Some(error)) => {
            Some(Finding::new(&file.path, line_of(&error), format!("not POSIX shell: {}", error.trim())))
        }
        Err(error) => Some(Finding::new(&file.path, 1, format!("could not be checked: {error:#}"))),
    }
}

fn parse(script: &str) -> Result<Option<String>> {
    let mut dash = Command::new("dash")
        .args(["-n", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("dash (package dash)")?;
    dash.stdin.take().context("dash's stdin is a pipe")?.write_all(script.as_bytes())?;
    let output = dash.wait_with_output()?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Dash says `/dev/stdin: 3: Syntax error: …`.
fn line_of(error: &str) -> usize {
    error.split(": ").nth(1).and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// `terraform fmt`, where there is a terraform.
pub(super) fn terraform_format(root: &Path) -> Result<Vec<Finding>> {
    let Ok(terraform) = lab::binaries::terraform() else { return Ok(Vec::new()) };
    let mut command = Command::new(terraform.path);
    command.args(["fmt", "-check", "-recursive", "examples"]).current_dir(root).env("TF_CLI_CONFIG_FILE", "/dev/null");
    let output = command.output().context("terraform fmt")?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let unformatted =
        said.lines().map(|path| Finding::new(path, 1, "not formatted: run `terraform fmt -recursive examples`"));
    let broken = complaint.lines().find(|line| line.contains("Error:"));
    Ok(unformatted.chain(broken.map(|line| Finding::new("examples", 1, format!("terraform fmt: {line}")))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::file;
    use super::*;

    #[test]
    fn a_script_that_is_not_posix_is_found_at_its_line() {
        let finding = syntax(&file("a.sh", "#!/bin/sh\nif true; then\n  echo }\nfi fi\n")).unwrap();

        assert_eq!((finding.line, finding.path.as_path()), (4, Path::new("a.sh")));
    }

    #[test]
    fn a_script_that_parses_is_no_finding() {
        assert_eq!(syntax(&file("a.sh", "set -eu\necho \"$1\"\n")), None);
    }

    #[test]
    fn scripts_are_known_by_name_or_first_line() {
        assert!(is_shell(&file("a.sh", "")) && is_shell(&file(".ci/run", "#!/bin/sh\n")));
        assert!(!is_shell(&file("a.py", "#!/usr/bin/python3\n")));
    }
}
