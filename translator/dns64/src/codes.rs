//! Numbers of the DNS parameter registries that this crate has an opinion about.

use std::fmt;

/// The type of a record (RFC 1035 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

impl RecordType {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const PTR: Self = Self(12);
    pub const MX: Self = Self(15);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const RRSIG: Self = Self(46);
    pub const NSEC: Self = Self(47);
    pub const DNSKEY: Self = Self(48);
    pub const NSEC3: Self = Self(50);
    pub const HTTPS: Self = Self(65);
    pub const ANY: Self = Self(255);

    /// Types that only questions have and that ask for something other than records (RFC 6895 §3.1): TKEY, TSIG, IXFR,
    /// AXFR, MAILB, MAILA. A resolver has no answer to them.
    pub fn is_no_record(self) -> bool {
        matches!(self.0, 0 | 41 | 249..=254)
    }

    /// What only a client that understands DNSSEC is sent (RFC 4035 §3.2.1), unless it asked for it.
    pub fn is_dnssec(self) -> bool {
        matches!(self, Self::RRSIG | Self::NSEC | Self::NSEC3)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            (Self::A, "A"),
            (Self::NS, "NS"),
            (Self::CNAME, "CNAME"),
            (Self::SOA, "SOA"),
            (Self::PTR, "PTR"),
            (Self::AAAA, "AAAA"),
            (Self::DNAME, "DNAME"),
            (Self::DS, "DS"),
            (Self::DNSKEY, "DNSKEY"),
        ];
        match known.iter().find(|(code, _)| code == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// The class of a question (RFC 1035 §3.2.4).
pub const CLASS_IN: u16 = 1;

/// The result of a query, with the upper bits of RFC 6891 §6.1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rcode(pub u16);

impl Rcode {
    pub const NO_ERROR: Self = Self(0);
    pub const FORM_ERR: Self = Self(1);
    pub const SERV_FAIL: Self = Self(2);
    pub const NX_DOMAIN: Self = Self(3);
    pub const NOT_IMP: Self = Self(4);
    pub const REFUSED: Self = Self(5);
    pub const BAD_VERS: Self = Self(16);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
        match names.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// An extended DNS error (RFC 8914 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ede(pub u16);

impl Ede {
    pub const OTHER: Self = Self(0);
    pub const DNSSEC_BOGUS: Self = Self(6);
    pub const SIGNATURE_EXPIRED: Self = Self(7);
    pub const SIGNATURE_NOT_YET_VALID: Self = Self(8);
    pub const DNSKEY_MISSING: Self = Self(9);
    pub const RRSIGS_MISSING: Self = Self(10);
    pub const NSEC_MISSING: Self = Self(12);
    pub const NOT_READY: Self = Self(14);
    pub const PROHIBITED: Self = Self(18);
    pub const NO_REACHABLE_AUTHORITY: Self = Self(22);
    pub const NETWORK_ERROR: Self = Self(23);
    pub const INVALID_DATA: Self = Self(24);
    /// Registered for answers that DNS64 made.
    pub const SYNTHESIZED: Self = Self(29);
}
