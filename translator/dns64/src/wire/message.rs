//! A whole message as an upstream sends it.

use super::{HEADER, Malformed, Reader, flag, rdata};
use crate::codes::{CLASS_IN, Rcode, RecordType};
use crate::name::{Name, NameRef};

/// Records of one message; a full 64 KiB of the shortest ones would be 5 461, each with a name of 255 octets.
const MOST_RECORDS: usize = 2_048;
/// What the records of one message may grow to when their names are uncompressed.
const MOST_OCTETS: usize = 256 << 10;
/// RFC 2181 §8: a TTL with the first bit set counts as zero. RFC 8767 §4 recommends seven days as the most.
const LONGEST_TTL: u32 = 7 * 86_400;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// As it was written.
    pub name: Name,
    /// Of the records wanted.
    pub rtype: RecordType,
    /// 1 is the internet.
    pub class: u16,
}

/// A record of class IN; its data is in wire form with uncompressed names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub owner: Name,
    pub rtype: RecordType,
    /// In seconds.
    pub ttl: u32,
    pub rdata: Box<[u8]>,
}

/// A record that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    pub owner: NameRef<'a>,
    pub rtype: RecordType,
    /// In seconds.
    pub ttl: u32,
    pub rdata: &'a [u8],
}

/// A message, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    /// The header's second word.
    pub flags: u16,
    /// With the upper bits of an OPT record, if there is one.
    pub rcode: Rcode,
    pub question: Option<Question>,
    pub answers: Vec<Record>,
    pub authority: Vec<Record>,
    /// Without the OPT record.
    pub additional: Vec<Record>,
    /// The UDP payload of the OPT record, in bytes; `None` without one.
    pub edns: Option<u16>,
    /// The first extended error of the OPT record.
    pub ede: Option<u16>,
}

impl Record {
    /// Borrows it.
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef { owner: self.owner.as_ref(), rtype: self.rtype, ttl: self.ttl, rdata: &self.rdata }
    }
}

impl<'a> RecordRef<'a> {
    /// The name that the data is, for CNAME, DNAME, PTR and NS; a name in front for others is found too.
    pub fn target(self) -> Option<NameRef<'a>> {
        NameRef::at_start_of(self.rdata)
    }

    /// The type that an RRSIG covers.
    pub fn covered(self) -> Option<RecordType> {
        match self.rdata {
            [high, low, ..] if self.rtype == RecordType::RRSIG => Some(RecordType(u16::from_be_bytes([*high, *low]))),
            _ => None,
        }
    }

    /// A copy to keep.
    pub fn to_record(self) -> Record {
        Record { owner: self.owner.to_name(), rtype: self.rtype, ttl: self.ttl, rdata: self.rdata.into() }
    }
}

impl Message {
    /// Parses a message of any kind.
    ///
    /// # Errors
    /// It ends early, a name or the data of a record breaks its format, or it would take too much memory.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes, 0);
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        debug_assert_eq!(reader.position(), HEADER);
        let question = match counts[0] {
            0 => None,
            1 => Some(Question { name: reader.name()?, rtype: RecordType(reader.u16()?), class: reader.u16()? }),
            _ => return Err(Malformed),
        };
        let rcode = Rcode(flags & 0xf);
        let mut message = Self {
            id,
            flags,
            rcode,
            question,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            edns: None,
            ede: None,
        };
        let mut budget = Budget { records: MOST_RECORDS, octets: MOST_OCTETS };
        message.answers = message.section(&mut reader, counts[1], &mut budget)?;
        message.authority = message.section(&mut reader, counts[2], &mut budget)?;
        message.additional = message.section(&mut reader, counts[3], &mut budget)?;
        Ok(message)
    }

    fn section(&mut self, reader: &mut Reader<'_>, count: u16, budget: &mut Budget) -> Result<Vec<Record>, Malformed> {
        let mut records = Vec::new();
        for _ in 0..count {
            let owner = reader.name()?;
            let (rtype, class, ttl) = (RecordType(reader.u16()?), reader.u16()?, reader.u32()?);
            let length = reader.u16()?;
            let data = reader.within(usize::from(length))?;
            if rtype == RecordType::OPT {
                self.opt(class, ttl, data)?;
                continue;
            }
            // Another class in an answer to a question of class IN is nothing we could pass on.
            if class != CLASS_IN {
                continue;
            }
            let data = rdata::read(rtype, data)?;
            budget.take(owner.as_ref().as_bytes().len() + data.len())?;
            let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl.min(LONGEST_TTL) };
            records.push(Record { owner, rtype, ttl, rdata: data.into() });
        }
        Ok(records)
    }

    /// RFC 6891 §6.1.
    fn opt(&mut self, payload: u16, ttl: u32, mut data: Reader<'_>) -> Result<(), Malformed> {
        if self.edns.replace(payload).is_some() {
            return Err(Malformed);
        }
        self.rcode = Rcode((ttl >> 24) as u16 * 16 + self.rcode.0);
        while !data.is_at_end() {
            let (code, length) = (data.u16()?, data.u16()?);
            let mut value = data.within(usize::from(length))?;
            // RFC 8914 §2.
            if code == 15 && self.ede.is_none() {
                self.ede = Some(value.u16()?);
            }
        }
        Ok(())
    }

    /// Whether it is an answer.
    pub fn is_response(&self) -> bool {
        self.flags & flag::RESPONSE != 0
    }

    /// Whether a part of it did not fit.
    pub fn is_truncated(&self) -> bool {
        self.flags & flag::TRUNCATED != 0
    }

    /// Whether its sender vouches for the data (RFC 4035 §3.2.3).
    pub fn is_authentic(&self) -> bool {
        self.flags & flag::AUTHENTIC_DATA != 0
    }
}

struct Budget {
    records: usize,
    octets: usize,
}

impl Budget {
    fn take(&mut self, octets: usize) -> Result<(), Malformed> {
        self.records = self.records.checked_sub(1).ok_or(Malformed)?;
        self.octets = self.octets.checked_sub(octets).ok_or(Malformed)?;
        Ok(())
    }
}
