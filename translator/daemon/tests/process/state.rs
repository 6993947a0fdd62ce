//! State documents on disk.

use std::path::{Path, PathBuf};

use contract::{Document, PrivateKey};
use tempfile::TempDir;

/// A directory with a state document in it.
pub(crate) struct State {
    directory: TempDir,
}

impl State {
    /// With a document of one gateway, `home`, and one peer, `web`.
    pub(crate) fn new() -> Self {
        let state = Self { directory: tempfile::tempdir().unwrap() };
        state.write(&document());
        state
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("state.json")
    }

    /// As the provider writes: a new file, renamed over the old one.
    pub(crate) fn write(&self, document: &Document) {
        let new = self.directory.path().join("state.json.tmp");
        std::fs::write(&new, document.render()).unwrap();
        std::fs::rename(&new, self.path()).unwrap();
    }

    /// As nobody should write: in place, and anything.
    pub(crate) fn scribble(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    /// Makes user 65534 the owner, as of a state directory of systemd's.
    pub(crate) fn give_to_nobody(&self) {
        for path in [self.directory().to_owned(), self.path()] {
            std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
        }
    }

    /// `text` with this directory's name made the same in every run.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.directory.path().to_str().unwrap(), "[DIR]")
    }
}

/// The gateway's key in [`document`].
pub(crate) fn gateway_key() -> PrivateKey {
    PrivateKey::from_random([1; 32])
}

/// A document of one gateway, `home`, and one peer, `web`.
pub(crate) fn document() -> Document {
    let (gateway, peer) = (gateway_key(), PrivateKey::from_random([2; 32]));
    let text = format!(
        r#"{{ "format": 1, "serial": 42, "gateways": {{ "home": {{
            "public_key": "{}", "private_key": "{}", "pool6": "64:ff9b::/96", "mtu": 1412, "keepalive_secs": 25,
            "address6": "fd64:ff9b::1", "ipv4_prefix": "198.18.0.0/16", "owner": "x",
            "peers": {{ "web": {{ "public_key": "{}", "prefix": "2001:db8:1:2::/64", "ipv4": "198.18.0.2",
                                 "endpoint": "[2001:db8:1:2::1]:46464", "owner": "y" }} }} }} }} }}"#,
        gateway.public_key(),
        *gateway.to_base64(),
        peer.public_key(),
    );
    Document::parse(text.as_bytes()).unwrap()
}

/// A document after an edit of its gateway, one serial later.
pub(crate) fn edited(edit: impl FnOnce(&mut contract::Gateway)) -> Document {
    let mut document = document();
    document.serial += 1;
    edit(document.gateways.values_mut().next().unwrap());
    document
}
