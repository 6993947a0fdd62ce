//! Words, headers and white space.

use std::path::Path;

use super::Finding;
use super::files::SourceFile;

/// What no file may contain, and why. Written in two halves, so that this file does not break its own rule.
const FORBIDDEN: [(&str, &str, Where, &str); 7] = [
    ("TO", "DO", Where::Text, "finish it or open an issue"),
    ("FIX", "ME", Where::Text, "finish it or open an issue"),
    ("todo", "!(", Where::Rust, "finish it"),
    ("unimpl", "emented!(", Where::Rust, "finish it"),
    ("#[ign", "ore", Where::Rust, "every test runs; mend it or delete it"),
    ("/wo", "rk/", Where::Text, "a path of one machine"),
    ("/ro", "ot/", Where::Text, "a path of one machine"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Rust,
    Text,
}

/// Forbidden words and white space at the ends of lines.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for (one, other, place, why) in FORBIDDEN {
            let word = format!("{one}{other}");
            if (place == Where::Text || file.is_rust()) && line.contains(&word) {
                findings.push(Finding::new(&file.path, number, format!("{word}: {why}")));
            }
        }
        if line.ends_with([' ', '\t']) && !is_verbatim(file) {
            findings.push(Finding::new(&file.path, number, "white space at the end of the line"));
        }
    }
    findings
}

/// What somebody else wrote to the last blank: a snapshot is what a program printed, the licence is its author's.
fn is_verbatim(file: &SourceFile) -> bool {
    file.has_extension("snap") || file.path == Path::new("LICENSE")
}

/// Every Rust file says first what lives in it.
pub(super) fn header(file: &SourceFile) -> Option<Finding> {
    let told = file.text.starts_with("//! ");
    (!told).then(|| Finding::new(&file.path, 1, "the file does not begin with a `//!` line that says what lives here"))
}

/// What users will notice is written down before it is released.
pub(super) fn changelog(files: &[SourceFile]) -> Option<Finding> {
    let name = Path::new("CHANGELOG.md");
    let file = files.iter().find(|file| file.path == name);
    let told =
        file.is_some_and(|file| file.text.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")));
    (!told).then(|| Finding::new(name, 1, "there is no section `## Unreleased`"))
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::file;
    use super::*;

    #[test]
    fn an_unfinished_thought_is_found_with_its_line() {
        let text = format!("//! A file.\n// {}{}: later\n", "TO", "DO");

        let findings = check(&file("a.rs", &text));

        assert_eq!(findings[0].to_string(), format!("a.rs:2: {}{}: finish it or open an issue", "TO", "DO"));
    }

    #[test]
    fn a_machines_own_path_is_found_in_any_text() {
        let text = format!("see {}{}x\n", "/wo", "rk/");

        assert_eq!(check(&file("README.md", &text)).len(), 1);
    }

    #[test]
    fn blanks_at_the_end_are_found_but_not_in_snapshots() {
        assert_eq!(check(&file("a.md", "text \n")).len(), 1);
        assert_eq!(check(&file("a.snap", "text \n")).len(), 0);
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(header(&file("a.rs", "use std::fs;\n")).is_some());
        assert!(header(&file("a.rs", "//! What lives here.\n")).is_none());
    }

    #[test]
    fn a_changelog_needs_its_unreleased_section() {
        assert!(changelog(&[]).is_some());
        assert!(changelog(&[file("CHANGELOG.md", "# Changes\n\n## 0.1.0\n")]).is_some());
        assert!(changelog(&[file("CHANGELOG.md", "# Changes\n\n## Unreleased\n")]).is_none());
    }
}
