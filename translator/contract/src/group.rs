//! Peers that nobody names: servers with one and the same user data, each of which makes its key of the group's secret and of
//! its own instance id. The gateway makes the same key for every server that has the group's labels.
//!
//! A label alone lets nobody in: without the secret there is no key, and without the key no tunnel.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use ipnet::Ipv4Net;
use serde_json::Value;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::key::is_same_secret;
use crate::{LabelSelector, Name, PrivateKey};

/// The label of a server that belongs to a group; its value is the group's name.
pub const GROUP_LABEL: &str = "hetznat-group";

/// Servers that share their user data.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What members make their keys of.
    pub secret: GroupSecret,
    /// What members made their keys of that were created before the secret was changed.
    pub previous_secret: Option<GroupSecret>,
    /// Which servers of the project are members.
    pub label_selector: LabelSelector,
    /// A mark of the resource that wrote the entry.
    pub owner: String,
    /// Keys that this version does not know, kept as they are.
    pub other: BTreeMap<String, Value>,
}

impl Group {
    /// As much as [`Name`] has room for before a hyphen and the largest instance id, which has 16 digits.
    const LONGEST_NAME: usize = 46;

    /// What is wrong with a group's name; its members are called after it.
    pub fn name_problem(name: &Name) -> Option<String> {
        let length = name.as_ref().len();
        (length > Self::LONGEST_NAME).then(|| {
            format!(
                "has {length} characters; a group's has at most {}, for its members have numbers behind it",
                Self::LONGEST_NAME
            )
        })
    }
}

const SECRET_LEN: usize = 32;

/// 32 bytes that all members of a group know. Wiped when dropped, never printed by `Debug`.
#[derive(Clone)]
pub struct GroupSecret(Zeroizing<[u8; SECRET_LEN]>);

impl GroupSecret {
    /// The secret made of the bytes of a cryptographically secure random source.
    pub fn from_random(mut random: [u8; SECRET_LEN]) -> Self {
        let secret = Zeroizing::new(random);
        random.zeroize();
        Self(secret)
    }

    /// The private key of the member with this instance id, which at Hetzner is the server's: HKDF-SHA256 (RFC 5869) without
    /// a salt, 32 bytes for `hetznat/1 key ID`.
    pub fn private_key(&self, instance: u64) -> PrivateKey {
        // §2.2: no salt is as many zeros as a hash has.
        let extracted = hmac(&[0; SECRET_LEN], &[&*self.0]);
        let info = format!("hetznat/1 key {instance}");
        // §2.3: 32 bytes are one block, the first.
        PrivateKey::from_random(*hmac(&*extracted, &[info.as_bytes(), &[1]]))
    }

    /// The secret as user data has it, in a string that is wiped when dropped.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(*self.0))
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    parts.iter().for_each(|part| hmac.update(part));
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

/// Where members get their tunnel IPv4 from: the upper half of the gateway's prefix, so that no named peer is in their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberAddresses {
    /// The first of them.
    pub first: Ipv4Addr,
    /// How many there are.
    pub count: u32,
}

impl MemberAddresses {
    /// Of a gateway's `ipv4_prefix`; without its last two addresses, which are nobody's.
    pub fn of(prefix: Ipv4Net) -> Self {
        let half = 1 << (31 - u32::from(prefix.prefix_len()));
        Self { first: (u32::from(prefix.network()) + half).into(), count: half - 2 }
    }

    /// The address of the member with this instance id. Two members may have the same; those that were created one soon after
    /// the other never have.
    pub fn of_member(self, instance: u64) -> Ipv4Addr {
        let offset = u32::try_from(instance % u64::from(self.count)).expect("a remainder is smaller than what divides");
        (u32::from(self.first) + offset).into()
    }
}

impl FromStr for GroupSecret {
    type Err = GroupSecretError;

    fn from_str(text: &str) -> Result<Self, GroupSecretError> {
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| GroupSecretError)?);
        let secret: [u8; SECRET_LEN] = bytes.as_slice().try_into().map_err(|_| GroupSecretError)?;
        if secret == [0; SECRET_LEN] { Err(GroupSecretError) } else { Ok(Self(Zeroizing::new(secret))) }
    }
}

impl PartialEq for GroupSecret {
    fn eq(&self, other: &Self) -> bool {
        is_same_secret(&self.0, &other.0)
    }
}

impl Eq for GroupSecret {}

impl fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupSecret(…)")
    }
}

/// The text is no secret. Never repeats the text, which may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group's secret is the base64 of 32 bytes that are not all zero; `wg genkey` makes one")]
pub struct GroupSecretError;

#[cfg(test)]
mod tests {
    use super::*;

    /// Known to cloud-init's tests too: what a member's Python makes of them.
    const VECTORS: &str = include_str!("../tests/group-vectors.txt");

    #[test]
    fn a_member_and_its_gateway_make_the_same_key_and_address() {
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let [secret, prefix, instance, key, address] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let (secret, instance): (GroupSecret, u64) = (secret.parse().unwrap(), instance.parse().unwrap());
            let addresses = MemberAddresses::of(prefix.parse().unwrap());

            assert_eq!(secret.private_key(instance).to_base64().as_str(), key, "{line}");
            assert_eq!(addresses.of_member(instance).to_string(), address, "{line}");
        }
    }

    #[test]
    fn no_two_members_and_no_two_groups_share_a_key() {
        let (one, other) = (GroupSecret::from_random([1; 32]), GroupSecret::from_random([2; 32]));

        assert_ne!(one.private_key(7), one.private_key(8));
        assert_ne!(one.private_key(7), other.private_key(7));
    }

    #[test]
    fn neighbours_have_addresses_of_their_own_and_none_is_reserved() {
        for prefix in ["198.18.0.0/16", "10.0.0.0/8", "198.18.0.0/29"] {
            let prefix: Ipv4Net = prefix.parse().unwrap();
            let addresses = MemberAddresses::of(prefix);
            let first = 118_000_000_u64;
            let reserved = [prefix.broadcast(), (u32::from(prefix.broadcast()) - 1).into()];

            let taken: std::collections::BTreeSet<Ipv4Addr> =
                (first..first + u64::from(addresses.count.min(1_000))).map(|id| addresses.of_member(id)).collect();

            assert_eq!(taken.len(), addresses.count.min(1_000) as usize);
            assert!(taken.iter().all(|address| prefix.contains(address) && !reserved.contains(address)));
        }
    }

    #[test]
    fn a_secret_is_read_back_and_never_shown() {
        let secret = GroupSecret::from_random([7; 32]);

        assert_eq!(secret.to_base64().parse(), Ok(secret.clone()));
        assert_eq!(format!("{secret:?}"), "GroupSecret(…)");
        for text in ["", "short", &STANDARD.encode([0; 32]), &STANDARD.encode([1; 31])] {
            assert_eq!(text.parse::<GroupSecret>(), Err(GroupSecretError));
        }
    }
}
