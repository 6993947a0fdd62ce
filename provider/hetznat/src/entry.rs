//! What all kinds of entries in the document share: a mark of who wrote them, ids, and freshly drawn keys.
//!
//! The mark, a random text, is in the document and in the resource's private data. A resource changes and removes only an
//! entry that carries its mark: so the object that leaves under `create_before_destroy` does not take its successor's entry
//! along, and two Terraform states cannot undo each other's work unnoticed.

use std::borrow::Borrow;
use std::fmt::Write as _;

use contract::{GroupSecret, Name, PrivateKey};
use tfplugin5::{Diagnostic, Diagnostics};

/// A mark of the resource that wrote an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner(String);

impl Owner {
    const LEN: usize = 16;

    /// A mark nobody has.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn draw() -> Result<Self, Diagnostics> {
        let bytes = random::<{ Self::LEN }>()?;
        let mut text = String::with_capacity(2 * Self::LEN);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Ok(Self(text))
    }

    /// The mark that a resource left in its private data.
    pub(crate) fn of_private(private: &[u8]) -> Self {
        Self(String::from_utf8_lossy(private).into_owned())
    }

    /// The mark for the resource's private data.
    pub(crate) fn to_private(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    /// The mark as the document writes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Owner {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A new WireGuard key.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn draw_key() -> Result<PrivateKey, Diagnostics> {
    random().map(PrivateKey::from_random)
}

/// A new secret of a group.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn draw_secret() -> Result<GroupSecret, Diagnostics> {
    random().map(GroupSecret::from_random)
}

/// The id of what hangs on a gateway: `home/web`.
pub(crate) fn full_name(gateway: &Name, name: &Name) -> String {
    format!("{gateway}/{name}")
}

/// Takes a [`full_name`] apart.
///
/// # Errors
/// It is none of a `kind`.
pub(crate) fn parse_id(kind: &str, id: &str) -> Result<(Name, Name), Diagnostics> {
    let parsed = id.split_once('/').and_then(|(gateway, name)| Some((gateway.parse().ok()?, name.parse().ok()?)));
    parsed.ok_or_else(|| {
        let summary = format!(
            "the id of a {kind} is its gateway's name and its own, like home/web, and not \"{}\"",
            id.escape_debug()
        );
        Diagnostic::error(summary).into()
    })
}

/// What is said where a gateway is not in the document.
pub(crate) fn no_gateway(id: &Name) -> Diagnostics {
    let summary = format!("gateway {id} is not in the state document; apply its hetznat_gateway first");
    Diagnostic::error(summary).at("gateway").into()
}

fn random<const N: usize>() -> Result<[u8; N], Diagnostics> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Diagnostic::error(format!("the system has no random numbers to make keys of: {error}")))?;
    Ok(bytes)
}

/// Names for a message.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    let names: Vec<_> = names.map(ToString::to_string).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ_and_survive_private_data() {
        let owner = Owner::draw().unwrap();

        assert_ne!(owner, Owner::draw().unwrap());
        assert_eq!(Owner::of_private(&owner.to_private()), owner);
        assert_eq!(owner.as_str().len(), 32);
    }
}
