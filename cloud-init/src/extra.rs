//! The user's own user data, as a part beside ours: whatever cloud-init takes alone, nested so that it means the same.
//!
//! | what it is | what becomes of it |
//! |---|---|
//! | text with one of [`HEADERS`] | a part of type `text/plain`; cloud-init looks at the header itself |
//! | a MIME message | a part as it stands, multipart or not |
//! | gzip, base64, both | unpacked first: cloud-init finds no MIME message in what it unpacks itself |
//!
//! Anything else cloud-init would ignore without a word, so it is an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::envelope::{GzipError, gunzip};

/// How text begins that cloud-init does something with, in every version from 22.4 on.
const HEADERS: [&str; 9] = [
    "#cloud-config",
    "#cloud-config-archive",
    "#cloud-config-jsonp",
    "#cloud-boothook",
    "#include",
    "#include-once",
    "#part-handler",
    "#!",
    "## template: jinja",
];
/// How a MIME message begins.
const MIME_HEADERS: [&str; 2] = ["Content-Type:", "MIME-Version:"];
/// What packed user data may unpack to: many times what fits, and no danger to the machine that plans.
const MAX_UNPACKED_BYTES: usize = 1024 * 1024;
/// base64 of gzip of base64 of gzip.
const MAX_LAYERS: usize = 4;
/// What is shown of a line that is not understood.
const SHOWN_CHARS: usize = 40;
/// The name a part without one has; so a lone script keeps the path that it would have without us.
const NAME: &str = "part-001";

/// Why a user's own user data cannot ride along.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtraError {
    /// cloud-init would ignore it without a word.
    #[error(
        "begins with \"{begin}\", which cloud-init ignores; it must begin with {}, {}, or be gzip or base64 of that",
        HEADERS.join(", "),
        MIME_HEADERS.join(", ")
    )]
    UnknownHeader {
        /// The first line, or as much of it as is fit to be shown.
        begin: String,
    },
    /// Begins like gzip.
    #[error("is gzip, but damaged or cut off; make it with base64gzip(…)")]
    Gzip,
    /// More than anybody needs.
    #[error("unpacks to more than {MAX_UNPACKED_BYTES} bytes; let it fetch the rest, with #include")]
    Unpacked,
    /// gzip of something that is no text.
    #[error("is gzip of something that is not text (UTF-8)")]
    NotText,
}

/// The user's own part: its headers and body, ready to stand behind a boundary. `None` if there is nothing in it.
pub(crate) fn part(text: &str) -> Result<Option<String>, ExtraError> {
    let text = unpacked(text.as_bytes(), MAX_LAYERS)?;
    let begin = text.trim_start();
    Ok(if begin.is_empty() {
        None
    } else if is_mime(begin) {
        Some(begin.to_owned())
    } else {
        Some(plain(&text))
    })
}

/// Without base64, gzip, byte order mark and carriage returns.
fn unpacked(bytes: &[u8], layers: usize) -> Result<String, ExtraError> {
    if let Some(content) = gunzip(bytes, MAX_UNPACKED_BYTES) {
        let content = content.map_err(|error| match error {
            GzipError::Damaged => ExtraError::Gzip,
            GzipError::TooLarge => ExtraError::Unpacked,
        })?;
        return if layers > 0 { unpacked(&content, layers - 1) } else { Err(ExtraError::Unpacked) };
    }
    let text = str::from_utf8(bytes).map_err(|_| ExtraError::NotText)?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if text.trim().is_empty() || is_known(&text) {
        return Ok(text);
    }
    let packed: String = text.split_ascii_whitespace().collect();
    match STANDARD.decode(packed) {
        Ok(decoded) if layers > 0 => unpacked(&decoded, layers - 1).map_err(|inner| match inner {
            // Many a word is base64 of something: what was given is what shall be shown.
            ExtraError::UnknownHeader { .. } | ExtraError::NotText => unknown(&text),
            ExtraError::Gzip | ExtraError::Unpacked => inner,
        }),
        Ok(_) | Err(_) => Err(unknown(&text)),
    }
}

fn unknown(text: &str) -> ExtraError {
    let line = text.trim_start().lines().next().unwrap_or_default();
    let shown: String = line.chars().take(SHOWN_CHARS).collect();
    let more = if shown.len() < line.len() { "…" } else { "" };
    ExtraError::UnknownHeader { begin: format!("{}{more}", shown.escape_debug()) }
}

/// As cloud-init looks at it: behind white space, in any case.
fn is_known(text: &str) -> bool {
    let begin = text.trim_start();
    is_mime(begin) || HEADERS.iter().any(|header| starts_with(begin, header))
}

fn is_mime(begin: &str) -> bool {
    MIME_HEADERS.iter().any(|header| starts_with(begin, header))
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}

/// Seven bits where they suffice: Python's parser does not read eight back as UTF-8. Base64 for everything else.
fn plain(text: &str) -> String {
    let is_ascii = text.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~'));
    let (encoding, body) = if is_ascii { ("7bit", text.to_owned()) } else { ("base64", lines_of_base64(text)) };
    format!(
        "Content-Type: text/plain; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: {encoding}\n\
         Content-Disposition: attachment; filename=\"{NAME}\"\n\n{body}"
    )
}

/// RFC 2045 §6.8: lines of at most 76 characters.
fn lines_of_base64(text: &str) -> String {
    let encoded = STANDARD.encode(text);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for (index, character) in encoded.chars().enumerate() {
        if index > 0 && index % 76 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines
}
