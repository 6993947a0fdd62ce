//! Connections to the control socket of a translator that has sessions, with packets and time between them.

use std::time::{Duration, Instant};

use hetznat_translator::ControlBench;
use packet::{HEADROOM, Packet};

use crate::bench::at;
use crate::packets::{Kind, Shape, build};

/// Ends a connection: no request holds it.
const END_OF_CONNECTION: u8 = 0x1e;
/// An input is some connections, not a flood.
const MOST_CONNECTIONS: usize = 8;

const OPTIONS: [&str; 6] =
    ["--pool4", "192.0.2.1-192.0.2.2", "--ports", "1024-1100", "--static", "udp,192.0.2.1:1050,[2001:db8::5]:1001"];

/// Lines of requests, connections apart by one byte.
pub fn control(input: &[u8]) {
    let mut now = Instant::now();
    let mut bench = ControlBench::new(&OPTIONS, [7; 32], now);
    for (port, bytes) in (1024..).zip(input.split(|byte| *byte == END_OF_CONNECTION).take(MOST_CONNECTIONS)) {
        open_session(&mut bench, now, port);
        let (answers, shown) = bench.serve(now, bytes);
        check_answers(bytes, &answers, &shown);
        check_tables(&bench, now);
        now += Duration::from_secs(30);
        bench.engine.handle_timeout(now);
    }
}

fn open_session(bench: &mut ControlBench, now: Instant, port: u16) {
    let mut from = at("[2001:db8::7]:0");
    from.set_port(port);
    let bytes = build(Shape { from, to: at("[64:ff9b::909:909]:53"), kind: Kind::Udp, payload: b"" });
    let mut buffer = [&[0; HEADROOM][..], &bytes].concat();
    let end = buffer.len();
    // Settings may refuse it.
    let _ = bench.engine.handle_inside(now, &mut Packet::new(&mut buffer, HEADROOM..end));
    while bench.engine.poll_transmit().is_some() {}
}

/// Every line has one answer, which is one line of JSON with one key, and people can read it.
fn check_answers(asked: &[u8], answers: &[u8], shown: &[String]) {
    let lines = asked.split_inclusive(|byte| *byte == b'\n').count();
    assert!(answers.is_empty() || answers.ends_with(b"\n"));
    let answers: Vec<_> = answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert!(answers.len() <= lines, "{} answers to {lines} lines", answers.len());
    assert!(lines == 0 || !answers.is_empty(), "the first line has an answer");
    for answer in &answers {
        let answer: serde_json::Value = serde_json::from_slice(answer).expect("an answer is JSON");
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{answer}");
    }
    assert_eq!(shown.len(), answers.len());
}

fn check_tables(bench: &ControlBench, now: Instant) {
    let bib: Vec<_> = bench.engine.bib().collect();
    let unique = |ends: Vec<String>| ends.iter().collect::<std::collections::BTreeSet<_>>().len();
    let inners = bib.iter().map(|entry| format!("{:?} {}", entry.protocol, entry.inner)).collect();
    let outers = bib.iter().map(|entry| format!("{:?} {}", entry.protocol, entry.outer)).collect();
    assert_eq!((unique(inners), unique(outers)), (bib.len(), bib.len()), "the BIB is a bijection");
    let (mtu6, mtu4) = bench.mtus();
    assert!(mtu6 >= 1280 && mtu4 >= 68, "settings that no network has: {mtu6} {mtu4}");
    assert_eq!(bib.iter().map(|entry| entry.sessions as usize).sum::<usize>(), bench.engine.sessions(now).count());
}
