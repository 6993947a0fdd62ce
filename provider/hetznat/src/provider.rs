//! The `provider` block: where the state document is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use contract::{Document, Key};
use tfplugin5::{Attr, Diagnostic, Diagnostics, Path, Provider, Resources, Step, model, optional};

use crate::entry::Owner;
use crate::gateway::{Gateway, attribute};
use crate::peer::Peer;
use crate::peer_group::PeerGroup;
use crate::store::{EditError, Ledger};

model! {
    /// Connects IPv6-only servers to the IPv4 internet through a gateway at home.
    pub(crate) struct Config {
        /// The file that holds the state document, which `hetznat-translator` reads. Default: the environment variable
        /// `HETZNAT_STATE`.
        state: String = optional(),
    }
}

/// The provider.
pub(crate) struct Hetznat;

impl Provider for Hetznat {
    type Config = Config;
    type Client = Client;

    fn configure(config: Config) -> Result<Option<Client>, Diagnostics> {
        let path = match config.state {
            Attr::Unknown => return Ok(None),
            Attr::Known(path) => Some(path),
            Attr::Null => std::env::var("HETZNAT_STATE").ok(),
        };
        match path.filter(|path| !path.is_empty()) {
            Some(path) => Ok(Some(Client::new(Ledger::open(path)))),
            None => Err(Diagnostic::error(
                "no state file: set state to the path of the document that hetznat-translator reads, or HETZNAT_STATE",
            )
            .at("state")
            .into()),
        }
    }

    fn resources() -> Resources<Client> {
        Resources::new().with::<Gateway>().with::<Peer>().with::<PeerGroup>()
    }
}

/// What the resources work with: the document, and what this process has put into it.
pub(crate) struct Client {
    pub(crate) ledger: Ledger,
    created: Mutex<BTreeSet<Owner>>,
}

impl Client {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger, created: Mutex::default() }
    }

    /// The document as this process knows it.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) async fn document(&self) -> Result<Arc<Document>, Diagnostics> {
        self.ledger.read().await.map_err(|error| Diagnostic::error(error.to_string()).into())
    }

    /// Changes the document. `edit` may run more than once.
    ///
    /// # Errors
    /// What `edit` says, each problem of the resulting document at its attribute, or why the document cannot be stored.
    pub(crate) async fn edit<R: Send + 'static>(
        &self,
        edit: impl FnMut(&mut Document) -> Result<R, Diagnostics> + Send + 'static,
    ) -> Result<R, Diagnostics> {
        self.ledger.edit(edit).await.map_err(|error| match error {
            EditError::Refused(diagnostics) => diagnostics,
            EditError::Invalid(invalid) => diagnose(&invalid),
            EditError::Store(error) => Diagnostic::error(error.to_string()).into(),
        })
    }

    /// Remembers that the entries of `owner` were created by this process.
    pub(crate) fn remember(&self, owner: Owner) {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).insert(owner);
    }

    /// Whether an entry with this mark was created by this process.
    pub(crate) fn created(&self, owner: &str) -> bool {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).contains(owner)
    }
}

/// The document's keys are named like the attributes they come from, but for DNS64's policy, which is the whole block.
pub(crate) fn diagnose(invalid: &contract::Invalid) -> Diagnostics {
    let diagnostic = Diagnostic::error(invalid.to_string());
    if invalid.place.path.is_empty() {
        return diagnostic.into();
    }
    let steps = match invalid.place.path.as_slice() {
        [dns64 @ Key::Name("dns64"), Key::Name("policy"), rest @ ..] => {
            [step(dns64)].into_iter().chain(rest.iter().map(in_dns64)).collect()
        }
        path => path.iter().map(step).collect(),
    };
    diagnostic.at_path(Path(steps)).into()
}

fn in_dns64(key: &Key) -> Step {
    match key {
        Key::Name(name) => Step::Attribute(attribute(name).to_owned()),
        Key::Index(_) => step(key),
    }
}

fn step(key: &Key) -> Step {
    match key {
        Key::Name(name) => Step::Attribute((*name).to_owned()),
        Key::Index(index) => Step::Index(i64::try_from(*index).unwrap_or(i64::MAX)),
    }
}
