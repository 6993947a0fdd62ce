//! Inputs to begin with: conversations as they happen, so that a fuzzer need not find out what a packet is.

mod dns;

use nat64::Side;

use crate::bench::{Bench, INSIDE, REMOTES, at, at4};
use crate::operations::cut;
use crate::packets::{Kind, Shape, build};

/// Inputs for a target; none for one that there is not.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "coalesce" => batches(),
        "control" => requests(),
        "dns_answer" => dns::answers(),
        "dns_query" => dns::questions(),
        "fragments" => scripts_of_fragments(),
        "icmp_errors" => scripts_of_errors(),
        "inside" => of_packets(Side::Inside),
        "outside" => of_packets(Side::Outside),
        "virtio" => frames(),
        _ => Vec::new(),
    }
}

/// Right packets between all endpoints there are.
fn packets(side: Side) -> Vec<Vec<u8>> {
    let bench = Bench::new();
    let mut all = Vec::new();
    for inner in INSIDE.map(at) {
        for remote in REMOTES.map(at4) {
            let (from, to) = match side {
                Side::Inside => (inner, bench.towards(inner, remote)),
                Side::Outside => (remote.into(), at("192.0.2.1:5000")),
            };
            let identifier = inner.port();
            let kinds = [
                Kind::Udp,
                Kind::Tcp { flags: 2 },
                Kind::Tcp { flags: 24 },
                Kind::Echo { identifier, is_reply: side == Side::Outside },
            ];
            all.extend(kinds.map(|kind| build(Shape { from, to, kind, payload: b"GET / HTTP/1.1\r\n" })));
        }
    }
    all
}

/// What the targets `inside` and `outside` read as a packet that is left as it is.
fn raw(bytes: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn of_packets(side: Side) -> Vec<Vec<u8>> {
    let all: Vec<_> = packets(side).iter().map(|bytes| raw(bytes)).collect();
    let whole = build(Shape {
        from: if side == Side::Inside { at(INSIDE[0]) } else { at(REMOTES[0]) },
        to: if side == Side::Inside { at("[64:ff9b::909:909]:53") } else { at("192.0.2.1:5000") },
        kind: Kind::Udp,
        payload: &[1; 600],
    });
    let train = [raw(&cut(&whole, 9, 0, 304, true)), raw(&cut(&whole, 9, 304, 304, false))].concat();
    let conversations = all.chunks(4).map(<[Vec<u8>]>::concat);
    all.iter().step_by(7).cloned().chain(conversations).chain([train]).chain(shaped()).collect()
}

/// Operations of every kind, each with a few different operands.
fn shaped() -> impl Iterator<Item = Vec<u8>> {
    (0..64u8).map(|n| {
        let (inner, remote, kind) = (n % 6, n / 6, n.wrapping_mul(37));
        let packet = [3, 8 | n << 6, inner, remote, kind, n, n.wrapping_mul(29), 0];
        [&packet[..], &[6, 4, n & 0xf, 0], &[6, 5, n << 2, n], &packet, &[6, 6, n, n << 3, n], &packet].concat()
    })
}

fn scripts_of_fragments() -> Vec<Vec<u8>> {
    let trains = (0..48u8).map(|n| {
        let side = n % 2;
        let packet = [side, 0, n, n % 6, n % 4, n.wrapping_mul(37), n, 120 + n * 2];
        [&packet[..], &[9, n, 40 + n], &[13, n], &[2, 0, n, 60, 0], &[2, 0, n + 8, 127, 0], &[9, n + 1, 100]].concat()
    });
    trains.collect()
}

fn scripts_of_errors() -> Vec<Vec<u8>> {
    let errors = (0..64u8).map(|n| {
        let how = n.wrapping_mul(21) & 0x3f;
        let error = [0, how, n & 0x87, 0, n & 3, 60, n & 7, n, n & 15, 0, 0, 5, n];
        [&error[..], &[3, 4, n & 7, 0], &error].concat()
    });
    errors.collect()
}

fn frames() -> Vec<Vec<u8>> {
    let frames = (0..64u8).map(|n| {
        let header = [1, [0, 1, 4, 5][usize::from(n % 4)], 40, 0, n.wrapping_mul(9), n % 6, 40, 0, 16, 0];
        let shape = [n % 6, n % 4, n.wrapping_mul(37), n, n.wrapping_mul(29)];
        [&[0x18 | n & 1][..], &header, &shape].concat()
    });
    frames.collect()
}

/// Rows of packets of one flow, of two in turn, and with something odd in between.
fn batches() -> Vec<Vec<u8>> {
    let rows = (0..64u8).map(|n| {
        let flow = n % 16;
        let packet = |flow: u8, len: u8| [2, flow, len];
        let odd = [
            vec![0x22, flow, 40, 1, n, n.wrapping_mul(29)],
            vec![0x2b, flow, 40, 1, 6, 0x20],
            [&[1, 0, 28][..], &[0x45; 28]].concat(),
            vec![2, flow | 0x20, 40],
        ];
        let row = [packet(flow, 40), packet(flow ^ (n >> 4 & 1), 40), packet(flow, 40 + (n >> 5)), packet(flow, 40)];
        [&[n << 2][..], &row.concat(), &odd[usize::from(n % 4)], &row.concat(), &packet(flow | 0x80, 90), &[0]].concat()
    });
    rows.collect()
}

fn requests() -> Vec<Vec<u8>> {
    let outer = r#""outer":"192.0.2.1:1060""#;
    let lines = [
        r#"{"command":"status"}"#.to_owned(),
        r#"{"command":"table","request":{"list_bib":{"skip":0}}}"#.to_owned(),
        r#"{"command":"table","request":{"list_sessions":{"skip":1}}}"#.to_owned(),
        format!(
            r#"{{"command":"table","request":{{"add_mapping":{{"mapping":{{"protocol":"udp",{outer},"inner":"[2001:db8::7]:7"}}}}}}}}"#
        ),
        format!(r#"{{"command":"table","request":{{"remove_mapping":{{"protocol":"udp",{outer}}}}}}}"#),
        r#"{"command":"set","setting":{"key":"lowest-ipv6-mtu","value":1400}}"#.to_owned(),
        r#"{"command":"set","setting":{"key":"mtu4","value":null}}"#.to_owned(),
        r#"{"command":"set","setting":{"key":"mtu6","value":1280}}"#.to_owned(),
        r#"{"command":"set","setting":{"key":"filtering","value":"address-dependent"}}"#.to_owned(),
        r#"{"command":"set","setting":{"key":"hairpinning","value":"off"}}"#.to_owned(),
        r#"{"command":"set","setting":{"key":"allow","value":["10.0.0.0/8"]}}"#.to_owned(),
    ];
    let lines: Vec<_> = lines.iter().map(|line| format!("{line}\n").into_bytes()).collect();
    let connections = [lines.concat(), lines.join(&0x1e)];
    lines.into_iter().chain(connections).collect()
}
