//! What is counted: each case prepares its packets first, and then does one thing many times.

mod datapath;

use std::hint::black_box;
use std::time::Duration;

use nat64::Side;

use crate::flows::{Bench, Flow, Inside, Transport, Waiting};

/// Something that is counted.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// What it is counted per.
    pub per: &'static str,
    /// More instructions than this are a failure.
    pub bar: Option<u64>,
    prepare: fn() -> Work,
}

/// Work that is ready to be done, once.
pub struct Work {
    /// How many of the case's units it is.
    pub units: u64,
    run: Box<dyn FnMut()>,
}

impl Work {
    /// Does it.
    pub fn run(&mut self) {
        (self.run)();
    }
}

/// What the packet of a known flow may cost; a build with overflow checks pays for them too.
const HIT: Option<u64> = Some(if cfg!(debug_assertions) { 1100 } else { 500 });
/// The same when its session has to be searched for: side by side with others, which takes more of them and half the time.
const SEARCH: Option<u64> = Some(if cfg!(debug_assertions) { 1650 } else { 875 });
/// Packets of a case; what is done once for all of them does not show.
const PACKETS: u32 = 1000;
/// Packets of one flow come in rows.
const IN_A_ROW: Duration = Duration::from_micros(1);
/// Each of a thousand flows has ten packets a second.
const IN_TURN: Duration = Duration::from_micros(100);
/// Flows of a busy gateway, more than there are hints to where they stand.
const MANY: u32 = 20_000;

/// Every case, in the order they are counted.
pub const CASES: [Case; 32] = [
    hit("NAT64 UDP out, one flow", || hits(Inside::Ipv6, Transport::Udp, Side::Inside, 1)),
    hit("NAT64 UDP in, one flow", || hits(Inside::Ipv6, Transport::Udp, Side::Outside, 1)),
    hit("NAT64 UDP out, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Udp, Side::Inside, PACKETS)),
    hit("NAT64 UDP in, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Udp, Side::Outside, PACKETS)),
    hit("NAT64 TCP out, one flow", || hits(Inside::Ipv6, Transport::Tcp, Side::Inside, 1)),
    hit("NAT64 TCP in, one flow", || hits(Inside::Ipv6, Transport::Tcp, Side::Outside, 1)),
    hit("NAT64 TCP out, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Tcp, Side::Inside, PACKETS)),
    hit("NAT64 TCP in, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Tcp, Side::Outside, PACKETS)),
    hit("NAT64 ICMP echo out, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Echo, Side::Inside, PACKETS)),
    hit("NAT64 ICMP echo in, 1,000 flows in turn", || hits(Inside::Ipv6, Transport::Echo, Side::Outside, PACKETS)),
    hit("NAT44 UDP out, 1,000 flows in turn", || hits(Inside::Ipv4, Transport::Udp, Side::Inside, PACKETS)),
    hit("NAT44 UDP in, 1,000 flows in turn", || hits(Inside::Ipv4, Transport::Udp, Side::Outside, PACKETS)),
    hit("NAT44 TCP out, 1,000 flows in turn", || hits(Inside::Ipv4, Transport::Tcp, Side::Inside, PACKETS)),
    searched("NAT64 UDP out, 20,000 flows in turn", || hits(Inside::Ipv6, Transport::Udp, Side::Inside, MANY)),
    searched("NAT64 UDP in, 20,000 flows in turn", || hits(Inside::Ipv6, Transport::Udp, Side::Outside, MANY)),
    hit("NAT64 TCP super-packet of 64 KiB out", || super_packets(Side::Inside)),
    hit("NAT64 TCP super-packet of 64 KiB in", || super_packets(Side::Outside)),
    other("NAT64 UDP, new flow", "flow", || new_flows(Transport::Udp)),
    other("NAT64 TCP, new flow", "flow", || new_flows(Transport::Tcp)),
    other("NAT64 UDP, new flow where there have been as many", "flow", || flows_again(Transport::Udp)),
    other("NAT64 TCP, new flow where there have been as many", "flow", || flows_again(Transport::Tcp)),
    other("checksum of 1500 bytes", "1500 bytes", datapath::checksums),
    other("cutting a super-packet into 1340 bytes", "segment", datapath::segments),
    other("merging segments of 1340 bytes into super-packets", "segment", datapath::merged_segments),
    other("merging datagrams of 100 bytes into super-packets", "datagram", datapath::merged_datagrams),
    other("reading the virtio-net header of a super-packet", "frame", datapath::frames_read),
    other("reading the virtio-net header of a packet", "frame", datapath::plain_frames_read),
    other("writing the virtio-net header of a super-packet", "frame", datapath::frames_written),
    other("tunnel: encrypting a packet of 1412 bytes", "packet", datapath::sealed),
    other("tunnel: cutting a super-packet and encrypting it", "segment", datapath::sealed_in_batches),
    other("tunnel: decrypting a packet of 1412 bytes", "packet", datapath::opened),
    other("tunnel: decrypting segments and merging them", "segment", datapath::opened_in_batches),
];

const fn hit(name: &'static str, prepare: fn() -> Work) -> Case {
    Case { name, per: "packet", bar: HIT, prepare }
}

const fn searched(name: &'static str, prepare: fn() -> Work) -> Case {
    Case { name, per: "packet", bar: SEARCH, prepare }
}

const fn other(name: &'static str, per: &'static str, prepare: fn() -> Work) -> Case {
    Case { name, per, bar: None, prepare }
}

impl Case {
    /// Gets everything ready.
    #[must_use]
    pub fn prepare(&self) -> Work {
        (self.prepare)()
    }

    /// Does the work, in the one function that is looked at, and says how many units it was.
    #[must_use]
    pub fn run(&self) -> u64 {
        let Work { units, mut run } = self.prepare();
        counted_work(&mut run);
        case_is_done();
        units
    }
}

/// Callgrind counts between the beginning and the end of this function, which must not end with a jump elsewhere.
#[inline(never)]
fn counted_work(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

/// Callgrind takes this for the end of a case.
#[inline(never)]
fn case_is_done() {
    black_box(());
}

fn flows(inside: Inside, transport: Transport, count: u32) -> Vec<Flow> {
    (0..PACKETS.max(count)).map(|number| Flow::new(inside, transport, number % count)).collect()
}

/// Packets of flows that are in use: each has had a packet before those that are counted.
fn hits(inside: Inside, transport: Transport, side: Side, count: u32) -> Work {
    let mut bench = Bench::new();
    let flows = flows(inside, transport, count);
    let answers = bench.open(&flows);
    let (mut before, packets) = match side {
        Side::Inside => (Bench::outgoing(&flows), Bench::outgoing(&flows)),
        Side::Outside => (answers.clone(), answers),
    };
    let between = if count == 1 { IN_A_ROW } else { IN_TURN };
    bench.pass(side, &mut before, between);
    passing(bench, side, packets, between)
}

fn super_packets(side: Side) -> Work {
    let mut bench = Bench::new();
    let flow = Flow::new(Inside::Ipv6, Transport::Tcp, 1);
    bench.open(&[flow]);
    let packets = bench.super_packets(flow, side, 50);
    passing(bench, side, packets, IN_A_ROW)
}

fn new_flows(transport: Transport) -> Work {
    let packets = Bench::opening(&flows(Inside::Ipv6, transport, PACKETS));
    passing(Bench::new(), Side::Inside, packets, IN_TURN)
}

/// New flows in tables that need not grow for them.
fn flows_again(transport: Transport) -> Work {
    let flows = flows(Inside::Ipv6, transport, PACKETS);
    let mut bench = Bench::new();
    bench.open(&flows);
    // A connection gets a probe first.
    while bench.sessions() > 0 {
        bench.outlive();
        while bench.expire_some() {}
    }
    passing(bench, Side::Inside, Bench::opening(&flows), IN_TURN)
}

fn passing(mut bench: Bench, side: Side, mut packets: Vec<Waiting>, between: Duration) -> Work {
    Work { units: packets.len() as u64, run: Box::new(move || bench.pass(side, &mut packets, between)) }
}
