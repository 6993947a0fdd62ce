//! Packets in, packets out, in a text that people read: what is written into the translator's interface, and byte for byte
//! what must come out of it.
//!
//! ```text
//! case an answer goes in by a mapping that is there
//! send udp 203.0.112.80:4000 203.0.114.2:2000 data=4
//! want udp [64:ff9b::cb00:7050]:4000 [2001:db8::5]:2000 hops=63 data=4
//! ```
//! A case without `want` wants silence. A packet is `udp SOURCE DESTINATION`, `tcp` the same, or
//! `icmp TYPE/CODE SOURCE DESTINATION`, the family being that of the addresses, and then any of
//!
//! | | |
//! |---|---|
//! | `hops=64` `class=0` `df` `id=0` | of the network header; `id=any` compares no identification |
//! | `options=HEX` `chain=FIRST/HEX` | IPv4 options; IPv6 extension headers, of which the first has this number |
//! | `data=N` `flags=SA` `rest=HEX` | bytes of payload; flags of TCP; the four bytes behind an ICMP checksum |
//! | `check=+1` `check=0` | a transport checksum that is wrong, or none |
//! | `part=16..32` `part=32..` | the fragment with these bytes of the transport message |
//! | `{ PACKET }` `first=N` `pad=N` `more=HEX` | what an ICMP error quotes, cut to N bytes or padded to N, and what stands behind it |

mod build;
mod parse;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::Host;

pub use parse::cases;

/// Packets that are sent one after the other, and all that must come of them, in order.
#[derive(Debug)]
pub struct Case {
    name: String,
    send: Vec<Packet>,
    want: Vec<Packet>,
}

#[derive(Debug)]
struct Packet {
    bytes: Vec<u8>,
    /// Whether the identification is the translator's to choose.
    any_identification: bool,
}

/// Plays cases on a host's interface, and says how each differs that does.
///
/// Behind each case goes an echo that is answered with `answer`; what comes before that is all that came of the case.
///
/// # Errors
/// The host has no python3, the interface is not there, or an echo is not answered.
pub fn play(host: &Host, interface: &str, directory: &Path, cases: &[Case]) -> Result<Vec<String>> {
    let marker = parse::packet("icmp 8/0 203.0.112.80 203.0.114.2 rest=00070001 data=4")?;
    let answer = parse::packet("icmp 128/0 64:ff9b::cb00:7050 2001:db8::5 rest=00070001 hops=63 data=4")?;
    let sent: Vec<Vec<String>> =
        cases.iter().map(|case| case.send.iter().map(|packet| hex(&packet.bytes)).collect()).collect();
    let play = json!({ "cases": sent, "marker": hex(&marker.bytes), "answer": hex(&answer.bytes) });
    let file = directory.join("cases.json");
    std::fs::write(&file, play.to_string()).with_context(|| file.display().to_string())?;
    let script = include_str!("vectors/play.py");
    let played = host.run(&["python3", "-c", script, interface, &file.display().to_string()])?;
    let came: Vec<Vec<String>> = serde_json::from_value(serde_json::from_str::<Value>(&played)?)?;
    ensure!(came.len() == cases.len(), "{} of {} cases were played", came.len(), cases.len());
    Ok(cases.iter().zip(&came).filter_map(|(case, came)| case.difference(came)).collect())
}

impl Case {
    fn difference(&self, came: &[String]) -> Option<String> {
        let is_same = came.len() == self.want.len()
            && self.want.iter().zip(came).all(|(want, came)| hex(&want.comparable(&want.bytes)) == want.of(came));
        let wanted = || self.want.iter().map(|want| hex(&want.bytes)).collect::<Vec<_>>();
        (!is_same).then(|| format!("{}\n  wanted {:#?}\n  came {came:#?}", self.name, wanted()))
    }
}

impl Packet {
    /// What came, as it can be compared with this.
    fn of(&self, came: &str) -> String {
        let digits = came.as_bytes().chunks(2).filter_map(|pair| str::from_utf8(pair).ok());
        let bytes: Vec<u8> = digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
        hex(&self.comparable(&bytes))
    }

    /// Without the identification that is not to be compared, nor the header checksum, if that is right.
    fn comparable(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if self.any_identification && bytes.len() >= 20 && build::sum(&bytes[..20]) == 0xffff {
            bytes[4..6].fill(0);
            bytes[10..12].fill(0);
        }
        bytes
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
