//! Where in a document something is wrong, and what.

use std::fmt;

use crate::Name;

/// One thing that is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Invalid {
    /// Where it is.
    pub place: Place,
    /// What it is, and what would be right.
    pub problem: String,
}

/// A place in a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The gateway's name.
    pub gateway: Option<Name>,
    /// The peer's name.
    pub peer: Option<Name>,
    /// The group's name.
    pub group: Option<Name>,
    /// The way from there, as the document writes it: `dns64`, `upstreams`, 0.
    pub path: Vec<Key>,
}

/// One step into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A key of an object.
    Name(&'static str),
    /// An element of a list, counted from 0.
    Index(usize),
}

impl Place {
    pub(crate) fn gateway(name: &Name) -> Self {
        Self { gateway: Some(name.clone()), ..Self::default() }
    }

    pub(crate) fn peer(&self, name: &Name) -> Self {
        Self { gateway: self.gateway.clone(), peer: Some(name.clone()), ..Self::default() }
    }

    pub(crate) fn group(&self, name: &Name) -> Self {
        Self { gateway: self.gateway.clone(), group: Some(name.clone()), ..Self::default() }
    }

    pub(crate) fn key(&self, key: &'static str) -> Self {
        self.then(Key::Name(key))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Key::Index(index))
    }

    pub(crate) fn invalid(&self, problem: impl fmt::Display) -> Invalid {
        Invalid { place: self.clone(), problem: problem.to_string() }
    }

    fn then(&self, key: Key) -> Self {
        let mut place = self.clone();
        place.path.push(key);
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.gateway.as_ref().map(|name| format!("gateway {name}")));
        parts.extend(self.peer.as_ref().map(|name| format!("peer {name}")));
        parts.extend(self.group.as_ref().map(|name| format!("group {name}")));
        let path = self.path.iter().fold(String::new(), |path, key| match key {
            Key::Name(name) if path.is_empty() => (*name).to_owned(),
            Key::Name(name) => format!("{path}.{name}"),
            Key::Index(index) => format!("{path}[{index}]"),
        });
        parts.extend(Some(path).filter(|path| !path.is_empty()));
        f.write_str(&if parts.is_empty() { "document".to_owned() } else { parts.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_the_document() {
        let name: Name = "home".parse().unwrap();

        let place = Place::gateway(&name).key("dns64").key("upstreams").index(1);

        assert_eq!(place.to_string(), "gateway home, dns64.upstreams[1]");
        assert_eq!(Place::default().to_string(), "document");
    }
}
