//! Tests of the whole: batches in, packets and super-packets out.

mod laws;

use etherparse::{Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};

use super::{Coalescer, LARGEST_SUPER_PACKET, MOST_SEGMENTS, Merge, Refused};
use crate::ipv4::{Fragmentation, Ipv4Mut};
use crate::{Checksum, Family, SegmentKind, Segments, protocol, segment};

/// What a test varies of a packet.
#[derive(Clone, Debug)]
struct Sample {
    family: Family,
    port: u16,
    /// `None`: UDP.
    tcp: Option<TcpHeader>,
    payload: Vec<u8>,
    traffic_class: u8,
    hop_limit: u8,
    flow_label: u32,
    identification: u16,
    dont_fragment: bool,
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

fn udp(family: Family, len: usize) -> Sample {
    Sample {
        family,
        port: 4000,
        tcp: None,
        payload: payload(len),
        traffic_class: 0,
        hop_limit: 64,
        flow_label: 5,
        identification: 0,
        dont_fragment: true,
    }
}

fn tcp(family: Family, sequence: u32, len: usize) -> Sample {
    let mut header = TcpHeader::new(4000, 443, sequence, 1000);
    (header.ack, header.acknowledgment_number) = (true, 77);
    header.set_options_raw(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    Sample { tcp: Some(header), ..udp(family, len) }
}

impl Sample {
    fn with_tcp(mut self, change: impl FnOnce(&mut TcpHeader)) -> Self {
        change(self.tcp.as_mut().unwrap());
        self
    }

    fn bytes(&self) -> Vec<u8> {
        match self.family {
            Family::V4 => self.bytes4(),
            Family::V6 => self.bytes6(),
        }
    }

    fn transport_len(&self) -> usize {
        self.tcp.as_ref().map_or(8, TcpHeader::header_len) + self.payload.len()
    }

    fn protocol(&self) -> u8 {
        if self.tcp.is_some() { protocol::TCP } else { protocol::UDP }
    }

    fn bytes4(&self) -> Vec<u8> {
        let len = u16::try_from(self.transport_len()).unwrap();
        let (source, destination) = ([192, 0, 2, 1], [198, 51, 100, 2]);
        let mut ip = Ipv4Header::new(len, self.hop_limit, self.protocol().into(), source, destination).unwrap();
        ip.identification = self.identification;
        ip.dont_fragment = self.dont_fragment;
        ip.dscp = (self.traffic_class >> 2).try_into().unwrap();
        ip.ecn = (self.traffic_class & 3).try_into().unwrap();
        ip.header_checksum = ip.calc_header_checksum();
        let transport = match self.tcp.clone() {
            Some(mut tcp) => {
                tcp.source_port = self.port;
                tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.payload).unwrap();
                tcp.to_bytes().to_vec()
            }
            None => UdpHeader::with_ipv4_checksum(self.port, 443, &ip, &self.payload).unwrap().to_bytes().to_vec(),
        };
        [&ip.to_bytes()[..], &transport, &self.payload].concat()
    }

    fn bytes6(&self) -> Vec<u8> {
        let ip = Ipv6Header {
            traffic_class: self.traffic_class,
            flow_label: self.flow_label.try_into().unwrap(),
            payload_length: u16::try_from(self.transport_len()).unwrap(),
            next_header: self.protocol().into(),
            hop_limit: self.hop_limit,
            source: [0x20; 16],
            destination: [0x64; 16],
        };
        let transport = match self.tcp.clone() {
            Some(mut tcp) => {
                tcp.source_port = self.port;
                tcp.checksum = tcp.calc_checksum_ipv6(&ip, &self.payload).unwrap();
                tcp.to_bytes().to_vec()
            }
            None => UdpHeader::with_ipv6_checksum(self.port, 443, &ip, &self.payload).unwrap().to_bytes().to_vec(),
        };
        [&ip.to_bytes()[..], &transport, &self.payload].concat()
    }
}

/// One packet that came out: how many it stands for, and those.
struct Out {
    parts: Vec<Vec<u8>>,
    segments: Option<Segments>,
    len: usize,
}

fn poll_all(coalescer: &mut Coalescer) -> Vec<Out> {
    let mut all = Vec::new();
    while let Some(packet) = coalescer.poll() {
        let mut parts = Vec::new();
        segment::segment(&packet, |part| parts.push(part.to_vec())).unwrap();
        let is_partial = packet.offload.checksum == Checksum::Partial;
        assert_eq!(is_partial, packet.offload.segments.is_some());
        all.push(Out { parts, segments: packet.offload.segments, len: packet.len() });
    }
    all
}

fn coalesce(batch: &[Vec<u8>]) -> Vec<Out> {
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, batch.len());
    batch.iter().for_each(|bytes| coalescer.push(bytes).unwrap());
    poll_all(&mut coalescer)
}

/// How many packets each of what came out stands for; cutting gives back what went in, if it was of one flow.
#[track_caller]
fn check(batch: &[Vec<u8>], counts: &[usize]) {
    let out = coalesce(batch);

    assert_eq!(out.iter().map(|out| out.parts.len()).collect::<Vec<_>>(), counts);
    assert_eq!(out.into_iter().flat_map(|out| out.parts).collect::<Vec<_>>(), batch);
}

#[track_caller]
fn check_samples(batch: &[Sample], counts: &[usize]) {
    check(&batch.iter().map(Sample::bytes).collect::<Vec<_>>(), counts);
}

/// Two that would be one if it were not for what `change` does to the second.
#[track_caller]
fn check_apart(change: impl Fn(&mut Sample)) {
    for family in [Family::V4, Family::V6] {
        let (first, mut second) = (tcp(family, 1000, 100), tcp(family, 1100, 100));
        second.identification = 1;
        second.dont_fragment = false;
        let first = Sample { dont_fragment: false, ..first };
        check_samples(&[first.clone(), second.clone()], &[2]);
        change(&mut second);
        check_samples(&[first, second], &[1, 1]);
    }
}

#[test]
fn consecutive_segments_become_one() {
    for family in [Family::V4, Family::V6] {
        let batch: Vec<_> =
            (0..5u32).map(|n| Sample { identification: n as u16, ..tcp(family, n * 100, 100) }).collect();

        check_samples(&batch, &[5]);
    }
}

#[test]
fn datagrams_of_one_size_become_one_that_a_shorter_one_ends() {
    for family in [Family::V4, Family::V6] {
        let batch: Vec<_> = [100, 100, 60, 60, 100]
            .iter()
            .zip(0..)
            .map(|(len, identification)| Sample { identification, ..udp(family, *len) })
            .collect();

        check_samples(&batch, &[3, 1, 1]);
    }
}

#[test]
fn what_comes_out_says_what_it_is() {
    let batch: Vec<_> = (0..3).map(|n| tcp(Family::V6, n * 1352, 1352).bytes()).collect();

    let out = coalesce(&batch);

    assert_eq!(out[0].segments, Some(Segments { kind: SegmentKind::Tcp, size_bytes: 1352 }));
    assert_eq!(out[0].len, 40 + 32 + 3 * 1352);
}

#[test]
fn a_lone_packet_stays_as_it_is_even_if_its_checksum_is_wrong() {
    let mut bytes = tcp(Family::V6, 0, 100).bytes();
    bytes[90] ^= 1;

    let out = coalesce(&[bytes.clone()]);

    assert_eq!((out[0].segments, &out[0].parts[0]), (None, &bytes));
}

#[test]
fn a_wrong_checksum_is_never_hidden() {
    for family in [Family::V4, Family::V6] {
        let good: Vec<_> =
            (0..3).map(|n| Sample { identification: n as u16, ..tcp(family, n * 100, 100) }.bytes()).collect();
        for broken in 0..3 {
            let mut batch = good.clone();
            *batch[broken].last_mut().unwrap() ^= 1;
            check(&batch, [&[1, 2][..], &[1, 1, 1], &[2, 1]][broken]);
        }
    }
    let mut header = [0, 1].map(|n| Sample { identification: n, ..udp(Family::V4, 10) }.bytes());
    header[1][10] ^= 1;
    check(&header, &[1, 1]);
}

#[test]
fn segments_that_differ_in_more_than_their_place_stay_apart() {
    check_apart(|second| second.traffic_class = 1);
    check_apart(|second| second.hop_limit = 63);
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.acknowledgment_number += 1));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.window_size += 1));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.sequence_number += 1));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.sequence_number -= 100));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.ece = true));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.urgent_pointer = 1));
    check_apart(|second| *second = second.clone().with_tcp(|tcp| tcp.set_options_raw(&[1, 1, 1, 0]).unwrap()));
    let sets: [fn(&mut TcpHeader); 5] =
        [|tcp| tcp.syn = true, |tcp| tcp.rst = true, |tcp| tcp.urg = true, |tcp| tcp.cwr = true, |tcp| tcp.ack = false];
    for set in sets {
        check_apart(|second| *second = second.clone().with_tcp(set));
    }
    check_apart(|second| second.payload = payload(101));
    check_apart(|second| second.payload.clear());
}

#[test]
fn flow_labels_keep_segments_apart() {
    check_samples(&[tcp(Family::V6, 0, 9), Sample { flow_label: 6, ..tcp(Family::V6, 9, 9) }], &[1, 1]);
}

#[test]
fn push_and_fin_end_a_super_packet() {
    for end in [|tcp: &mut TcpHeader| tcp.psh = true, |tcp: &mut TcpHeader| tcp.fin = true] {
        let batch = [tcp(Family::V6, 0, 9), tcp(Family::V6, 9, 9).with_tcp(end), tcp(Family::V6, 18, 9)];

        check_samples(&batch, &[2, 1]);
        check_samples(&[tcp(Family::V6, 0, 9).with_tcp(end), tcp(Family::V6, 9, 9)], &[1, 1]);
    }
}

#[test]
fn identifications_count_up_unless_they_mean_nothing() {
    let apart = |id, dont_fragment| Sample { identification: id, dont_fragment, ..udp(Family::V4, 9) };

    check_samples(&[apart(0xffff, false), apart(0, false), apart(1, false)], &[3]);
    check_samples(&[apart(7, false), apart(7, false)], &[1, 1]);
    check_samples(&[apart(7, false), apart(8, true)], &[1, 1]);
    let atomic = coalesce(&[apart(7, true).bytes(), apart(7, true).bytes(), apart(3, true).bytes()]);
    assert_eq!(atomic.len(), 1, "RFC 6864 §4.1");
}

#[test]
fn sequence_numbers_wrap() {
    check_samples(&[tcp(Family::V6, u32::MAX - 8, 9), tcp(Family::V6, 0, 9)], &[2]);
}

#[test]
fn a_datagram_without_checksum_stays_alone() {
    let mut batch = [0, 1, 2].map(|n| Sample { identification: n, ..udp(Family::V4, 9) }.bytes());
    batch[1][26..28].fill(0);

    check(&batch, &[1, 1, 1]);
}

#[test]
fn options_and_extension_headers_keep_a_packet_alone_but_in_its_place() {
    let mut with_options = Sample { identification: 1, ..tcp(Family::V4, 9, 9) }.bytes();
    with_options.splice(20..20, [1; 4]);
    with_options[0] = 0x46;
    with_options[3] += 4;
    Ipv4Mut::parse(&mut with_options).unwrap().seal();
    let others = [0, 18].map(|at| tcp(Family::V4, at, 9).bytes());

    check(&[others[0].clone(), with_options, others[1].clone()], &[1, 1, 1]);
}

#[test]
fn nothing_passes_a_packet_that_may_be_of_any_flow() {
    let mut fragment = Sample { identification: 1, ..udp(Family::V4, 16) }.bytes();
    let mut header = Ipv4Mut::parse(&mut fragment).unwrap();
    header.set_fragmentation(Fragmentation::Part { offset_bytes: 8, more: false });
    header.seal();
    let [a, b, c] =
        [0, 2, 3].map(|identification| Sample { identification, dont_fragment: false, ..udp(Family::V4, 16) }.bytes());

    check(&[a, fragment, b, c], &[1, 1, 2]);
}

#[test]
fn flows_grow_beside_each_other() {
    let batch: Vec<_> =
        (0..8).map(|n| Sample { port: n % 2, ..tcp(Family::V6, u32::from(n / 2) * 9, 9) }.bytes()).collect();

    let out = coalesce(&batch);

    assert_eq!(out.iter().map(|out| out.parts.len()).collect::<Vec<_>>(), [4, 4]);
    assert_eq!(out[1].parts, [1, 3, 5, 7].map(|n: usize| batch[n].clone()));
}

#[test]
fn no_super_packet_outgrows_a_length_field_or_what_kernels_take() {
    let large: Vec<_> = (0..60).map(|n| Sample { identification: n, ..udp(Family::V4, 1400) }.bytes()).collect();
    let small: Vec<_> = (0..100).map(|n| Sample { identification: n, ..udp(Family::V4, 10) }.bytes()).collect();

    let (large, small) = (coalesce(&large), coalesce(&small));

    assert_eq!(large[0].parts.len(), (LARGEST_SUPER_PACKET - 28) / 1400);
    assert_eq!(small.iter().map(|out| out.parts.len()).collect::<Vec<_>>(), [usize::from(MOST_SEGMENTS), 36]);
}

#[test]
fn a_packet_that_finds_no_room_is_taken_after_what_was_there_has_left() {
    let (mut coalescer, mut left) = (Coalescer::new(Merge::TcpAndUdp, 2), Vec::new());
    let packets: Vec<_> = [1, 2, 3].map(|port| Sample { port, ..udp(Family::V6, 100) }.bytes()).into_iter().collect();

    for packet in &packets {
        let make_room = |full: &mut Coalescer| {
            while let Some(packet) = full.poll() {
                left.push(packet.bytes().to_vec());
            }
            Ok::<_, ()>(())
        };
        coalescer.push_after(packet, make_room).unwrap();
    }

    assert_eq!(left, packets[..2]);
    assert_eq!(coalescer.poll().unwrap().bytes(), packets[2]);
}

#[test]
fn a_full_coalescer_refuses_and_goes_on_after_polling() {
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, 2);
    let [a, b, c] = [1, 2, 3].map(|port| Sample { port, ..udp(Family::V6, 9) }.bytes());
    coalescer.push(&a).unwrap();
    coalescer.push(&b).unwrap();

    assert_eq!(coalescer.push(&c), Err(Refused::Full));
    assert_eq!(coalescer.push(&a), Ok(()), "what joins another needs no room");
    assert_eq!(poll_all(&mut coalescer).len(), 2);
    assert_eq!(coalescer.push(&c), Ok(()));
    assert_eq!(coalescer.push(&[0; 65_576]), Err(Refused::TooLong));
}

#[test]
fn what_the_kernel_does_not_take_is_not_merged() {
    let batch = [udp(Family::V6, 9), udp(Family::V6, 9), tcp(Family::V6, 0, 9), tcp(Family::V6, 9, 9)];
    for (merge, count) in [(Merge::TcpAndUdp, 2), (Merge::Tcp, 3), (Merge::Nothing, 4)] {
        let mut coalescer = Coalescer::new(merge, 4);
        batch.iter().for_each(|sample| coalescer.push(&sample.bytes()).unwrap());

        assert_eq!(poll_all(&mut coalescer).len(), count, "{merge:?}");
    }
}

#[test]
fn what_left_does_not_grow() {
    let mut coalescer = Coalescer::new(Merge::TcpAndUdp, 4);
    coalescer.push(&udp(Family::V6, 9).bytes()).unwrap();
    coalescer.poll().unwrap();

    coalescer.push(&udp(Family::V6, 9).bytes()).unwrap();

    assert_eq!(poll_all(&mut coalescer).len(), 1);
}

#[test]
fn padding_behind_a_packet_is_left_behind() {
    let first = tcp(Family::V6, 0, 9).bytes();
    let second = tcp(Family::V6, 9, 9).bytes();

    let out = coalesce(&[[&first[..], &[0; 7]].concat(), [&second[..], &[0; 7]].concat()]);

    assert_eq!(out[0].parts, [first, second]);
}
