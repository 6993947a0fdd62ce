//! The format on disk: documents that must stay readable and byte-identical, and broken ones with what is said about
//! them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use contract::Document;

#[test]
fn good_documents_are_rendered_byte_for_byte_as_they_were_read() {
    for (name, bytes) in golden("good-") {
        let document = Document::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));

        assert_eq!(document.render(), String::from_utf8(bytes).unwrap(), "{name}");
    }
}

#[test]
fn bad_documents_are_refused_with_the_place_and_the_remedy() {
    let report: String = golden("bad-")
        .into_iter()
        .map(|(name, bytes)| match Document::parse(&bytes) {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => format!("{name}\n    {error}\n"),
        })
        .collect();

    insta::assert_snapshot!(report);
}

#[test]
fn debug_never_shows_a_private_key() {
    let (_, bytes) = golden("good-").into_iter().find(|(name, _)| name == "good-private-key.json").unwrap();
    let document = Document::parse(&bytes).unwrap();

    let shown = format!("{document:#?}");

    let secret = document.gateways.values().find_map(|gateway| gateway.private_key.as_ref()).unwrap();
    assert!(!shown.contains(secret.to_base64().as_str()) && shown.contains("PrivateKey(…)"), "{shown}");
}

fn golden(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no {prefix}*.json");
    files
}
