//! Records as the cases write them: `owner ttl type rdata`.

use std::net::{Ipv4Addr, Ipv6Addr};

use dns64::{Name, Record, RecordType};

pub(crate) fn rtype(text: &str) -> RecordType {
    match text {
        "A" => RecordType::A,
        "NS" => RecordType::NS,
        "CNAME" => RecordType::CNAME,
        "SOA" => RecordType::SOA,
        "PTR" => RecordType::PTR,
        "MX" => RecordType::MX,
        "TXT" => RecordType::TXT,
        "AAAA" => RecordType::AAAA,
        "DNAME" => RecordType::DNAME,
        "DS" => RecordType::DS,
        "HTTPS" => RecordType::HTTPS,
        other => panic!("{other} is no type that the cases use"),
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn record(text: &str) -> Record {
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (owner, ttl, kind, data) = (name(word()), word(), rtype(word()), word());
    // `*`: any TTL.
    let ttl = ttl.parse().unwrap_or(ANY_TTL);
    Record { owner, rtype: kind, ttl, rdata: rdata(kind, data).into() }
}

/// What [`record`] makes of a TTL that does not matter.
pub(crate) const ANY_TTL: u32 = u32::MAX;

fn rdata(kind: RecordType, text: &str) -> Vec<u8> {
    let words: Vec<&str> = text.split(' ').collect();
    let wire = |text: &str| name(text).as_ref().as_bytes().to_vec();
    match kind {
        RecordType::A => text.parse::<Ipv4Addr>().unwrap().octets().to_vec(),
        RecordType::AAAA => text.parse::<Ipv6Addr>().unwrap().octets().to_vec(),
        RecordType::NS | RecordType::CNAME | RecordType::PTR | RecordType::DNAME => wire(text),
        RecordType::MX => [words[0].parse::<u16>().unwrap().to_be_bytes().to_vec(), wire(words[1])].concat(),
        RecordType::SOA => {
            let numbers = words[2..].iter().flat_map(|word| word.parse::<u32>().unwrap().to_be_bytes());
            [wire(words[0]), wire(words[1]), numbers.collect()].concat()
        }
        // Nobody looks into the others.
        _ => text.as_bytes().to_vec(),
    }
}
