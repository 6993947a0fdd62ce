//! The arithmetic of DNSSEC, by aws-lc.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use dns64::dnssec::Crypto;

/// Stateless.
pub(super) struct AwsLc;

impl Crypto for AwsLc {
    fn knows_algorithm(&self, algorithm: u8) -> bool {
        matches!(algorithm, 5 | 7 | 8 | 10 | 13 | 14 | 15)
    }

    fn verifies(&self, algorithm: u8, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        match algorithm {
            5 | 7 => rsa(&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, key, message, signature),
            8 => rsa(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, key, message, signature),
            10 => rsa(&RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, key, message, signature),
            13 => ecdsa(&ECDSA_P256_SHA256_FIXED, key, message, signature),
            14 => ecdsa(&ECDSA_P384_SHA384_FIXED, key, message, signature),
            15 => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            _ => false,
        }
    }

    fn digest(&self, kind: u8, message: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match kind {
            1 => &SHA1_FOR_LEGACY_USE_ONLY,
            2 => &SHA256,
            4 => &SHA384,
            _ => return None,
        };
        Some(digest::digest(algorithm, message).as_ref().to_vec())
    }
}

/// RFC 3110 §2: the exponent's length, the exponent, the modulus.
fn rsa(parameters: &'static RsaParameters, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (length, rest) = match key {
        [0, high, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
        [] | [0, ..] => return false,
        [length, rest @ ..] => (usize::from(*length), rest),
    };
    let Some((e, n)) = rest.split_at_checked(length) else { return false };
    // Leading zeros are legal in DNS and nowhere else.
    let trim = |number: &'_ [u8]| number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    let (e, n) = (&e[trim(e)..], &n[trim(n)..]);
    RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
}

/// RFC 6605 §4: the two coordinates; elsewhere an octet in front says that they are not compressed.
fn ecdsa(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, [&[4], key].concat()).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use dns64::dnssec::{Budget, Denial, Proof, Unsigned, ZoneKey, delegation, rrsets};
    use dns64::{Name, Record, RecordType};

    use super::*;

    /// Believes every signature; its hashes are real.
    struct Hashes;

    impl Crypto for Hashes {
        fn knows_algorithm(&self, _: u8) -> bool {
            true
        }

        fn verifies(&self, _: u8, _: &[u8], _: &[u8], _: &[u8]) -> bool {
            true
        }

        fn digest(&self, kind: u8, message: &[u8]) -> Option<Vec<u8>> {
            AwsLc.digest(kind, message)
        }
    }

    /// The zone of RFC 5155 appendix A: each hash, the next, and the types there.
    const ZONE: [(&str, &str, &[u16]); 4] = [
        ("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom", "2t7b4g4vsa5smi47k61mv5bv1a22bojr", &[2, 6, 15]),
        ("2t7b4g4vsa5smi47k61mv5bv1a22bojr", "2vptu5timamqttgl4luu9kg21e0aor3s", &[1]),
        ("35mthgpgcu1qg68fab165klnsnk3dpvl", "b4um86eghhds6nea196smvmlo4ors995", &[2]),
        ("b4um86eghhds6nea196smvmlo4ors995", "gjeqe526plbf1g8mklp59enfd789njgi", &[15]),
    ];
    const SHA_1_TAG: u16 = 1_037;

    fn hash(text: &str) -> Vec<u8> {
        let bits: Vec<u32> = text.chars().map(|letter| letter.to_digit(32).unwrap()).collect();
        let bit = |at: usize| bits[at / 5] >> (4 - at % 5) & 1;
        (0..20).map(|octet| (0..8).fold(0, |sum, index| sum << 1 | bit(octet * 8 + index)) as u8).collect()
    }

    fn bitmap(types: &[u16]) -> Vec<u8> {
        let mut bits = [0_u8; 8];
        types.iter().for_each(|rtype| bits[usize::from(rtype / 8)] |= 0x80 >> (rtype % 8));
        [&[0, 8], &bits[..]].concat()
    }

    /// A record and the signature over it.
    fn signed(owner: &str, rtype: u16, rdata: Vec<u8>) -> [Record; 2] {
        let owner: Name = owner.parse().unwrap();
        let labels = owner.as_ref().label_count() as u8;
        let mut signature = [&rtype.to_be_bytes()[..], &[13, labels, 0, 0, 0, 9]].concat();
        signature.extend([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        signature.extend(SHA_1_TAG.to_be_bytes());
        signature.extend(b"\x07example\x00signature");
        let record = |rtype, rdata: Vec<u8>| Record {
            owner: owner.clone(),
            rtype: RecordType(rtype),
            ttl: 9,
            rdata: rdata.into(),
        };
        [record(rtype, rdata), record(46, signature)]
    }

    fn nsec3(flags: u8, iterations: u16) -> Vec<Record> {
        let one = |(own, next, types): &(&str, &str, &[u16])| {
            let mut rdata = vec![1, flags];
            rdata.extend(iterations.to_be_bytes());
            rdata.extend([4, 0xaa, 0xbb, 0xcc, 0xdd, 20]);
            rdata.extend(hash(next));
            rdata.extend(bitmap(types));
            signed(&format!("{own}.example"), 50, rdata)
        };
        ZONE.iter().flat_map(one).collect()
    }

    /// Asks about the zone of `records`.
    fn asked<T>(records: &[Record], ask: impl FnOnce(&Denial<'_>, &mut Budget) -> T) -> T {
        // The tag of this key is the one in the signatures.
        let key = ZoneKey::parse(&[1, 0, 3, 13]).unwrap();
        let zone: Name = "example".parse().unwrap();
        let (sets, mut budget) = (rrsets(records), Budget::default());
        let denial = Denial::of(zone.as_ref(), &sets, &[key], 1, &Hashes, &mut budget);
        ask(&denial, &mut budget)
    }

    fn no_name(records: &[Record], name: &str) -> Proof {
        let name: Name = name.parse().unwrap();
        asked(records, |denial, budget| denial.no_name(name.as_ref(), &Hashes, budget))
    }

    fn no_data(records: &[Record], name: &str, rtype: u16) -> Proof {
        let name: Name = name.parse().unwrap();
        asked(records, |denial, budget| denial.no_data(name.as_ref(), RecordType(rtype), &Hashes, budget))
    }

    #[test]
    fn the_name_error_of_rfc_5155_appendix_b_1_is_proven() {
        assert_eq!(no_name(&nsec3(0, 12), "a.c.x.w.example"), Proof::Proven);
        assert_eq!(no_name(&nsec3(0, 12)[..6], "a.c.x.w.example"), Proof::Missing, "without the closest encloser");
        assert_eq!(no_name(&nsec3(0, 12)[2..], "a.c.x.w.example"), Proof::Missing, "without the next closer name");
        assert_eq!(no_name(&nsec3(1, 12), "a.c.x.w.example"), Proof::Insecure, "an unsigned zone may be there");
    }

    #[test]
    fn the_no_data_error_of_rfc_5155_appendix_b_2_is_proven() {
        assert_eq!(no_data(&nsec3(0, 12), "ns1.example", 15), Proof::Proven);
        assert_eq!(no_data(&nsec3(0, 12), "ns1.example", 1), Proof::Missing, "it has A records");
    }

    #[test]
    fn the_unsigned_delegation_of_rfc_5155_appendix_b_3_is_one_and_nothing_else_is() {
        let is_unsigned = |flags, name: &str| {
            let name: Name = name.parse().unwrap();
            asked(&nsec3(flags, 12), |denial, budget| delegation(denial, name.as_ref(), &Hashes, budget))
        };

        assert_eq!(is_unsigned(1, "c.example"), Unsigned::Delegation);
        assert_eq!(is_unsigned(0, "c.example"), Unsigned::NoDelegation);
        assert_eq!(is_unsigned(1, "ns1.example"), Unsigned::NoDelegation);
    }

    #[test]
    fn more_iterations_than_rfc_9276_allows_prove_nothing_and_cost_nothing() {
        assert_eq!(no_name(&nsec3(0, 101), "a.c.x.w.example"), Proof::Insecure);
        assert_eq!(no_data(&nsec3(0, u16::MAX), "ns1.example", 15), Proof::Insecure);
    }

    fn nsec(owner: &str, next: &str, types: &[u16]) -> [Record; 2] {
        let next: Name = next.parse().unwrap();
        signed(owner, 47, [next.as_ref().as_bytes(), &bitmap(types)].concat())
    }

    #[test]
    fn a_name_error_needs_the_name_and_the_wildcard_denied() {
        // RFC 4035 appendix B.2.
        let [name, wildcard] =
            [nsec("b.example", "ns1.example", &[2, 46, 47]), nsec("example", "a.example", &[2, 6, 15])];

        assert_eq!(no_name(&[&name[..], &wildcard].concat(), "ml.example"), Proof::Proven);
        assert_eq!(no_name(&name, "ml.example"), Proof::Missing);
        assert_eq!(no_name(&[&name[..], &wildcard].concat(), "x.b.example"), Proof::Missing, "below a delegation");
    }

    #[test]
    fn no_data_is_about_this_name_this_type_and_this_side_of_a_delegation() {
        let at_name = nsec("ns1.example", "ns2.example", &[1, 46, 47]);
        assert_eq!(no_data(&at_name, "ns1.example", 15), Proof::Proven);
        assert_eq!(no_data(&at_name, "ns1.example", 1), Proof::Missing);
        assert_eq!(no_data(&at_name, "ns2.example", 15), Proof::Missing);

        let delegation = nsec("b.example", "ns1.example", &[2, 46, 47]);
        assert_eq!(no_data(&delegation, "b.example", 43), Proof::Proven);
        assert_eq!(no_data(&delegation, "b.example", 1), Proof::Missing, "the zone below knows that");

        let alias = nsec("www.example", "x.example", &[5, 46, 47]);
        assert_eq!(no_data(&alias, "www.example", 28), Proof::Missing, "an alias would have answered");
    }

    #[test]
    fn a_name_that_only_stands_above_others_has_no_data_and_exists() {
        let covering = nsec("a.example", "x.y.w.example", &[1, 46, 47]);

        assert_eq!(no_data(&covering, "y.w.example", 28), Proof::Proven);
        assert_eq!(no_name(&covering, "y.w.example"), Proof::Missing);
    }
}
