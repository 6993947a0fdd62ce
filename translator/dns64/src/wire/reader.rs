//! Reads a message octet by octet, never past its end.

use crate::name::{MAX_NAME, Name};

/// A message that breaks its own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub struct Malformed;

#[derive(Clone)]
pub(crate) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at, end: message.len() }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// A reader of the next `length` octets, which may point back into the whole message.
    pub(crate) fn within(&mut self, length: usize) -> Result<Self, Malformed> {
        let (at, end) = (self.at, self.at + length);
        if end > self.end {
            return Err(Malformed);
        }
        self.at = end;
        Ok(Self { message: self.message, at, end })
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let bytes = self.message[..self.end].get(self.at..self.at + count).ok_or(Malformed)?;
        self.at += count;
        Ok(bytes)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        let rest = &self.message[self.at..self.end];
        self.at = self.end;
        rest
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.bytes(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A name, its compression undone (RFC 1035 §4.1.4).
    pub(crate) fn name(&mut self) -> Result<Name, Malformed> {
        let mut wire = Vec::new();
        self.name_into(&mut wire)?;
        Ok(Name::from_wire(wire))
    }

    /// Appends a name to `wire`.
    pub(crate) fn name_into(&mut self, wire: &mut Vec<u8>) -> Result<(), Malformed> {
        let begin = wire.len();
        let (mut at, mut end) = (self.at, self.end);
        // Every pointer must point before the place that the last one led to: so there is an end.
        let mut earliest = self.at;
        let mut behind = None;
        loop {
            let length = *self.message[..end].get(at).ok_or(Malformed)?;
            match length {
                0 => break,
                1..=63 => {
                    let label = self.message[..end].get(at..=at + usize::from(length)).ok_or(Malformed)?;
                    wire.extend_from_slice(label);
                    at += label.len();
                }
                0xc0.. => {
                    let low = *self.message[..end].get(at + 1).ok_or(Malformed)?;
                    behind.get_or_insert(at + 2);
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if target >= earliest {
                        return Err(Malformed);
                    }
                    (earliest, at, end) = (target, target, self.message.len());
                }
                64..=0xbf => return Err(Malformed),
            }
            if wire.len() - begin >= MAX_NAME {
                return Err(Malformed);
            }
        }
        wire.push(0);
        self.at = behind.unwrap_or(at + 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_back_and_reading_goes_on_behind_it() {
        let message = *b"\x03com\x00\x01a\xc0\x00\xff";
        let mut reader = Reader::new(&message, 5);

        assert_eq!(reader.name().unwrap().to_string(), "a.com.");
        assert_eq!(reader.u8(), Ok(0xff));
        assert!(reader.is_at_end());
    }

    #[test]
    fn pointers_in_a_circle_or_forwards_are_malformed() {
        for message in [&b"\xc0\x00"[..], b"\xc0\x02\x01a\x00", b"\x01a\xc0\x00", b"\x01a\xc0"] {
            assert_eq!(Reader::new(message, 0).name(), Err(Malformed), "{message:?}");
        }
    }

    #[test]
    fn a_name_longer_than_255_octets_is_malformed() {
        let mut message = Vec::new();
        for _ in 0..4 {
            message.push(63);
            message.extend([b'a'; 63]);
        }
        message.push(0);

        assert_eq!(Reader::new(&message, 0).name(), Err(Malformed));
    }
}
