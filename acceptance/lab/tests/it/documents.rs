//! A bad document never takes the servers' access away: the last good configuration serves on, and `status` says why.

use std::fs;
use std::path::Path;

use anyhow::Result;
use lab::Translator;
use lab::site::on_site;

const PAGE: &str = "http://web.example/";

/// As the provider replaces a document: the reader never sees a half of it.
fn replace(document: &Path, bytes: &[u8]) -> Result<()> {
    let new = document.with_extension("new");
    fs::write(&new, bytes)?;
    Ok(fs::rename(new, document)?)
}

fn refusal(translator: &Translator) -> Result<String> {
    Ok(translator.wait_for_document("refused")?["reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_hostile_document_is_refused_with_a_reason_and_the_last_good_one_serves_on() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let document = site.lab.document();
        let good = fs::read_to_string(&document)?;
        let key_twice = good.replacen("\"serial\"", "\"format\": 1, \"serial\"", 1);
        let hostile: [(&str, Vec<u8>, &str); 6] = [
            ("cut off", good.as_bytes()[..good.len() / 2].to_vec(), "line"),
            ("empty", Vec::new(), ""),
            ("not text", vec![0xff; 4096], ""),
            ("newer", good.replacen("\"format\": 1", "\"format\": 99", 1).into(), "upgrade"),
            ("a key twice", key_twice.into(), "format"),
            ("too large", vec![b' '; contract::MAX_DOCUMENT_BYTES + 1], ""),
        ];
        for (name, bytes, reason) in hostile {
            replace(&document, &bytes)?;
            let told = refusal(site.translator()?)?;
            assert!(!told.is_empty() && told.contains(reason), "{name}: {told}");
            web.curl(PAGE)?;

            replace(&document, good.as_bytes())?;
            site.translator()?.wait_for_document("applied")?;
        }
        Ok(())
    });
}

#[test]
fn a_document_that_is_being_written_in_place_is_refused_until_it_is_whole() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;
        let document = site.lab.document();
        let good = fs::read(&document)?;

        fs::write(&document, &good[..good.len() / 3])?;
        refusal(site.translator()?)?;
        web.curl(PAGE)?;
        fs::write(&document, &good)?;

        site.translator()?.wait_for_document("applied")?;
        web.curl(PAGE)?;
        Ok(())
    });
}

#[test]
fn a_document_that_is_deleted_takes_nobodys_access_away() {
    on_site(|site| {
        let web = site.with_connected_server("web")?;

        fs::remove_file(site.lab.document())?;

        refusal(site.translator()?)?;
        web.curl(PAGE)?;
        Ok(())
    });
}
