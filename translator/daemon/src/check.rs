//! `check`: what a state document says, in a few lines.

use std::fmt::{self, Write as _};
use std::path::Path;

use contract::{Document, FORMAT, Gateway, Name};

use crate::error::Error;
use crate::source::read_document;

/// Reads a document as `run` would; what is in it, or in one gateway of it.
///
/// # Errors
/// What `run` would say about the document, but for the private key.
pub(crate) fn check(path: &Path, gateway: Option<&Name>) -> Result<String, Error> {
    let mut document = read_document(path)?;
    if let Some(name) = gateway {
        let Some(found) = document.gateways.remove(name) else {
            let known = document.gateways.into_keys().collect();
            return Err(Error::GatewayMissing { path: path.to_owned(), gateway: name.clone(), known });
        };
        document.gateways = [(name.clone(), found)].into();
    }
    let mut page = String::new();
    write_page(&mut page, path, &document).expect("a String takes what is written to it");
    Ok(page)
}

fn write_page(page: &mut String, path: &Path, document: &Document) -> fmt::Result {
    writeln!(page, "state file {}: good (format {FORMAT}, serial {})", path.display(), document.serial)?;
    if document.gateways.is_empty() {
        writeln!(page, "no gateways")?;
    }
    document.gateways.iter().try_for_each(|(name, gateway)| write_gateway(page, name, gateway))
}

fn write_gateway(page: &mut String, name: &Name, gateway: &Gateway) -> fmt::Result {
    let Gateway { public_key, pool6, mtu, keepalive_secs, address6, ipv4_prefix, .. } = gateway;
    let private_key =
        if gateway.private_key.is_some() { "in the document" } else { "not in the document; run needs --private-key" };
    writeln!(page, "gateway {name}")?;
    writeln!(page, "  public key   {public_key}")?;
    writeln!(page, "  private key  {private_key}")?;
    writeln!(page, "  pool6        {pool6}")?;
    writeln!(page, "  addresses    {address6}, {} of {ipv4_prefix}", gateway.address4())?;
    writeln!(page, "  tunnels      {mtu} bytes, keepalive {keepalive_secs} s")?;
    if let Some(discovery) = &gateway.discovery {
        writeln!(page, "  discovery    {}", discovery.label_selector)?;
    }
    for (name, group) in &gateway.groups {
        writeln!(page, "  group        {name}: {}", group.label_selector)?;
    }
    writeln!(page, "  peers        {}", gateway.peers.len())?;
    for (name, peer) in &gateway.peers {
        let prefix = peer.prefix.map_or_else(|| "found by its label".to_owned(), |prefix| prefix.to_string());
        let endpoint = peer.endpoint.map_or_else(|| "no endpoint".to_owned(), |endpoint| endpoint.to_string());
        writeln!(page, "    {name}: {prefix}, {}, {endpoint}", peer.ipv4)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_page_of_a_document() {
        let mut page = String::new();
        write_page(&mut page, Path::new("state.json"), &testing::document()).unwrap();

        insta::assert_snapshot!(page);
        assert!(!page.contains(testing::config().private_key.to_base64().as_str()));
    }

    #[test]
    fn an_empty_document_is_good() {
        let mut page = String::new();
        write_page(&mut page, Path::new("state.json"), &Document::default()).unwrap();

        assert_eq!(page, "state file state.json: good (format 1, serial 0)\nno gateways\n");
    }
}
