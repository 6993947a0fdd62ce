//! WireGuard keys (X25519, RFC 7748). A private key is wiped when dropped and never printed by `Debug`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::text::serde_as_text;

const KEY_LEN: usize = 32;
const TEXT_LEN: usize = 44;

/// A WireGuard public key; written as 44 characters of standard base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; KEY_LEN]);

impl PublicKey {
    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(*decode(text)?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

serde_as_text!(PublicKey);

/// A WireGuard private key. Its memory is wiped when it is dropped; it has neither `Display` nor `Copy`.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<[u8; KEY_LEN]>);

impl PrivateKey {
    /// The key made from 32 bytes of a cryptographically secure random source, clamped as RFC 7748 §5 asks.
    pub fn from_random(mut random: [u8; KEY_LEN]) -> Self {
        let mut key = Zeroizing::new(random);
        random.zeroize();
        key[0] &= 0xf8;
        key[31] = key[31] & 0x7f | 0x40;
        Self(key)
    }

    /// The public half of the pair.
    pub fn public_key(&self) -> PublicKey {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The key as `wg` writes it, in a string that is wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.0))
    }
}

impl FromStr for PrivateKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(decode(text)?))
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        is_same_secret(&self.0, &other.0)
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// The text is no key. Never repeats the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 44 characters.
    #[error(
        "a WireGuard key has 44 characters, this has {0}; copy the whole line that `wg genkey` or `wg pubkey` prints"
    )]
    Length(usize),
    /// 44 characters that are not the base64 of 32 bytes.
    #[error("a WireGuard key is the base64 of 32 bytes, this is not; copy what `wg genkey` or `wg pubkey` prints")]
    Base64,
    /// 32 zero bytes: what an unset key looks like.
    #[error("the key is all zeros, which is an unset key; make one with `wg genkey`")]
    Zero,
}

/// Without an early exit: the time of a comparison must not tell how many bytes agree.
pub(crate) fn is_same_secret<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyError> {
    if text.len() != TEXT_LEN {
        return Err(KeyError::Length(text.chars().count()));
    }
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| KeyError::Base64)?);
    let key: [u8; KEY_LEN] = bytes.as_slice().try_into().map_err(|_| KeyError::Base64)?;
    if key == [0; KEY_LEN] {
        return Err(KeyError::Zero);
    }
    Ok(Zeroizing::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7748 §6.1: Alice's pair.
    const ALICE_PRIVATE: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    const ALICE_PUBLIC: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

    #[test]
    fn public_key_of_rfc_7748_section_6_1() {
        let private: PrivateKey = ALICE_PRIVATE.parse().unwrap();

        assert_eq!(private.public_key().to_string(), ALICE_PUBLIC);
        assert_eq!(*private.to_base64(), ALICE_PRIVATE);
    }

    #[test]
    fn random_bytes_are_clamped() {
        let key = PrivateKey::from_random([0xff; 32]);

        assert_eq!((key.as_bytes()[0], key.as_bytes()[31]), (0xf8, 0x7f));
        assert_eq!(PrivateKey::from_random([0; 32]).as_bytes()[31], 0x40);
    }

    #[test]
    fn debug_of_a_private_key_shows_nothing() {
        let key: PrivateKey = ALICE_PRIVATE.parse().unwrap();

        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }

    #[test]
    fn malformed_keys_are_told_apart() {
        let error = |text: &str| text.parse::<PublicKey>().unwrap_err();

        assert_eq!(error(""), KeyError::Length(0));
        assert_eq!(error(&ALICE_PUBLIC[1..]), KeyError::Length(43));
        assert_eq!(error(&ALICE_PUBLIC.replace('=', "!")), KeyError::Base64);
        // 33 bytes also take 44 characters.
        assert_eq!(error(&"A".repeat(44)), KeyError::Base64);
        // Bits after the last byte must be zero, or two texts would name one key.
        assert_eq!(error(&ALICE_PUBLIC.replace("mo=", "mp=")), KeyError::Base64);
        assert_eq!(error(&format!("{}=", "A".repeat(43))), KeyError::Zero);
    }
}
