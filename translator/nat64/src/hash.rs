//! SipHash-1-3 over whole words: the keyed hash of the tables and of the choice of ports.
//!
//! An attacker chooses what is hashed, never the key: neither long chains in a table nor the next port can be provoked.

/// A key, and with it a function nobody else can compute.
#[derive(Clone, Copy)]
pub(crate) struct SipKey(u64, u64);

impl std::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SipKey(..)")
    }
}

impl SipKey {
    /// One key of several from one seed; `purpose` tells them apart.
    pub(crate) fn from_seed(seed: &[u8; 32], purpose: u64) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(seed.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        let [a, b, c, d] = words;
        Self(Self(a, b).hash([c, purpose, 0]), Self(c, d).hash([a, purpose, 1]))
    }

    /// The hash of `words`: SipHash-1-3 without the word that ends a message with its length, since all messages of one
    /// table are of one length.
    #[inline]
    pub(crate) fn hash<const N: usize>(self, words: [u64; N]) -> u64 {
        let mut state = State {
            a: self.0 ^ 0x736f_6d65_7073_6575,
            b: self.1 ^ 0x646f_7261_6e64_6f6d,
            c: self.0 ^ 0x6c79_6765_6e65_7261,
            d: self.1 ^ 0x7465_6462_7974_6573,
        };
        for word in words {
            state.absorb(word);
        }
        state.c ^= 0xff;
        state.round();
        state.round();
        state.round();
        state.a ^ state.b ^ state.c ^ state.d
    }
}

struct State {
    a: u64,
    b: u64,
    c: u64,
    d: u64,
}

impl State {
    #[inline(always)]
    const fn absorb(&mut self, word: u64) {
        self.d ^= word;
        self.round();
        self.a ^= word;
    }

    #[inline(always)]
    const fn round(&mut self) {
        self.a = self.a.wrapping_add(self.b);
        self.c = self.c.wrapping_add(self.d);
        self.b = self.b.rotate_left(13) ^ self.a;
        self.d = self.d.rotate_left(16) ^ self.c;
        self.a = self.a.rotate_left(32);
        self.c = self.c.wrapping_add(self.b);
        self.a = self.a.wrapping_add(self.d);
        self.b = self.b.rotate_left(17) ^ self.c;
        self.d = self.d.rotate_left(21) ^ self.a;
        self.c = self.c.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{DefaultHasher, Hasher};

    proptest! {
        /// The hasher of the standard library is SipHash-1-3 with a key of zeros.
        #[test]
        fn with_a_key_of_zeros_and_the_length_at_the_end_it_is_the_standard_hasher(words in any::<[u64; 3]>()) {
            let mut standard = DefaultHasher::new();
            words.iter().for_each(|word| standard.write(&word.to_le_bytes()));

            let [a, b, c] = words;
            prop_assert_eq!(SipKey(0, 0).hash([a, b, c, 24 << 56]), standard.finish());
        }
    }

    #[test]
    fn one_seed_gives_different_keys_for_different_purposes() {
        let seed = [7; 32];

        assert_ne!(SipKey::from_seed(&seed, 1).hash([1]), SipKey::from_seed(&seed, 2).hash([1]));
        assert_eq!(SipKey::from_seed(&seed, 1).hash([1]), SipKey::from_seed(&seed, 1).hash([1]));
    }
}
