//! DNSSEC (RFC 4034, RFC 4035, RFC 5155): whether records are what their zone signed, and whether it says that others do
//! not exist. Whoever asks brings the keys, the time and the arithmetic.
//!
//! Invariant: nothing here makes an answer more trusted than a signature does; what cannot be proven is not.

mod anchor;
mod denial;
mod key;
mod nsec;
mod nsec3;
mod signature;

pub use anchor::{Anchor, AnchorError};
pub use denial::{Denial, Proof, Unsigned, delegation};
pub use key::{DelegationSigner, ZoneKey, trusted_keys};
pub use signature::{RrSet, Signed, rrsets};

/// The arithmetic.
pub trait Crypto {
    /// Whether signatures of this algorithm (RFC 8624 §3.1) can be checked at all.
    fn knows_algorithm(&self, algorithm: u8) -> bool;
    /// Whether `signature` over `message` was made with the private half of `key`, all as RFC 4034 and its updates
    /// write them.
    fn verifies(&self, algorithm: u8, key: &[u8], message: &[u8], signature: &[u8]) -> bool;
    /// The digest of `message` by the number of a DS record (RFC 8624 §3.3): 1, 2 or 4; `None` for others.
    fn digest(&self, kind: u8, message: &[u8]) -> Option<Vec<u8>>;
}

/// How much work one question may cause: signatures and hashes are what an attacker would make us compute.
#[derive(Debug)]
pub struct Budget {
    signatures: u32,
    hashes: u32,
}

impl Default for Budget {
    /// A deep name with a rollover on its way needs about thirty signatures; RFC 5155 proofs two dozen hashes.
    fn default() -> Self {
        Self { signatures: 96, hashes: 512 }
    }
}

impl Budget {
    fn signature(&mut self) -> Option<()> {
        self.signatures = self.signatures.checked_sub(1)?;
        Some(())
    }

    fn hash(&mut self) -> Option<()> {
        self.hashes = self.hashes.checked_sub(1)?;
        Some(())
    }
}
