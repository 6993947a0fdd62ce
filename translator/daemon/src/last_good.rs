//! The last good configuration on disk: what a translator starts from when the state document is gone or bad.
//!
//! Invariant: the file is whole or absent, readable by its owner alone, and holds one gateway only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use contract::{Document, Name};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::private_file;
use crate::source::Config;

/// A file that may hold a copy.
#[derive(Debug)]
pub(crate) struct LastGood {
    path: PathBuf,
}

impl LastGood {
    /// A copy at a path of the operator's choice.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The copy's place in the directories that systemd gives (`$STATE_DIRECTORY`: a list; the first counts).
    pub(crate) fn in_state_directory(directories: &str, gateway: &Name) -> Option<Self> {
        let first = directories.split(':').find(|directory| !directory.is_empty())?;
        Some(Self { path: Path::new(first).join(format!("last-good-{gateway}.json")) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the copy, unless the file holds it already: a Pi's SD card wears out.
    ///
    /// # Errors
    /// [`Error::Unwritable`]; the file is then as it was.
    pub(crate) fn save(&self, name: &Name, config: &Config) -> Result<(), Error> {
        let gateways = BTreeMap::from([(name.clone(), config.gateway.clone())]);
        let document = Document { serial: config.serial, gateways, other: BTreeMap::new() };
        let text = Zeroizing::new(document.render());
        let present = std::fs::read(&self.path).map(Zeroizing::new);
        if present.is_ok_and(|bytes| *bytes == text.as_bytes()) {
            return Ok(());
        }
        private_file::replace(&self.path, text.as_bytes()).map_err(|source| self.unwritable(source))
    }

    /// Removes the copy; it is no error if there is none.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub(crate) fn remove(&self) -> Result<(), Error> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(self.unwritable(source)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn unwritable(&self, source: io::Error) -> Error {
        Error::Unwritable { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing;

    fn names_in(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_copy_holds_one_gateway_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let copy = LastGood::at(directory.path().join("copy.json"));
        std::fs::write(directory.path().join("copy.json.new"), "left by a killed writer").unwrap();

        copy.save(&"home".parse().unwrap(), &testing::config()).unwrap();

        let bytes = std::fs::read(copy.path()).unwrap();
        let document = Document::parse(&bytes).unwrap();
        assert_eq!(document.gateways.into_values().collect::<Vec<_>>(), [testing::config().gateway]);
        assert_eq!(std::fs::metadata(copy.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names_in(directory.path()), ["copy.json"]);
    }

    #[test]
    fn a_copy_that_cannot_be_written_leaves_nothing() {
        let copy = LastGood::at("/proc/no-such-directory/copy.json".into());

        assert!(matches!(copy.save(&"home".parse().unwrap(), &testing::config()), Err(Error::Unwritable { .. })));
        copy.remove().unwrap();
    }

    #[test]
    fn systemd_may_give_several_directories() {
        let home: Name = "home".parse().unwrap();

        let copy = LastGood::in_state_directory("/var/lib/hetznat:/var/lib/other", &home).unwrap();

        assert_eq!(copy.path(), Path::new("/var/lib/hetznat/last-good-home.json"));
        assert!(LastGood::in_state_directory("", &home).is_none());
    }
}
