//! From text to packets.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use super::build::{Body, Fields, build};
use super::{Case, Packet};

/// The cases of a text; lines that start with `#` and blank ones say nothing.
///
/// # Errors
/// A line that is none, with its number.
pub fn cases(text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let at = || format!("line {}: {line}", index + 1);
        match (verb, cases.last_mut()) {
            ("", _) | ("#", _) => {}
            ("case", _) => cases.push(Case { name: rest.to_owned(), send: Vec::new(), want: Vec::new() }),
            ("send", Some(case)) => case.send.push(packet(rest).with_context(at)?),
            ("want", Some(case)) => case.want.push(packet(rest).with_context(at)?),
            _ => bail!("{} is no line of a case", at()),
        }
    }
    Ok(cases)
}

pub(super) fn packet(text: &str) -> Result<Packet> {
    let (text, quote) = match text.split_once('{') {
        Some((outer, quote)) => (outer, Some(quote.trim_end().strip_suffix('}').context("no closing brace")?)),
        None => (text, None),
    };
    let mut words = text.split_whitespace();
    let kind = words.next().context("no protocol")?;
    let message = if kind == "icmp" { words.next().context("no type and code")? } else { "" };
    let (source, destination) = (endpoint(words.next())?, endpoint(words.next())?);
    let body = match kind {
        "udp" => Body::Udp,
        "tcp" => Body::Tcp,
        "icmp" => {
            let (kind, code) = message.split_once('/').context("an ICMP message is TYPE/CODE")?;
            Body::Icmp { kind: kind.parse()?, code: code.parse()? }
        }
        other => bail!("{other:?} is no protocol"),
    };
    let mut fields = Fields::new(body, source, destination);
    if let Some(quote) = quote {
        fields.data = packet(quote.trim())?.bytes;
    }
    let any_identification = words.clone().any(|word| word == "id=any");
    for word in words.filter(|word| *word != "id=any") {
        set(&mut fields, word).with_context(|| word.to_owned())?;
    }
    Ok(Packet { bytes: build(&fields)?, any_identification })
}

fn endpoint(word: Option<&str>) -> Result<SocketAddr> {
    let word = word.context("two addresses are needed")?;
    let with_port = SocketAddr::from_str(word);
    with_port.or_else(|_| word.parse::<IpAddr>().map(|address| SocketAddr::new(address, 0))).context(word.to_owned())
}

fn set(fields: &mut Fields, word: &str) -> Result<()> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    match key {
        "hops" => fields.hops = value.parse()?,
        "class" => fields.class = number(value)?.try_into()?,
        "df" => fields.dont_fragment = true,
        "id" => fields.identification = number(value)?,
        "options" => fields.options = bytes(value)?,
        "chain" => {
            let (first, headers) = value.split_once('/').context("FIRST/HEX")?;
            fields.chain = Some((first.parse()?, bytes(headers)?));
        }
        "data" => fields.data = (0..value.parse::<usize>()?).map(|at| (at % 251) as u8).collect(),
        "flags" => fields.flags = value.to_owned(),
        "rest" => fields.rest = bytes(value)?.try_into().ok().context("four bytes")?,
        "check" => fields.check = Some(value.to_owned()),
        "part" => {
            let (from, to) = value.split_once("..").context("FROM..TO")?;
            fields.part = Some((from.parse()?, if to.is_empty() { None } else { Some(to.parse()?) }));
        }
        "first" => fields.data.truncate(value.parse()?),
        "pad" => fields.data.resize(value.parse()?, 0),
        "more" => fields.data.extend(bytes(value)?),
        _ => bail!("no field of a packet"),
    }
    Ok(())
}

fn number(text: &str) -> Result<u32> {
    Ok(text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u32::from_str_radix(digits, 16))?)
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_none_is_told_with_its_number() {
        for line in ["send udp 1.1.1.1:1 2.2.2.2:2", "case x\nsend sctp 1.1.1.1 2.2.2.2", "case x\nsend udp 1.1.1.1:1"]
        {
            assert!(format!("{:#}", cases(line).unwrap_err()).contains("line "), "{line}");
        }
    }

    #[test]
    fn an_error_quotes_another_packet() {
        let error = packet("icmp 3/3 1.1.1.1 2.2.2.2 first=28 { udp 2.2.2.2:7 1.1.1.1:9 data=100 }").unwrap();

        assert_eq!(error.bytes.len(), 20 + 8 + 28);
        assert_eq!(error.bytes[28 + 20..28 + 24], [0, 7, 0, 9]);
    }
}
