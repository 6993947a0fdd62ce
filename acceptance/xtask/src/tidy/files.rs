//! The text files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Directories whose content is made, not written.
const SKIPPED: [&str; 7] = [".git", ".terraform", "artifacts", "corpus", "crashes", "node_modules", "target"];

/// A text file, by its path below the top.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }

    pub(super) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Whether the whole file is a test: limits for readers of the product do not hold there.
    pub(super) fn is_test(&self) -> bool {
        self.path.file_stem().is_some_and(|stem| stem == "tests")
            || self.path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches")
    }

    /// The lines before the tests, numbered from 1.
    pub(super) fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let whole = if self.is_test() { "" } else { self.text.as_str() };
        // `#[cfg(test)]` on a whole module ends the product; on one item inside it does not.
        let mut lines = whole.lines().enumerate().peekable();
        std::iter::from_fn(move || {
            let (index, line) = lines.next()?;
            let tests_begin = line == "#[cfg(test)]" && lines.peek().is_some_and(|(_, next)| next.starts_with("mod "));
            (!tests_begin).then_some((index + 1, line))
        })
        .fuse()
    }
}

/// Reads every text file below `root`.
pub(super) fn read(root: &Path) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    Ok(files)
}

fn walk(root: &Path, directory: &Path, files: &mut Vec<SourceFile>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            walk(root, &path, files)?;
        }
        // What is not UTF-8 is not text.
        if kind.is_file()
            && let Ok(text) = fs::read_to_string(&path)
        {
            files.push(SourceFile { path: path.strip_prefix(root).unwrap_or(&path).to_owned(), text });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn the_product_ends_where_the_test_module_begins() {
        let file = file("src/a.rs", "one\n#[cfg(test)]\nuse x;\nfour\n#[cfg(test)]\nmod tests {\n");

        let numbers: Vec<_> = file.product_lines().map(|(number, _)| number).collect();

        assert_eq!(numbers, [1, 2, 3, 4]);
    }

    #[test]
    fn a_file_of_tests_has_no_product() {
        assert_eq!(file("lab/tests/it/main.rs", "one\n").product_lines().count(), 0);
    }

    #[test]
    fn made_directories_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        for name in ["target", "src"] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("a.rs"), "text").unwrap();
        }

        let files = read(root.path()).unwrap();

        assert_eq!(files.iter().map(|file| file.path.as_path()).collect::<Vec<_>>(), [Path::new("src/a.rs")]);
    }
}
