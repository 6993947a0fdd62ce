//! A question to an upstream, and whether a message is an answer to it.

use crate::codes::{CLASS_IN, RecordType};
use crate::name::NameRef;
use crate::reply::LARGEST_UDP;
use crate::wire::{HEADER, Writer, flag};

/// What an upstream is asked about DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dnssec {
    /// Send signatures and proofs (DO).
    pub records: bool,
    /// Do not validate (CD).
    pub unchecked: bool,
}

/// Writes a question of class IN into `out`, which is emptied first.
pub fn write_question(out: &mut Vec<u8>, id: u16, name: NameRef<'_>, rtype: RecordType, dnssec: Dnssec) {
    let mut writer = Writer::new(out, id);
    writer.question(name, rtype, CLASS_IN);
    writer.opt(LARGEST_UDP, 0, dnssec.records, None);
    let checking = if dnssec.unchecked { flag::CHECKING_DISABLED } else { 0 };
    writer.finish_question(flag::RECURSION_DESIRED | checking);
}

/// Whether `reply` is an answer to `question`: the same id, and the same name, type and class, octet by octet, so that
/// upper and lower case are part of the secret (RFC 5452 §9.1).
pub fn answers(reply: &[u8], question: &[u8]) -> bool {
    let Some(name) = question.get(HEADER..).and_then(NameRef::at_start_of) else { return false };
    let end = HEADER + name.as_bytes().len() + 4;
    let (Some(asked), Some(echoed)) = (question.get(HEADER..end), reply.get(HEADER..end)) else { return false };
    let flags = u16::from_be_bytes([reply[2], reply[3]]);
    let is_response = flags & flag::RESPONSE != 0 && flags & flag::OPCODE == 0;
    is_response && reply[..2] == question[..2] && reply[4..6] == [0, 1] && asked == echoed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn question() -> Vec<u8> {
        let name: Name = "wWw.ExAmple".parse().unwrap();
        let mut out = Vec::new();
        write_question(&mut out, 0x1234, name.as_ref(), RecordType::A, Dnssec { records: true, unchecked: true });
        out
    }

    fn reply(change: impl Fn(&mut Vec<u8>)) -> bool {
        let mut reply = question();
        reply[2] |= 0x80;
        change(&mut reply);
        answers(&reply, &question())
    }

    #[test]
    fn an_answer_repeats_id_and_question() {
        assert!(reply(|_| {}));
        assert!(!reply(|bytes| bytes[0] ^= 1), "another id");
        assert!(!reply(|bytes| bytes[2] &= 0x7f), "a question");
        assert!(!reply(|bytes| bytes[2] |= 0x08), "another operation");
        assert!(!reply(|bytes| bytes[5] = 0), "no question");
        assert!(!reply(|bytes| bytes[13] ^= 0x20), "another case");
        assert!(!reply(|bytes| bytes[13] ^= 1), "another name");
        assert!(!reply(|bytes| bytes[26] ^= 1), "another type");
        assert!(!reply(|bytes| bytes[28] = 3), "another class");
        assert!(!reply(|bytes| bytes.truncate(28)), "less than the question");
    }

    #[test]
    fn nothing_answers_what_is_no_question() {
        assert!(!answers(&[0; 40], &[0; 11]));
        assert!(!answers(&[], &question()));
    }
}
