//! Where the configuration comes from: the state document, this gateway's part of it, its private key, and the last good
//! copy for when the document is gone or bad.
//!
//! Invariant: a [`Config`] is complete and consistent; its private key is the one that the document's public key asks for.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use contract::{Document, Gateway, MAX_DOCUMENT_BYTES, Name, PrivateKey};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keys;
use crate::last_good::LastGood;

/// What a translator runs on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The serial of the document that it comes from.
    pub(crate) serial: u64,
    pub(crate) gateway: Gateway,
    pub(crate) private_key: PrivateKey,
}

/// Where to look for a [`Config`].
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) state: PathBuf,
    pub(crate) gateway: Name,
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) last_good: Option<LastGood>,
}

impl Source {
    /// Reads the state document.
    ///
    /// # Errors
    /// Whatever is wrong with the document, the gateway in it, or its private key.
    pub(crate) fn load(&self) -> Result<Config, Error> {
        self.config(read_document(&self.state)?, &self.state)
    }

    /// Reads the state document, or the last good copy if the document is gone or bad; with the copy comes the reason.
    ///
    /// # Errors
    /// What is wrong with the document, if there is no good copy. A document that is good but without the gateway is
    /// the author's word: no copy overrules it.
    pub(crate) fn load_or_last_good(&self) -> Result<(Config, Option<Error>), Error> {
        let error = match self.load() {
            Ok(config) => return Ok((config, None)),
            Err(error @ Error::GatewayMissing { .. }) => {
                self.forget();
                return Err(error);
            }
            Err(error) => error,
        };
        let Some(copy) = &self.last_good else { return Err(error) };
        match read_document(copy.path()).and_then(|document| self.config(document, copy.path())) {
            Ok(config) => Ok((config, Some(error))),
            Err(copy_error) => {
                tracing::debug!("no last good copy to start from: {}", copy_error.line());
                Err(error)
            }
        }
    }

    /// Keeps a copy of what works.
    pub(crate) fn remember(&self, config: &Config) {
        let Some(copy) = &self.last_good else { return };
        if let Err(error) = copy.save(&self.gateway, config) {
            tracing::warn!("no last good copy is kept: {}", error.line());
        }
    }

    /// Removes the copy: the author took the gateway away.
    pub(crate) fn forget(&self) {
        let Some(copy) = &self.last_good else { return };
        if let Err(error) = copy.remove() {
            tracing::warn!("the last good copy stays behind: {}", error.line());
        }
    }

    fn config(&self, mut document: Document, path: &Path) -> Result<Config, Error> {
        let Some(gateway) = document.gateways.remove(&self.gateway) else {
            let known = document.gateways.into_keys().collect();
            return Err(Error::GatewayMissing { path: path.to_owned(), gateway: self.gateway.clone(), known });
        };
        let private_key = self.private_key_of(&gateway)?;
        Ok(Config { serial: document.serial, gateway, private_key })
    }

    fn private_key_of(&self, gateway: &Gateway) -> Result<PrivateKey, Error> {
        let expected = gateway.public_key;
        let Some(path) = &self.private_key else {
            let missing = || Error::NoPrivateKey { gateway: self.gateway.clone(), public_key: expected };
            return gateway.private_key.clone().ok_or_else(missing);
        };
        let key = keys::read_file(path)?;
        let found = key.public_key();
        if found == expected {
            Ok(key)
        } else {
            Err(Error::OtherKey { gateway: self.gateway.clone(), path: path.clone(), expected, found })
        }
    }
}

/// Reads a whole document and nothing beyond its greatest size.
///
/// # Errors
/// [`Error::Unreadable`], [`Error::Document`].
pub(crate) fn read_document(path: &Path) -> Result<Document, Error> {
    let limit = u64::try_from(MAX_DOCUMENT_BYTES).expect("a usize fits") + 1;
    // The document may hold the gateway's private key.
    let mut bytes = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|source| Error::Unreadable {
        what: "the state file",
        path: path.to_owned(),
        hint: if source.kind() == ErrorKind::PermissionDenied {
            "make the user that runs this its owner; terraform apply keeps it"
        } else {
            "check the path, or run terraform apply to write it"
        },
        source,
    })?;
    Document::parse(&bytes).map_err(|source| Error::Document { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn source(directory: &Path) -> Source {
        Source {
            state: directory.join("state.json"),
            gateway: "home".parse().unwrap(),
            private_key: None,
            last_good: Some(LastGood::at(directory.join("last-good.json"))),
        }
    }

    fn write(source: &Source, text: &str) {
        std::fs::write(&source.state, text).unwrap();
    }

    #[test]
    fn a_bad_document_gives_way_to_the_last_good_copy() {
        let directory = tempfile::tempdir().unwrap();
        let source = source(directory.path());
        write(&source, &testing::document().render());
        let good = source.load().unwrap();
        source.remember(&good);
        write(&source, "{ \"format\": 1, \"ser");

        let (config, reason) = source.load_or_last_good().unwrap();

        assert_eq!(config, good);
        assert!(matches!(reason, Some(Error::Document { .. })));
    }

    #[test]
    fn without_a_copy_the_document_s_own_error_counts() {
        let directory = tempfile::tempdir().unwrap();
        let source = source(directory.path());

        assert!(matches!(source.load_or_last_good(), Err(Error::Unreadable { .. })));
    }

    #[test]
    fn a_document_without_the_gateway_overrules_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        let source = source(directory.path());
        write(&source, &testing::document().render());
        source.remember(&source.load().unwrap());
        write(&source, &Document::default().render());

        assert!(matches!(source.load_or_last_good(), Err(Error::GatewayMissing { .. })));
        assert!(!directory.path().join("last-good.json").exists());
    }

    #[test]
    fn a_key_file_wins_over_the_document_but_must_belong_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut source = source(directory.path());
        let key = directory.path().join("private.key");
        let public_key = keys::generate_file(&key).unwrap();
        let mut document = testing::document();
        write(&source, &document.render());
        source.private_key = Some(key);

        assert!(matches!(source.load(), Err(Error::OtherKey { .. })));

        let gateway = document.gateways.get_mut(&source.gateway).unwrap();
        (gateway.public_key, gateway.private_key) = (public_key, None);
        write(&source, &document.render());
        assert_eq!(source.load().unwrap().private_key.public_key(), public_key);
        source.private_key = None;
        assert!(matches!(source.load(), Err(Error::NoPrivateKey { .. })));
    }
}
