//! `cargo xtask tidy`: the rules of this repository that neither compiler nor clippy knows.

mod coverage;
mod dependencies;
mod files;
mod pure;
mod scripts;
mod size;
mod text;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::root;
use files::SourceFile;

/// The crates that do no I/O and know no clock (docs/architecture.md).
const PURE_CRATES: [(&str, &str); 5] = [
    ("contract", "translator/contract"),
    ("packet", "translator/packet"),
    ("nat64", "translator/nat64"),
    ("dns64", "translator/dns64"),
    ("cloud-init", "cloud-init"),
];

/// A rule that is broken somewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: PathBuf,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: impl AsRef<Path>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path.display(), self.line, self.message)
    }
}

pub(crate) fn run() -> Result<ExitCode> {
    let mut findings = check(&root())?;
    findings.sort();
    let mut stdout = io::stdout().lock();
    for finding in &findings {
        writeln!(stdout, "{finding}")?;
    }
    match findings.len() {
        0 => writeln!(stdout, "tidy: nothing to say")?,
        count => writeln!(stdout, "tidy: {count} to mend")?,
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(root: &Path) -> Result<Vec<Finding>> {
    let files = files::read(root)?;
    let mut findings: Vec<_> = files.iter().flat_map(of_one_file).collect();
    findings.extend(size::exceptions(&files));
    findings.extend(text::changelog(&files));
    findings.extend(coverage::check(&files));
    findings.extend(dependencies::check(root)?);
    findings.extend(pure::builds_for_wasm(root)?);
    findings.extend(scripts::terraform_format(root)?);
    Ok(findings)
}

fn of_one_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = text::check(file);
    if file.is_rust() {
        findings.extend(text::header(file));
        findings.extend(size::check(file));
        findings.extend(pure::check(file));
    }
    if scripts::is_shell(file) {
        findings.extend(scripts::syntax(file));
    }
    findings
}
