//! Domain names in wire form, without compression (RFC 1035 §3.1), compared without regard to case.
//!
//! Invariant: the bytes of a [`Name`] and of a [`NameRef`] are labels of 1 to 63 octets and the root at the end, 255
//! octets at most.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// RFC 1035 §2.3.4, in octets.
pub const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// A name that somebody else holds.
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

/// A name.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

impl<'a> NameRef<'a> {
    /// The root.
    pub const ROOT: Self = Self(&[0]);

    /// The uncompressed name that `bytes` begin with; `None` if they begin with none.
    pub fn at_start_of(bytes: &'a [u8]) -> Option<Self> {
        let mut end = 0;
        loop {
            match usize::from(*bytes.get(end)?) {
                0 if end < MAX_NAME => return Some(Self(&bytes[..=end])),
                0 => return None,
                length if length <= MAX_LABEL => end += length + 1,
                _pointer => return None,
            }
        }
    }

    /// Bytes that are known to be a name.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        debug_assert!(Self::at_start_of(bytes).is_some_and(|name| name.0.len() == bytes.len()));
        Self(bytes)
    }

    /// In wire form.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is the root.
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// How many labels it has; the root's is not counted.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// Its labels, the leftmost first, without the root's.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        self.suffixes().map_while(Self::first_label)
    }

    /// The name itself, its parent, and so on to the root.
    pub fn suffixes(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |name| name.parent())
    }

    /// `None` for the root.
    pub fn parent(self) -> Option<Self> {
        let label = self.first_label()?;
        Some(Self(&self.0[label.len() + 1..]))
    }

    /// `None` for the root.
    pub fn first_label(self) -> Option<&'a [u8]> {
        match usize::from(self.0[0]) {
            0 => None,
            length => Some(&self.0[1..=length]),
        }
    }

    /// Whether it is `ancestor` or a name below.
    pub fn is_at_or_below(self, ancestor: NameRef<'_>) -> bool {
        let Some(surplus) = self.0.len().checked_sub(ancestor.0.len()) else { return false };
        // The tail may start inside a label; then it is no suffix.
        self.0[surplus..].eq_ignore_ascii_case(ancestor.0)
            && self.suffixes().any(|suffix| suffix.0.len() == ancestor.0.len())
    }

    /// The suffix of `count` labels; the name itself if it has fewer.
    pub fn last_labels(self, count: usize) -> Self {
        let surplus = self.label_count().saturating_sub(count);
        self.suffixes().nth(surplus).unwrap_or(self)
    }

    /// A copy to keep.
    pub fn to_name(self) -> Name {
        Name(self.0.into())
    }

    /// A copy in lower case: RFC 4034 §6.2's canonical form.
    pub fn to_lower(self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// RFC 4034 §6.1: by label from the right, as lower-case octets.
    pub fn canonical_cmp(self, other: NameRef<'_>) -> std::cmp::Ordering {
        let mut ours: Vec<_> = self.labels().collect();
        let mut theirs: Vec<_> = other.labels().collect();
        loop {
            match (ours.pop(), theirs.pop()) {
                (None, None) => return std::cmp::Ordering::Equal,
                (None, Some(_)) => return std::cmp::Ordering::Less,
                (Some(_), None) => return std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => {
                    let order = a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
                    if order.is_ne() {
                        return order;
                    }
                }
            }
        }
    }
}

impl Name {
    /// Borrows it.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }

    /// `label` in front of `parent`; `None` if that is no name.
    pub fn child(label: &[u8], parent: NameRef<'_>) -> Option<Self> {
        let whole = label.len() + 1 + parent.0.len();
        if label.is_empty() || label.len() > MAX_LABEL || whole > MAX_NAME {
            return None;
        }
        let mut bytes = Vec::with_capacity(whole);
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label);
        bytes.extend_from_slice(parent.0);
        Some(Self(bytes.into()))
    }

    /// A name of labels that are known to be good, like `&["ipv4only", "arpa"]`.
    pub(crate) fn of(labels: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for label in labels {
            debug_assert!((1..=MAX_LABEL).contains(&label.len()));
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        debug_assert!(bytes.len() <= MAX_NAME);
        Self(bytes.into())
    }

    pub(crate) fn from_wire(bytes: Vec<u8>) -> Self {
        debug_assert!(NameRef::at_start_of(&bytes).is_some_and(|name| name.0.len() == bytes.len()));
        Self(bytes.into())
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        // A label's length is below any letter, so comparing without case cannot mix them up.
        self.0.eq_ignore_ascii_case(other.0)
    }
}
impl Eq for NameRef<'_> {}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}
impl Eq for Name {}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for byte in &self.0 {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, a dot in front, or nothing at all.
    #[error("a label is empty; write a name like example.com or . for the root")]
    EmptyLabel,
    /// RFC 1035 §2.3.4.
    #[error("a label is longer than 63 octets")]
    LongLabel,
    /// RFC 1035 §2.3.4.
    #[error("the name is longer than 255 octets")]
    LongName,
    /// RFC 1035 §5.1.
    #[error("a backslash is followed by neither three digits up to 255 nor another character")]
    Escape,
}

impl FromStr for Name {
    type Err = NameError;

    /// RFC 1035 §5.1; always absolute, with or without the dot at the end.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(NameRef::ROOT.to_name());
        }
        let mut wire = Vec::new();
        let mut label = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, behind @ ..] = rest {
            rest = behind;
            match *first {
                b'.' => push_label(&mut wire, &mut label)?,
                b'\\' => label.push(unescape(&mut rest)?),
                byte => label.push(byte),
            }
        }
        if !label.is_empty() || wire.is_empty() {
            push_label(&mut wire, &mut label)?;
        }
        wire.push(0);
        if wire.len() > MAX_NAME { Err(NameError::LongName) } else { Ok(Self(wire.into())) }
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    match label.len() {
        0 => return Err(NameError::EmptyLabel),
        1..=MAX_LABEL => {}
        _ => return Err(NameError::LongLabel),
    }
    wire.push(label.len() as u8);
    wire.append(label);
    if wire.len() > MAX_NAME { Err(NameError::LongName) } else { Ok(()) }
}

fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    let (byte, behind) = match *rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..] => {
            let value = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            (u8::try_from(value).map_err(|_| NameError::Escape)?, behind)
        }
        [b'0'..=b'9', ..] | [] => return Err(NameError::Escape),
        [byte, behind @ ..] => (*byte, behind),
    };
    *rest = behind;
    Ok(byte)
}

/// A set of names with everything below each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subtrees(std::collections::BTreeSet<LowerBytes>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LowerBytes(Box<[u8]>);

impl Borrow<[u8]> for LowerBytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Subtrees {
    pub(crate) fn insert(&mut self, name: NameRef<'_>) {
        self.0.insert(LowerBytes(name.to_lower().0));
    }

    pub(crate) fn contain(&self, name: NameRef<'_>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let lower = name.to_lower();
        lower.as_ref().suffixes().any(|suffix| self.0.contains(suffix.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_becomes_labels_and_back() {
        for text in [".", "example.", "a\\.b.example.", "\\000\\255.x.", "xn--bcher-kva.example."] {
            assert_eq!(name(text).to_string(), text);
        }
        assert_eq!(name("example.com").to_string(), "example.com.");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        let longest = vec!["abcdefgh"; 29].join(".");
        for text in ["", "..", ".a", "a..b", "a\\", "a\\25", "a\\256", long.as_str(), longest.as_str()] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_subdomain_ends_at_a_label_and_case_does_not_count() {
        let zone = name("Broken.example.");

        assert!(name("a.broken.EXAMPLE").as_ref().is_at_or_below(zone.as_ref()));
        assert!(name("broken.example").as_ref().is_at_or_below(zone.as_ref()));
        assert!(!name("notbroken.example").as_ref().is_at_or_below(zone.as_ref()));
        assert!(!name("example").as_ref().is_at_or_below(zone.as_ref()));
        assert!(zone.as_ref().is_at_or_below(NameRef::ROOT));
    }

    #[test]
    fn a_label_that_ends_like_a_wire_name_is_no_subdomain() {
        // The label's last octets are the wire form of "b.": 1, 'b'.
        let tricky = name("x\\001b.");

        assert!(!tricky.as_ref().is_at_or_below(name("b.").as_ref()));
    }

    #[test]
    fn names_sort_as_in_rfc_4034_section_6_1() {
        let sorted = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example."];
        let names = sorted.map(name);

        assert!(names.is_sorted_by(|a, b| a.as_ref().canonical_cmp(b.as_ref()).is_lt()));
    }

    #[test]
    fn subtrees_hold_the_name_and_what_is_below() {
        let mut trees = Subtrees::default();
        trees.insert(name("broken.example").as_ref());

        assert!(trees.contain(name("sub.BROKEN.example").as_ref()));
        assert!(!trees.contain(name("notbroken.example").as_ref()));
    }

    proptest! {
        #[test]
        fn reading_a_name_never_panics_and_stays_inside(bytes: Vec<u8>) {
            if let Some(name) = NameRef::at_start_of(&bytes) {
                prop_assert!(name.as_bytes().len() <= MAX_NAME);
                prop_assert_eq!(name.to_string().parse::<Name>().unwrap(), name.to_name());
            }
        }
    }
}
