//! What stands around the engine: checksums, segmenter, coalescer, the frames of the TUN interface, tunnels.

use std::hint::black_box;
use std::time::Instant;

use nat64::Side;
use packet::checksum::Sum;
use packet::coalesce::{Coalescer, Merge};
use packet::{Frame, segment, virtio};

use super::{PACKETS, Work};
use crate::ends::{Ends, MTU};
use crate::flows::{Bench, Flow, Inside, SEGMENTS, Transport, Waiting};

/// Super-packets of a case.
const SUPER_PACKETS: usize = 10;
/// Datagrams that leave together.
const RUN: usize = 45;

fn work(units: usize, run: impl FnMut() + 'static) -> Work {
    Work { units: units as u64, run: Box::new(run) }
}

/// Super-packets of one flow.
fn super_packets(transport: Transport) -> Vec<Waiting> {
    let mut bench = Bench::new();
    let flow = Flow::new(Inside::Ipv6, transport, 1);
    bench.open(&[flow]);
    bench.super_packets(flow, Side::Inside, SUPER_PACKETS)
}

/// The segments of super-packets.
fn cut() -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for packet in &mut super_packets(Transport::Tcp) {
        let cut = segment::segment(&packet.packet(), |part| segments.push(part.to_vec()));
        assert_eq!(cut, Ok(()), "a super-packet can be cut");
    }
    segments
}

/// A packet that fills the tunnel.
fn full_packet() -> Vec<u8> {
    let mut packet = cut().swap_remove(0);
    packet.resize(MTU.into(), 0);
    let payload_len = MTU - 40;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    packet
}

pub(super) fn checksums() -> Work {
    let bytes = vec![0x5a; 1500];
    work(PACKETS as usize, move || {
        for _ in 0..PACKETS {
            black_box(Sum::new().bytes(black_box(&bytes)).complete());
        }
    })
}

pub(super) fn segments() -> Work {
    let mut packets = super_packets(Transport::Tcp);
    work(packets.len() * usize::from(SEGMENTS), move || {
        for packet in &mut packets {
            let cut = segment::segment(&packet.packet(), |part| {
                black_box(part);
            });
            assert_eq!(cut, Ok(()), "a super-packet can be cut");
        }
    })
}

pub(super) fn merged_segments() -> Work {
    merged(cut())
}

pub(super) fn merged_datagrams() -> Work {
    let flow = Flow::new(Inside::Ipv6, Transport::Udp, 1);
    let datagrams = Bench::outgoing(&vec![flow; PACKETS as usize]);
    merged(datagrams.into_iter().map(|mut waiting| waiting.packet().bytes().to_vec()).collect())
}

fn merged(packets: Vec<Vec<u8>>) -> Work {
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, 32);
    // The buffers are there already.
    merge(&mut coalescer, &packets);
    work(packets.len(), move || merge(&mut coalescer, &packets))
}

fn merge(coalescer: &mut Coalescer, packets: &[Vec<u8>]) {
    for packet in packets {
        assert_eq!(coalescer.push(packet), Ok(()), "there is room for all super-packets");
    }
    while let Some(packet) = coalescer.poll() {
        black_box(packet.bytes());
    }
}

pub(super) fn frames_read() -> Work {
    let mut packets = super_packets(Transport::Tcp);
    let mut packet = packets[0].packet();
    read(virtio::with_header(&mut packet).expect("there is room in front"))
}

pub(super) fn plain_frames_read() -> Work {
    read(&[&[0; virtio::HEADER_LEN], &full_packet()[..]].concat())
}

fn read(bytes: &[u8]) -> Work {
    let mut frame = Frame::new();
    frame.room()[..bytes.len()].copy_from_slice(bytes);
    let len = bytes.len();
    work(PACKETS as usize, move || {
        for _ in 0..PACKETS {
            let packet = frame.packet(black_box(len)).expect("the header fits the packet");
            black_box(packet.offload);
        }
    })
}

pub(super) fn frames_written() -> Work {
    let mut packets = super_packets(Transport::Tcp);
    work(packets.len() * 100, move || {
        for waiting in &mut packets {
            for _ in 0..100 {
                let mut packet = waiting.packet();
                black_box(virtio::with_header(&mut packet).expect("there is room in front"));
            }
        }
    })
}

pub(super) fn sealed() -> Work {
    let (mut ends, packet) = (Ends::new(), full_packet());
    let runs = PACKETS as usize / RUN;
    work(runs * RUN, move || {
        for _ in 0..runs {
            (0..RUN).for_each(|_| ends.seal(&packet));
            assert_eq!(ends.sent().count(), RUN, "every packet is encrypted");
        }
    })
}

pub(super) fn sealed_in_batches() -> Work {
    let (mut ends, mut packets) = (Ends::new(), super_packets(Transport::Tcp));
    work(packets.len() * usize::from(SEGMENTS), move || {
        for packet in &mut packets {
            ends.seal_all(&packet.packet());
            assert_eq!(ends.sent().count(), usize::from(SEGMENTS), "every segment is encrypted");
        }
    })
}

pub(super) fn opened() -> Work {
    let (mut ends, packet, now) = (Ends::new(), full_packet(), Instant::now());
    (0..PACKETS).for_each(|_| ends.seal(&packet));
    let mut datagrams: Vec<_> = ends.sent().collect();
    work(datagrams.len(), move || {
        for datagram in datagrams.drain(..) {
            black_box(ends.open(now, datagram).bytes());
        }
    })
}

pub(super) fn opened_in_batches() -> Work {
    let (mut ends, now) = (Ends::new(), Instant::now());
    super_packets(Transport::Tcp).iter_mut().for_each(|packet| ends.seal_all(&packet.packet()));
    let mut datagrams: Vec<_> = ends.sent().collect();
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, 32);
    merge(&mut coalescer, &cut());
    work(datagrams.len(), move || {
        for datagram in datagrams.drain(..) {
            let inside = ends.open(now, datagram);
            assert_eq!(coalescer.push(inside.bytes()), Ok(()), "there is room for all super-packets");
        }
        while let Some(packet) = coalescer.poll() {
            black_box(packet.bytes());
        }
    })
}
