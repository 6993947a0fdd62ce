//! docs/benchmarks.md: every section of figures is written by the bench that measures them.

use std::fs;

use anyhow::{Context as _, Result};

use crate::cargo::root;

const PATH: &str = "docs/benchmarks.md";

/// Puts `body` in the place of what stands under `## heading`, which is added at the end if there is none.
pub(super) fn write_section(heading: &str, body: &str) -> Result<()> {
    let path = root().join(PATH);
    let text = fs::read_to_string(&path).with_context(|| PATH.to_owned())?;
    fs::write(&path, with_section(&text, heading, body)).with_context(|| PATH.to_owned())
}

fn with_section(text: &str, heading: &str, body: &str) -> String {
    let title = format!("## {heading}");
    let lines: Vec<_> = text.trim_end().lines().collect();
    let start = lines.iter().position(|line| *line == title);
    let before = &lines[..start.unwrap_or(lines.len())];
    let rest = start.map_or(&[][..], |start| &lines[start + 1..]);
    let after = rest.iter().position(|line| line.starts_with("## ")).map_or(&[][..], |next| &rest[next..]);
    let parts = [before.join("\n"), format!("{title}\n\n{}", body.trim_end()), after.join("\n")];
    let parts: Vec<_> = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty()).collect();
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_its_neighbours_stay() {
        let text = "# Figures\n\nWords.\n\n## One\n\nold\n\n## Two\n\nkept\n";

        assert_eq!(with_section(text, "One", "new\n"), "# Figures\n\nWords.\n\n## One\n\nnew\n\n## Two\n\nkept\n");
    }

    #[test]
    fn a_section_that_is_not_there_comes_last() {
        assert_eq!(with_section("# Figures\n", "One", "new"), "# Figures\n\n## One\n\nnew\n");
    }
}
