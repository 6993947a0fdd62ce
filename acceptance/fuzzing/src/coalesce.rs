//! Batches of packets merged into super-packets, and cut again: what went in must come out.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use packet::coalesce::{Coalescer, LARGEST_SUPER_PACKET, MOST_SEGMENTS, Merge, Refused};
use packet::ipv4::{Ipv4, Ipv4Mut};
use packet::{Family, Layout, protocol, segment};

use crate::bench::at;
use crate::operations::{Step, change};
use crate::oracle::{self, Trust};
use crate::packets::{Kind, Mend, Shape, build, mend, put};
use crate::script::Script;

/// Both ends of flows that differ in little.
const FLOWS: [[&str; 2]; 4] = [
    ["[2001:db8::7]:40000", "[64:ff9b::909:909]:443"],
    ["[2001:db8::7]:40001", "[64:ff9b::909:909]:443"],
    ["192.0.2.1:40000", "9.9.9.9:443"],
    ["192.0.2.1:40001", "9.9.9.9:443"],
];
const DONT_FRAGMENT: u8 = 0x40;

/// Batches of packets that follow each other, often but not always.
pub fn coalesce(input: &[u8]) {
    let mut script = Script::new(input);
    let Some(how) = script.byte() else { return };
    let merge = [Merge::TcpAndUdp, Merge::TcpAndUdp, Merge::Tcp, Merge::Nothing][usize::from(how & 3)];
    let mut batch = Batch::new(Coalescer::new(merge, usize::from(how >> 2 & 15)));
    while batch.step(&mut script).is_some() {}
    batch.check();
}

struct Batch {
    coalescer: Coalescer,
    /// Of each flow.
    sequences: [u32; FLOWS.len()],
    /// Of all IPv4 packets, as of a host that counts.
    identification: u16,
    pushed: Vec<Vec<u8>>,
    polled: Vec<Vec<u8>>,
}

impl Batch {
    const fn new(coalescer: Coalescer) -> Self {
        let sequences = [u32::MAX - 1000; FLOWS.len()];
        Self { coalescer, sequences, identification: 0, pushed: Vec::new(), polled: Vec::new() }
    }

    fn step(&mut self, script: &mut Script<'_>) -> Step {
        let how = script.byte()?;
        match how & 7 {
            0 => self.poll(),
            1 => {
                let len = script.word()?;
                let mut bytes = script.bytes(usize::from(len)).to_vec();
                mend(&mut bytes, Mend::of(how >> 3));
                self.push(bytes);
            }
            _ => {
                let mut bytes = self.next_of_flow(how, script)?;
                if how & 0x20 != 0 {
                    change(&mut bytes, script)?;
                    mend(&mut bytes, Mend::of(how >> 3));
                }
                self.push(bytes);
            }
        }
        Some(())
    }

    /// The packet that comes next in one of the flows.
    fn next_of_flow(&mut self, how: u8, script: &mut Script<'_>) -> Option<Vec<u8>> {
        let (flow, len) = (usize::from(script.byte()?), script.byte()?);
        let sequence = &mut self.sequences[flow % FLOWS.len()];
        let [from, to]: [SocketAddr; 2] = FLOWS[flow % FLOWS.len()].map(at);
        let payload = vec![len ^ how; usize::from(len) * if flow & 0x80 == 0 { 1 } else { 16 }];
        let flags = [0x10, 0x10, 0x18, 0x11][flow >> 4 & 3];
        let kind = if flow & 8 == 0 { Kind::Tcp { flags } } else { Kind::Udp };
        let mut bytes = build(Shape { from, to, kind, payload: &payload });
        let transport_at = if from.is_ipv6() { 40 } else { 20 };
        if from.is_ipv4() {
            put(&mut bytes, 4, self.identification);
            bytes[6] = if flow & 4 == 0 { 0 } else { DONT_FRAGMENT };
            self.identification = self.identification.wrapping_add(1);
        }
        if matches!(kind, Kind::Tcp { .. }) {
            bytes[transport_at + 4..transport_at + 8].copy_from_slice(&sequence.to_be_bytes());
            *sequence = sequence.wrapping_add(payload.len() as u32);
        }
        mend(&mut bytes, Mend::All);
        Some(bytes)
    }

    fn push(&mut self, bytes: Vec<u8>) {
        if self.coalescer.push(&bytes) == Err(Refused::Full) {
            self.poll();
            assert_eq!(self.coalescer.push(&bytes), Ok(()), "there is room for one at least");
        }
        self.pushed.push(bytes);
    }

    fn poll(&mut self) {
        while let Some(packet) = self.coalescer.poll() {
            let before = self.polled.len();
            let cut = segment::segment(&packet, |part| self.polled.push(part.to_vec()));
            assert_eq!(cut, Ok(()), "what was merged can be cut");
            let parts = &self.polled[before..];
            if packet.offload.segments.is_some() {
                assert!((2..=usize::from(MOST_SEGMENTS)).contains(&parts.len()));
                assert!(packet.len() <= LARGEST_SUPER_PACKET);
                for part in parts {
                    oracle::read(part, Trust::Right);
                }
            }
        }
    }

    /// Every packet has left, no flow was reordered, and nothing has passed what may be of any flow.
    fn check(mut self) {
        self.poll();
        assert_eq!(stretches(&self.pushed), stretches(&self.polled));
    }
}

/// Protocol, addresses and ports.
type Flow = (u8, Vec<u8>, Vec<u8>);

/// Packets up to one that may be of any flow.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stretch {
    flows: BTreeMap<Flow, Vec<Vec<u8>>>,
    end: Option<Vec<u8>>,
}

fn stretches(packets: &[Vec<u8>]) -> Vec<Stretch> {
    let mut all = Vec::new();
    let mut stretch = Stretch::default();
    for bytes in packets {
        match flow_of(bytes) {
            Some(flow) => stretch.flows.entry(flow).or_default().push(comparable(bytes)),
            None => {
                stretch.end = Some(comparable(bytes));
                all.push(std::mem::take(&mut stretch));
            }
        }
    }
    all.push(stretch);
    all
}

fn flow_of(bytes: &[u8]) -> Option<Flow> {
    let layout = Layout::of(bytes).ok()?;
    let addresses = if layout.family == Family::V4 { 12..20 } else { 8..40 };
    let ports = layout.transport(bytes).get(..4)?;
    let has_ports = !layout.is_fragment && matches!(layout.protocol, protocol::TCP | protocol::UDP);
    has_ports.then(|| (layout.protocol, bytes[addresses].to_vec(), ports.to_vec()))
}

/// Without padding; and the identification of IPv4 packets that may not be fragmented means nothing (RFC 6864 §4.1).
fn comparable(bytes: &[u8]) -> Vec<u8> {
    let end = Layout::of(bytes).map_or(bytes.len(), |layout| layout.end);
    let mut bytes = bytes[..end].to_vec();
    if Ipv4::parse(&bytes).is_ok_and(|ip| ip.dont_fragment() && ip.checksum_is_right())
        && let Ok(mut header) = Ipv4Mut::parse(&mut bytes)
    {
        header.set_identification(0);
        header.seal();
    }
    bytes
}
