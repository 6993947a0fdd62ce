//! What user data is wrapped in: gzip (RFC 1952) and base64, which cloud-init takes off again.
//!
//! Hetzner takes text only, and its data source decodes base64 that has no line breaks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::{CompressionLevel, compress_to_vec};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};
use zeroize::Zeroizing;

/// ID1, ID2 and the one method there is (RFC 1952 §2.3).
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Flags, no modification time, the slowest compression, an unknown operating system: nothing that could change.
const REST_OF_HEADER: [u8; 7] = [0, 0, 0, 0, 0, 2, 255];
const HEADER_LEN: usize = MAGIC.len() + REST_OF_HEADER.len();
/// CRC32 and length.
const TRAILER_LEN: usize = 8;

/// Compressed and as text. The same bytes every time.
pub(crate) fn wrap(content: &str) -> Zeroizing<String> {
    let level = CompressionLevel::BestCompression as u8;
    let deflated = Zeroizing::new(compress_to_vec(content.as_bytes(), level));
    let mut packed = Zeroizing::new(Vec::with_capacity(HEADER_LEN + deflated.len() + TRAILER_LEN));
    packed.extend(MAGIC.iter().chain(&REST_OF_HEADER).chain(deflated.iter()));
    packed.extend(crc32(content.as_bytes()).to_le_bytes());
    // ISIZE is the length modulo 2^32.
    packed.extend((content.len() as u32).to_le_bytes());
    Zeroizing::new(STANDARD.encode(packed.as_slice()))
}

/// Why something that begins like gzip cannot be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GzipError {
    /// Not what RFC 1952 says, or cut off.
    Damaged,
    /// More comes out than is allowed.
    TooLarge,
}

/// What is in a gzip file of one member; `None` if it is none.
pub(crate) fn gunzip(bytes: &[u8], limit_bytes: usize) -> Option<Result<Vec<u8>, GzipError>> {
    bytes.starts_with(&MAGIC).then(|| inflate(bytes, limit_bytes))
}

fn inflate(bytes: &[u8], limit_bytes: usize) -> Result<Vec<u8>, GzipError> {
    let body = without_header(bytes).ok_or(GzipError::Damaged)?;
    let (body, trailer) = body.split_last_chunk::<TRAILER_LEN>().ok_or(GzipError::Damaged)?;
    let unpacked = decompress_to_vec_with_limit(body, limit_bytes);
    let content = unpacked.map_err(|error| {
        if error.status == TINFLStatus::HasMoreOutput { GzipError::TooLarge } else { GzipError::Damaged }
    })?;
    let is_whole =
        trailer[..4] == crc32(&content).to_le_bytes() && trailer[4..] == (content.len() as u32).to_le_bytes();
    is_whole.then_some(content).ok_or(GzipError::Damaged)
}

/// RFC 1952 §2.3.1: extra field, name, comment and header checksum may follow, as the flags say.
fn without_header(bytes: &[u8]) -> Option<&[u8]> {
    let (fixed, mut rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let flags = fixed[3];
    if flags & 4 != 0 {
        let (length, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            rest = &rest[rest.iter().position(|byte| *byte == 0)? + 1..];
        }
    }
    if flags & 2 != 0 { rest.get(2..) } else { Some(rest) }
}

/// RFC 1952 §8, a bit at a time: user data is small.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_has_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_was_wrapped_comes_out_again() {
        let packed = STANDARD.decode(wrap("text text text").as_str()).unwrap();

        assert_eq!(gunzip(&packed, 100), Some(Ok(b"text text text".to_vec())));
        assert_eq!(gunzip(&packed, 5), Some(Err(GzipError::TooLarge)));
        assert_eq!(gunzip(b"text", 100), None);
    }

    #[test]
    fn the_fields_that_others_write_are_skipped() {
        let packed = STANDARD.decode(wrap("text").as_str()).unwrap();
        let (header, body) = packed.split_at(HEADER_LEN);
        let mut other = header.to_vec();
        other[3] = 2 | 4 | 8 | 16;
        other.extend(b"\x03\0abcname\0comment\0\x12\x34");
        other.extend(body);

        assert_eq!(gunzip(&other, 100), Some(Ok(b"text".to_vec())));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_that_matters_is_noticed() {
        let text = "a few words that go astray";
        let packed = STANDARD.decode(wrap(text).as_str()).unwrap();

        for length in 3..packed.len() {
            assert_eq!(gunzip(&packed[..length], 100), Some(Err(GzipError::Damaged)), "{length} bytes");
        }
        for bit in HEADER_LEN * 8..packed.len() * 8 {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The last byte of the stream has bits that mean nothing.
            let unpacked = gunzip(&flipped, 100).unwrap();
            assert!(unpacked.is_err() || unpacked == Ok(text.as_bytes().to_vec()), "bit {bit}");
        }
    }
}
