//! Trust anchors: digests of the keys that are trusted without being signed.

use std::str::FromStr;

use super::DelegationSigner;
use crate::name::{Name, NameError, NameRef};

/// A zone with the digest of a key that signs its keys, as its DS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub zone: Name,
    pub ds: DelegationSigner,
}

/// <https://data.iana.org/root-anchors/root-anchors.xml>: the keys of 2017 and of 2024.
const ROOT: [&str; 2] = [
    ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
];

impl Anchor {
    /// Those of the root.
    pub fn root() -> Vec<Self> {
        ROOT.iter().map(|text| text.parse().expect("IANA's anchors are anchors")).collect()
    }

    /// Whether `name` lies in its zone or below.
    pub fn is_above(&self, name: NameRef<'_>) -> bool {
        name.is_at_or_below(self.zone.as_ref())
    }
}

/// The text is no [`Anchor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not the words of a DS record.
    #[error("is no DS record; write it like: example. DS 12345 13 2 DIGEST")]
    Syntax,
    /// Its first word.
    #[error("its zone is no name: {0}")]
    Zone(#[from] NameError),
}

impl FromStr for Anchor {
    type Err = AnchorError;

    /// RFC 4034 §5.3, with or without TTL and class.
    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let mut words = text.split_whitespace();
        let zone = words.next().ok_or(AnchorError::Syntax)?.parse()?;
        let mut words = words.skip_while(|word| *word == "IN" || word.bytes().all(|byte| byte.is_ascii_digit()));
        if words.next() != Some("DS") {
            return Err(AnchorError::Syntax);
        }
        let mut number = || words.next().and_then(|word| word.parse::<u16>().ok()).ok_or(AnchorError::Syntax);
        let (tag, algorithm, digest_type) = (number()?, number()?, number()?);
        let octet = |number| u8::try_from(number).map_err(|_| AnchorError::Syntax);
        let (algorithm, digest_type) = (octet(algorithm)?, octet(digest_type)?);
        let digest = hex(&words.collect::<String>()).ok_or(AnchorError::Syntax)?;
        let length = match digest_type {
            1 => 20,
            2 => 32,
            4 => 48,
            _ => return Err(AnchorError::Syntax),
        };
        if digest.len() != length {
            return Err(AnchorError::Syntax);
        }
        Ok(Self { zone, ds: DelegationSigner { tag, algorithm, digest_type, digest } })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_ds_records() {
        let anchor: Anchor =
            "signed.example. 3600 IN DS 7 13 1 000102030405060708090a0b0c0d0e0f 10111213".parse().unwrap();

        assert_eq!((anchor.zone.to_string().as_str(), anchor.ds.tag), ("signed.example.", 7));
        assert_eq!(anchor.ds.digest, (0..20).collect::<Vec<u8>>());
        assert_eq!(Anchor::root().len(), 2);
    }

    #[test]
    fn what_is_no_anchor_is_refused() {
        for text in [
            "",
            "example.",
            "example. DNSKEY 257 3 13 AAAA",
            "example. DS 1 13 2 00",
            "example. DS 1 13 3 00",
            "a..b DS 1 13 2 00",
        ] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
    }
}
