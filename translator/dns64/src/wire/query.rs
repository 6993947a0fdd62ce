//! What a client asks.

use super::{HEADER, Malformed, Reader, flag};
use crate::codes::{Rcode, RecordType};
use crate::name::NameRef;

/// A question with the flags that decide how it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    pub id: u16,
    /// The header's second word.
    pub(crate) flags: u16,
    /// As the client wrote it.
    pub name: NameRef<'a>,
    pub rtype: RecordType,
    pub class: u16,
    /// `None`: the client does not speak EDNS.
    pub edns: Option<Edns>,
}

/// What a client says in its OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns {
    /// The largest answer over UDP that the client takes, in bytes.
    pub payload: u16,
    /// The client wants the records of DNSSEC (RFC 3225).
    pub dnssec_ok: bool,
}

/// What arrived is no question that has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoQuery {
    /// Too short, or an answer itself: silence.
    Silent,
    /// To be told so; the header to answer with, and whether to add an OPT record.
    Wrong {
        id: u16,
        /// The header's second word as the client sent it.
        flags: u16,
        rcode: Rcode,
        edns: bool,
    },
}

impl<'a> Query<'a> {
    /// Parses what a client sent.
    ///
    /// # Errors
    /// [`NoQuery`], with what to answer.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoQuery> {
        let header = bytes.first_chunk::<HEADER>().ok_or(NoQuery::Silent)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (id, flags) = (word(0), word(2));
        if flags & flag::RESPONSE != 0 {
            return Err(NoQuery::Silent);
        }
        let wrong = |rcode| NoQuery::Wrong { id, flags, rcode, edns: false };
        if flags & flag::OPCODE != 0 {
            return Err(wrong(Rcode::NOT_IMP));
        }
        if word(4) != 1 {
            return Err(wrong(Rcode::FORM_ERR));
        }
        // A question has nothing to point back to, so its name is not compressed.
        let name = NameRef::at_start_of(&bytes[HEADER..]).ok_or_else(|| wrong(Rcode::FORM_ERR))?;
        let mut reader = Reader::new(bytes, HEADER + name.as_bytes().len());
        let records = [word(6), word(8), word(10)].map(u32::from).iter().sum();
        match rest(&mut reader, records).map_err(|Malformed| wrong(Rcode::FORM_ERR))? {
            Rest { version: 1.., .. } => Err(NoQuery::Wrong { id, flags, rcode: Rcode::BAD_VERS, edns: true }),
            Rest { rtype, class, edns, .. } => Ok(Self { id, flags, name, rtype, class, edns }),
        }
    }

    /// The client wants us to find out (RFC 1035 §4.1.1).
    pub fn recursion_desired(&self) -> bool {
        self.flags & flag::RECURSION_DESIRED != 0
    }

    /// The client validates by itself (RFC 4035 §3.2.2).
    pub fn checking_disabled(&self) -> bool {
        self.flags & flag::CHECKING_DISABLED != 0
    }

    /// The client takes the records of DNSSEC (RFC 3225).
    pub fn dnssec_ok(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec_ok)
    }

    /// The client understands the bit that says that an answer was validated (RFC 6840 §5.7).
    pub fn wants_authentic_data(&self) -> bool {
        self.dnssec_ok() || self.flags & flag::AUTHENTIC_DATA != 0
    }
}

struct Rest {
    rtype: RecordType,
    class: u16,
    version: u8,
    edns: Option<Edns>,
}

/// What stands behind the name: type, class, and records, of which only an OPT has a meaning.
fn rest(reader: &mut Reader<'_>, records: u32) -> Result<Rest, Malformed> {
    let mut rest = Rest { rtype: RecordType(reader.u16()?), class: reader.u16()?, version: 0, edns: None };
    for _ in 0..records {
        reader.name()?;
        let (rtype, class, ttl, length) = (reader.u16()?, reader.u16()?, reader.u32()?, reader.u16()?);
        reader.bytes(usize::from(length))?;
        if RecordType(rtype) == RecordType::OPT {
            let edns = Edns { payload: class, dnssec_ok: ttl & 0x8000 != 0 };
            // RFC 6891 §6.1.1: more than one is a format error.
            if rest.edns.replace(edns).is_some() {
                return Err(Malformed);
            }
            rest.version = (ttl >> 16) as u8;
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(flags: u16, records: [u16; 4], behind: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(records.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(b"\x07eXample\x00\x00\x1c\x00\x01");
        bytes.extend(behind);
        bytes
    }

    fn rcode(bytes: &[u8]) -> Option<Rcode> {
        match Query::parse(bytes) {
            Err(NoQuery::Wrong { rcode, .. }) => Some(rcode),
            Err(NoQuery::Silent) | Ok(_) => None,
        }
    }

    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    #[test]
    fn a_question_is_read_with_its_flags() {
        let bytes = question(0x0110, [1, 0, 0, 1], OPT);

        let query = Query::parse(&bytes).unwrap();

        assert_eq!((query.id, query.name.to_string().as_str(), query.rtype), (0x1234, "eXample.", RecordType::AAAA));
        assert_eq!((query.recursion_desired(), query.checking_disabled(), query.dnssec_ok()), (true, true, true));
        assert_eq!(query.edns.unwrap().payload, 1232);
    }

    #[test]
    fn nobody_answers_an_answer_or_a_scrap() {
        assert_eq!(Query::parse(&question(0x8000, [1, 0, 0, 0], b"")).unwrap_err(), NoQuery::Silent);
        assert_eq!(Query::parse(&[0; 11]).unwrap_err(), NoQuery::Silent);
    }

    #[test]
    fn what_is_wrong_has_a_code() {
        assert_eq!(rcode(&question(0x2800, [1, 0, 0, 0], b"")), Some(Rcode::NOT_IMP));
        assert_eq!(rcode(&question(0, [2, 0, 0, 0], b"")), Some(Rcode::FORM_ERR));
        assert_eq!(rcode(&question(0, [1, 0, 0, 1], b"")), Some(Rcode::FORM_ERR));
        assert_eq!(rcode(&question(0, [1, 0, 0, 2], &[OPT, OPT].concat())), Some(Rcode::FORM_ERR));
        assert_eq!(
            rcode(&question(0, [1, 0, 0, 1], b"\x00\x00\x29\x04\xd0\x00\x01\x00\x00\x00\x00")),
            Some(Rcode::BAD_VERS)
        );
    }
}
