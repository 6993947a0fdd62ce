//! Questions and answers as resolvers send them.

use dns64::{Dnssec, Name, RecordType, write_question};

const NAMES: [&str; 5] = [
    "www.example",
    "ipv4only.arpa",
    "x.ipv4only.arpa",
    "8.0.7.0.6.0.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa",
    "5.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa",
];

fn question(name: &str, rtype: RecordType, dnssec: Dnssec) -> Vec<u8> {
    let name: Name = name.parse().expect("a name");
    let mut bytes = Vec::new();
    write_question(&mut bytes, 0x1234, name.as_ref(), rtype, dnssec);
    bytes
}

/// Of clients: special names and others, with and without DO and CD.
pub(super) fn questions() -> Vec<Vec<u8>> {
    let types = [RecordType::A, RecordType::AAAA, RecordType::PTR, RecordType::HTTPS, RecordType::ANY, RecordType::DS];
    let ways = [(false, false), (true, false), (true, true)];
    let all = NAMES.iter().flat_map(|name| types.map(|rtype| (name, rtype)));
    all.flat_map(|(name, rtype)| ways.map(|(records, unchecked)| question(name, rtype, Dnssec { records, unchecked })))
        .collect()
}

/// Of upstreams: addresses, aliases, denials, proofs.
pub(super) fn answers() -> Vec<Vec<u8>> {
    let www = b"\xc0\x0c";
    let apex = b"\xc0\x10";
    let soa = b"\x02ns\xc0\x10\x01h\xc0\x10\0\0\0\x01\0\0\x1c\x20\0\0\x03\x84\0\x09\x3a\x80\0\0\x04\xb0";
    let rrsig = b"\0\x01\x0d\x02\0\0\0\x09\x7f\xff\xff\xff\0\0\0\0\x04\x0d\x07example\0signature";
    let nsec = b"\x01z\x07example\0\0\x06\x40\0\0\0\0\x03";
    let nsec3 = b"\x01\0\0\x0c\x04\xaa\xbb\xcc\xdd\x1412345678901234567890\0\x01\x40";
    let hashed = b"\x200p9mhaveqvm6t7vbl5lop2u3t2rp3tom\xc0\x10";
    let a = record(www, 1, &[5, 6, 7, 8]);
    let signature = record(www, 46, rrsig);
    let alias = record(www, 5, b"\x03cdn\xc0\x10");
    let behind = record(b"\xc0\x29", 1, &[5, 6, 7, 9]);
    let dname = record(apex, 39, b"\x04test\0");
    let denial =
        [record(apex, 6, soa), record(apex, 46, rrsig), record(www, 47, nsec), record(www, 46, rrsig)].concat();
    let hashes = [record(hashed, 50, nsec3), record(hashed, 46, rrsig)].concat();
    let keys = [record(www, 48, b"\x01\0\x03\x0dkey"), record(www, 43, b"\x04\x0d\x0d\x02digest")].concat();
    let bodies: [(u8, u8, Vec<u8>); 8] = [
        (1, 0, a.clone()),
        (2, 0, [&a[..], &signature].concat()),
        (2, 0, [&alias[..], &behind].concat()),
        (2, 0, [&dname[..], &alias].concat()),
        (0, 4, denial.clone()),
        (1, 4, [&alias[..], &denial].concat()),
        (0, 2, hashes),
        (2, 0, keys),
    ];
    let types = [RecordType::A, RecordType::AAAA, RecordType::DS, RecordType::PTR];
    let all = bodies.iter().flat_map(|body| types.map(|rtype| (body, rtype)));
    all.map(|((answers, authority, body), rtype)| answer(rtype, *answers, *authority, body)).collect()
}

fn record(owner: &[u8], rtype: u8, rdata: &[u8]) -> Vec<u8> {
    [owner, &[0, rtype, 0, 1, 0, 0, 0, 9, 0, rdata.len() as u8], rdata].concat()
}

fn answer(rtype: RecordType, answers: u8, authority: u8, body: &[u8]) -> Vec<u8> {
    let question = question(NAMES[0], rtype, Dnssec { records: true, unchecked: true });
    // Without the OPT record, which stands last.
    let end = question.len() - 11;
    let mut bytes = [&question[..end], body, &question[end..]].concat();
    (bytes[2], bytes[7], bytes[9]) = (0x81, answers, authority);
    bytes
}
