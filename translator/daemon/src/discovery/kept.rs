//! What was found, on disk: where the servers are while Hetzner cannot be asked after a start.
//!
//! Invariant: like Hetzner's own answers it says where servers are, never who is a peer or by which key. What cannot be read
//! is as good as nothing.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use contract::Name;
use serde::{Deserialize, Serialize};

use super::finder::Servers;
use super::server::Server;
use crate::error::Reason;
use crate::private_file;

const FORMAT: u32 = 1;
/// Ten thousand servers, at some hundred bytes each.
const LARGEST_BYTES: u64 = 8 << 20;

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    answers: Vec<Answer>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    label_selector: String,
    servers: Vec<Server>,
}

/// A file that may hold it; without one, nothing is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Option<PathBuf>);

impl Kept {
    /// At a path of the operator's choice.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(Some(path))
    }

    /// In the directories that systemd gives (`$STATE_DIRECTORY`: a list; the first counts).
    pub(crate) fn in_state_directory(directories: &str, gateway: &Name) -> Self {
        let first = directories.split(':').find(|directory| !directory.is_empty());
        Self(first.map(|directory| Path::new(directory).join(format!("found-{gateway}.json"))))
    }

    /// What was found last; nothing, if there is no file or none that is understood.
    pub(super) fn load(&self) -> Servers {
        let Some(path) = &self.0 else { return Servers::new() };
        match read(path) {
            Ok(servers) => servers,
            Err(reason) => {
                tracing::warn!("where servers were found last is not known: {}: {reason}", path.display());
                Servers::new()
            }
        }
    }

    /// Keeps what was found.
    pub(super) fn save(&self, servers: &Servers) {
        let Some(path) = &self.0 else { return };
        let answer = |(selector, servers): (&contract::LabelSelector, &std::sync::Arc<[Server]>)| Answer {
            label_selector: selector.as_str().to_owned(),
            servers: servers.to_vec(),
        };
        let file = File { format: FORMAT, answers: servers.iter().map(answer).collect() };
        let written =
            serde_json::to_vec(&file).map_err(Into::into).and_then(|bytes| private_file::replace(path, &bytes));
        if let Err(error) = written {
            tracing::warn!("where servers are is not kept for the next start: {}: {}", path.display(), Reason(&error));
        }
    }

    /// Forgets: there is nothing to be found any more.
    pub(super) fn remove(&self) {
        let Some(path) = &self.0 else { return };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!("where servers were found stays behind: {}: {}", path.display(), Reason(&error));
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn read(path: &Path) -> Result<Servers, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Servers::new()),
        Err(error) => return Err(Reason(&error).to_string()),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_BYTES).read_to_end(&mut bytes).map_err(|error| Reason(&error).to_string())?;
    let file: File = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if file.format != FORMAT {
        return Err(format!("format {} is not known to this version", file.format));
    }
    let known = file.answers.into_iter().filter_map(|answer| {
        let selector = answer.label_selector.parse().ok()?;
        Some((selector, answer.servers.into()))
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::discovery::server::tests::server;

    fn servers() -> Servers {
        let found = vec![server(41, "running", "2001:db8:7::/64"), server(42, "off", "2001:db8:8::/64")];
        Servers::from([("a==b".parse().unwrap(), found.into())])
    }

    #[test]
    fn what_was_found_is_kept_in_private_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::in_state_directory(directory.path().to_str().unwrap(), &"home".parse().unwrap());
        assert_eq!(kept.load(), Servers::new());

        kept.save(&servers());

        assert_eq!(kept.load(), servers());
        let path = directory.path().join("found-home.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        kept.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_understood_is_as_good_as_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("found.json");
        let kept = Kept::at(path.clone());
        for text in
            ["", "{", "[]", r#"{"format":2,"answers":[]}"#, r#"{"format":1,"answers":[{"label_selector":"a"}]}"#]
        {
            std::fs::write(&path, text).unwrap();

            assert_eq!(kept.load(), Servers::new(), "{text}");
        }
        // A selector that no document can have is asked for by none.
        std::fs::write(&path, r#"{"format":1,"answers":[{"label_selector":"","servers":[]}]}"#).unwrap();
        assert_eq!(kept.load(), Servers::new());
    }

    #[test]
    fn without_a_file_nothing_is_kept() {
        let kept = Kept::in_state_directory("", &"home".parse().unwrap());

        kept.save(&servers());
        kept.remove();

        assert_eq!(kept.load(), Servers::new());
    }
}
