//! Writes a message, names compressed (RFC 1035 §4.1.4).

use super::{HEADER, RecordRef, flag, rdata};
use crate::codes::{CLASS_IN, RecordType};
use crate::name::NameRef;

/// Places of names that later names may point to; more are written out in full.
const PLACES: usize = 32;

/// Which section a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A message in the making, in a buffer that somebody reuses.
pub(crate) struct Writer<'b> {
    out: &'b mut Vec<u8>,
    places: [u16; PLACES],
    known: usize,
    counts: [u16; 4],
}

impl<'b> Writer<'b> {
    /// Begins with the header in an empty buffer; [`Self::finish`] fills in the flags.
    pub(crate) fn new(out: &'b mut Vec<u8>, id: u16) -> Self {
        out.clear();
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&[0; HEADER - 2]);
        Self { out, places: [0; PLACES], known: 0, counts: [0; 4] }
    }

    pub(crate) fn question(&mut self, name: NameRef<'_>, rtype: RecordType, class: u16) {
        self.name(name);
        self.out.extend_from_slice(&rtype.0.to_be_bytes());
        self.out.extend_from_slice(&class.to_be_bytes());
        self.counts[0] += 1;
    }

    pub(crate) fn record(&mut self, section: Section, record: RecordRef<'_>) {
        self.head(section, record.owner, record.rtype, CLASS_IN, record.ttl);
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        if rdata::may_be_compressed(record.rtype) {
            self.rdata_with_names(record.rtype, record.rdata);
        } else {
            self.out.extend_from_slice(record.rdata);
        }
        let length = (self.out.len() - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    /// An OPT record (RFC 6891 §6.1.2) with at most one extended error (RFC 8914 §2).
    pub(crate) fn opt(&mut self, payload: u16, high_rcode: u8, dnssec_ok: bool, ede: Option<(u16, &str)>) {
        let ttl = u32::from(high_rcode) << 24 | if dnssec_ok { 0x8000 } else { 0 };
        self.head(Section::Additional, NameRef::ROOT, RecordType::OPT, payload, ttl);
        let Some((code, text)) = ede else {
            self.out.extend_from_slice(&[0, 0]);
            return;
        };
        let length = 2 + text.len() as u16;
        for word in [length + 4, 15, length, code] {
            self.out.extend_from_slice(&word.to_be_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Ends an answer.
    pub(crate) fn finish(self, flags: u16) {
        self.finish_question(flags | flag::RESPONSE);
    }

    /// Ends a question.
    pub(crate) fn finish_question(self, flags: u16) {
        self.out[2..4].copy_from_slice(&flags.to_be_bytes());
        for (at, count) in self.counts.iter().enumerate() {
            self.out[4 + 2 * at..6 + 2 * at].copy_from_slice(&count.to_be_bytes());
        }
    }

    fn head(&mut self, section: Section, owner: NameRef<'_>, rtype: RecordType, class: u16, ttl: u32) {
        self.name(owner);
        self.out.extend_from_slice(&rtype.0.to_be_bytes());
        self.out.extend_from_slice(&class.to_be_bytes());
        self.out.extend_from_slice(&ttl.to_be_bytes());
        self.counts[1 + section as usize] += 1;
    }

    fn rdata_with_names(&mut self, rtype: RecordType, data: &[u8]) {
        let mut rest = data;
        for part in rdata::parts(rtype) {
            match part {
                rdata::Part::Octets(count) => {
                    let (octets, behind) = rest.split_at(usize::from(*count).min(rest.len()));
                    self.out.extend_from_slice(octets);
                    rest = behind;
                }
                rdata::Part::Name => {
                    let Some(name) = NameRef::at_start_of(rest) else { break };
                    rest = &rest[name.as_bytes().len()..];
                    self.name(name);
                }
                rdata::Part::Text | rdata::Part::Rest => break,
            }
        }
        self.out.extend_from_slice(rest);
    }

    fn name(&mut self, name: NameRef<'_>) {
        for suffix in name.suffixes() {
            let Some(label) = suffix.first_label() else { break };
            if let Some(place) = self.find(suffix) {
                self.out.extend_from_slice(&(place | 0xc000).to_be_bytes());
                return;
            }
            self.remember();
            self.out.push(label.len() as u8);
            self.out.extend_from_slice(label);
        }
        self.out.push(0);
    }

    fn remember(&mut self) {
        // A pointer has 14 bits.
        if self.known < PLACES && self.out.len() < 0x4000 {
            self.places[self.known] = self.out.len() as u16;
            self.known += 1;
        }
    }

    fn find(&self, name: NameRef<'_>) -> Option<u16> {
        self.places[..self.known].iter().copied().find(|place| self.stands_at(usize::from(*place), name))
    }

    /// Whether `name` is what a reader finds at `at`.
    fn stands_at(&self, mut at: usize, name: NameRef<'_>) -> bool {
        let mut rest = name.as_bytes();
        loop {
            match self.out[at] {
                length @ 0..=63 => {
                    let end = usize::from(length) + 1;
                    let Some((label, behind)) = rest.split_at_checked(end) else { return false };
                    // The name may have been cut off in the middle of being written.
                    let Some(written) = self.out.get(at..at + end) else { return false };
                    if !written.eq_ignore_ascii_case(label) {
                        return false;
                    }
                    if length == 0 {
                        return true;
                    }
                    (at, rest) = (at + end, behind);
                    if at >= self.out.len() {
                        return false;
                    }
                }
                high => at = usize::from(u16::from_be_bytes([high & 0x3f, self.out[at + 1]])),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::wire::Message;

    #[test]
    fn names_are_written_once_and_read_back() {
        let [name, target]: [Name; 2] = ["www.example.com", "cdn.EXAMPLE.com"].map(|text| text.parse().unwrap());
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, 7);
        writer.question(name.as_ref(), RecordType::AAAA, CLASS_IN);
        let rdata = target.as_ref().as_bytes();
        writer.record(Section::Answer, RecordRef { owner: name.as_ref(), rtype: RecordType::CNAME, ttl: 1, rdata });
        let address = RecordRef { owner: target.as_ref(), rtype: RecordType::A, ttl: 2, rdata: &[192, 0, 2, 1] };
        writer.record(Section::Answer, address);
        writer.opt(1232, 0, true, Some((29, "")));
        writer.finish(0);

        let message = Message::parse(&out).unwrap();

        assert_eq!(out.len(), 12 + 21 + (12 + 6) + (12 + 4) + 17);
        assert_eq!(message.question.unwrap().name, name);
        assert_eq!(message.answers[0].as_ref().target(), Some(target.as_ref()));
        assert_eq!(message.answers[1], address.to_record());
        assert_eq!((message.edns, message.ede), (Some(1232), Some(29)));
    }
}
