//! The state document: whatever it says, it is read or refused, and what is read is written the same way ever after.

use contract::Document;

/// A document as bytes.
pub fn document(input: &[u8]) {
    match Document::parse(input) {
        Ok(document) => {
            document.validate().expect("what was read is valid");
            let text = document.render();
            let again = Document::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(again, document, "what is written is what was read");
            assert_eq!(again.render(), text, "equal documents are equal bytes");
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && line.lines().count() == 1, "one line: {line:?}");
        }
    }
}
