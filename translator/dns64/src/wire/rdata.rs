//! Where names stand in the data of a record: they may be compressed on the wire, and count without case in a signature.

use super::{Malformed, Reader};
use crate::codes::RecordType;

/// A piece of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// So many octets.
    Octets(u8),
    /// A length octet and what it counts.
    Text,
    /// A domain name.
    Name,
    /// All that is left.
    Rest,
}

/// The data of the types that RFC 4034 §6.2 lists, and of DNAME; every other type is octets (RFC 3597 §4).
pub(crate) fn parts(rtype: RecordType) -> &'static [Part] {
    use Part::{Name, Octets, Rest, Text};
    match rtype.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2..=5 | 7..=9 | 12 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, Octets(20)],
        // MINFO, RP
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX
        26 => &[Octets(2), Name, Name],
        // SRV
        33 => &[Octets(6), Name],
        // NAPTR
        35 => &[Octets(4), Text, Text, Text, Name],
        // SIG, RRSIG
        24 | 46 => &[Octets(18), Name, Rest],
        // NXT, NSEC
        30 | 47 => &[Name, Rest],
        _ => &[Rest],
    }
}

/// Types whose names senders may compress (RFC 3597 §4): those of RFC 1035.
pub(super) fn may_be_compressed(rtype: RecordType) -> bool {
    matches!(rtype.0, 2..=9 | 12 | 14 | 15)
}

/// The data of a record of `rtype` that fills `reader`, its names uncompressed.
pub(super) fn read(rtype: RecordType, mut reader: Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let mut data = Vec::new();
    for part in parts(rtype) {
        match part {
            Part::Octets(count) => data.extend_from_slice(reader.bytes(usize::from(*count))?),
            Part::Text => {
                let length = reader.u8()?;
                data.push(length);
                data.extend_from_slice(reader.bytes(usize::from(length))?);
            }
            Part::Name => reader.name_into(&mut data)?,
            Part::Rest => data.extend_from_slice(reader.rest()),
        }
    }
    let fixed = match rtype {
        RecordType::A => data.len() == 4,
        RecordType::AAAA => data.len() == 16,
        _ => true,
    };
    if reader.is_at_end() && fixed { Ok(data) } else { Err(Malformed) }
}
