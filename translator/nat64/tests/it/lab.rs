//! An engine on a bench: sentences in, sentences out. Every packet that leaves it is read by etherparse first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use etherparse::{PacketBuilder, SlicedPacket, TcpHeader, TransportSlice};
use nat64::{Config, DropReason, Engine, Pool4, Side, Transmit, Verdict};
use packet::{HEADROOM, Offload, Packet};

pub(crate) const POOL4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const SEED: [u8; 32] = [42; 32];

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) config: Config,
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Sent(Vec<u8>),
    Taken,
    Dropped(DropReason),
}

impl Outcome {
    /// The packet that was sent, checked and read.
    #[track_caller]
    pub(crate) fn sent(self) -> Seen {
        see(&self.bytes())
    }

    #[track_caller]
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Taken => panic!("taken"),
            Self::Dropped(reason) => panic!("dropped: {}", reason.as_str()),
        }
    }

    #[track_caller]
    pub(crate) fn dropped(self) -> DropReason {
        match self {
            Self::Sent(bytes) => panic!("sent: {:?}", see(&bytes)),
            Self::Taken => panic!("taken"),
            Self::Dropped(reason) => reason,
        }
    }
}

pub(crate) fn config() -> Config {
    Config { pool4: vec![Pool4::new(POOL4, 1024..=65535)], ..Config::default() }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        let now = Instant::now();
        Self { engine: Engine::new(config.clone(), SEED, now), now, config }
    }

    pub(crate) fn inside(&mut self, bytes: &[u8]) -> Outcome {
        self.handle(Side::Inside, bytes, Offload::default()).0
    }

    pub(crate) fn outside(&mut self, bytes: &[u8]) -> Outcome {
        self.handle(Side::Outside, bytes, Offload::default()).0
    }

    /// Hands a packet over and checks that whatever comes back is a right packet, super or not.
    pub(crate) fn handle(&mut self, side: Side, bytes: &[u8], offload: Offload) -> (Outcome, Offload) {
        let mut buffer = [&[0; HEADROOM][..], bytes].concat();
        let end = buffer.len();
        let mut packet = Packet::new(&mut buffer, HEADROOM..end);
        packet.offload = offload;
        let verdict = match side {
            Side::Inside => self.engine.handle_inside(self.now, &mut packet),
            Side::Outside => self.engine.handle_outside(self.now, &mut packet),
        };
        match verdict {
            Verdict::Forward => {
                assert!(packet.headroom() >= packet::virtio::HEADER_LEN, "no room for the virtio-net header");
                (Outcome::Sent(packet.bytes().to_vec()), packet.offload)
            }
            Verdict::Taken => (Outcome::Taken, Offload::default()),
            Verdict::Drop(reason) => (Outcome::Dropped(reason), Offload::default()),
        }
    }

    /// Hands packets over and collects all that leaves on the other side, in order.
    pub(crate) fn feed(&mut self, side: Side, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for bytes in packets {
            if let (Outcome::Sent(bytes), _) = self.handle(side, bytes, Offload::default()) {
                sent.push(bytes);
            }
            let others = self.transmits().into_iter().filter(|transmit| transmit.side != side);
            sent.extend(others.map(|transmit| transmit.bytes));
        }
        sent
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.engine.handle_timeout(self.now);
    }

    pub(crate) fn transmits(&mut self) -> Vec<Transmit> {
        std::iter::from_fn(|| self.engine.poll_transmit()).collect()
    }

    /// The packet that a hairpinned one has become.
    #[track_caller]
    pub(crate) fn hairpinned(&mut self, bytes: &[u8]) -> Seen {
        see(&self.hairpinned_bytes(bytes))
    }

    #[track_caller]
    pub(crate) fn hairpinned_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        assert_eq!(self.inside(bytes), Outcome::Taken);
        let all = self.transmits();
        let [Transmit { side: Side::Inside, bytes }] = &all[..] else { panic!("{all:?}") };
        bytes.clone()
    }

    /// The one packet the engine made itself.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> (Side, Seen) {
        let all = self.transmits();
        let [transmit] = &all[..] else { panic!("{} packets", all.len()) };
        (transmit.side, see(&transmit.bytes))
    }

    pub(crate) fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.engine.reconfigure(self.now, self.config.clone());
    }

    /// BIB entries and sessions of all protocols.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let all = self.engine.table_sizes().by_protocol();
        all.iter().fold((0, 0), |(bib, sessions), (_, size)| (bib + size.bib_entries, sessions + size.sessions))
    }
}

/// A packet as etherparse reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
    /// IPv4 only.
    pub(crate) dont_fragment: bool,
    /// Type and code of ICMP.
    pub(crate) icmp: Option<(u8, u8)>,
    /// The four bytes behind the checksum of ICMP.
    pub(crate) rest: [u8; 4],
    pub(crate) payload: Vec<u8>,
    pub(crate) len: usize,
}

/// Reads a packet and checks every checksum.
#[track_caller]
pub(crate) fn see(bytes: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ip(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
    let (source, destination, hop_limit, traffic_class, dont_fragment) = match sliced.net.as_ref().unwrap() {
        etherparse::NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header checksum");
            assert_eq!(usize::from(header.total_len), bytes.len());
            (
                IpAddr::from(header.source),
                IpAddr::from(header.destination),
                header.time_to_live,
                header.dscp.value() << 2 | header.ecn.value(),
                header.dont_fragment,
            )
        }
        etherparse::NetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            assert_eq!(usize::from(header.payload_length) + 40, bytes.len());
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (source.into(), destination.into(), header.hop_limit, header.traffic_class, false)
        }
        etherparse::NetSlice::Arp(_) => unreachable!("from_ip reads no ARP"),
    };
    let (ports, icmp, rest, payload) = match sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            ((tcp.source_port(), tcp.destination_port()), None, [0; 4], tcp.payload().to_vec())
        }
        Some(TransportSlice::Udp(udp)) => {
            ((udp.source_port(), udp.destination_port()), None, [0; 4], udp.payload().to_vec())
        }
        Some(TransportSlice::Icmpv4(icmp)) => {
            let (rest, id) = (icmp.bytes5to8(), u16::from_be_bytes([icmp.bytes5to8()[0], icmp.bytes5to8()[1]]));
            ((id, id), Some((icmp.type_u8(), icmp.code_u8())), rest, icmp.payload().to_vec())
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let (rest, id) = (icmp.bytes5to8(), u16::from_be_bytes([icmp.bytes5to8()[0], icmp.bytes5to8()[1]]));
            ((id, id), Some((icmp.type_u8(), icmp.code_u8())), rest, icmp.payload().to_vec())
        }
        _ => ((0, 0), None, [0; 4], Vec::new()),
    };
    if !is_fragment(bytes) {
        assert_eq!(transport_checksum(bytes), 0, "transport checksum of {bytes:02x?}");
    }
    Seen {
        source: SocketAddr::new(source, ports.0),
        destination: SocketAddr::new(destination, ports.1),
        hop_limit,
        traffic_class,
        dont_fragment,
        icmp,
        rest,
        payload,
        len: bytes.len(),
    }
}

pub(crate) fn is_fragment(bytes: &[u8]) -> bool {
    packet::Layout::of(bytes).unwrap().is_fragment
}

/// The sum over transport header, payload and pseudo header, the obvious way: zero if the checksum is right or absent.
pub(crate) fn transport_checksum(bytes: &[u8]) -> u16 {
    let layout = packet::Layout::of(bytes).unwrap();
    let transport = layout.transport(bytes);
    if layout.protocol == 17 && transport[6..8] == [0, 0] && bytes[0] >> 4 == 4 {
        return 0;
    }
    let mut words: Vec<u8> = match (bytes[0] >> 4, layout.protocol) {
        (4, 1) => Vec::new(),
        (4, _) => bytes[12..20].to_vec(),
        _ => bytes[8..40].to_vec(),
    };
    if !words.is_empty() {
        words.extend([0, layout.protocol]);
        words.extend((transport.len() as u16).to_be_bytes());
    }
    words.extend(transport);
    words.resize(words.len().next_multiple_of(2), 0);
    let sum: u64 = words.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

/// The address that stands for an IPv4 one: `via("1.1.1.1:53")` is `[64:ff9b::101:101]:53`.
pub(crate) fn via(remote: &str) -> String {
    let remote: SocketAddr = remote.parse().unwrap();
    let IpAddr::V4(address) = remote.ip() else { panic!("{remote} is not IPv4") };
    let embedded = contract::Pool6::default().embed(address);
    SocketAddr::new(embedded.into(), remote.port()).to_string()
}

/// The socket address a text says.
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (at(from), at(to)) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64)
            .udp(from.port(), to.port())
            .write(&mut bytes, payload),
        (SocketAddr::V6(from), SocketAddr::V6(to)) => PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64)
            .udp(from.port(), to.port())
            .write(&mut bytes, payload),
        _ => panic!("{from} and {to} are of two families"),
    }
    .unwrap();
    bytes
}

/// A segment with these flags: `"S"`, `"SA"`, `"F"`, `"R"`, `"A"`, `""`.
pub(crate) fn tcp(from: &str, to: &str, flags: &str) -> Vec<u8> {
    let (source, destination) = (at(from), at(to));
    let mut header = TcpHeader::new(source.port(), destination.port(), 1, 1000);
    (header.syn, header.ack) = (flags.contains('S'), flags.contains('A'));
    (header.fin, header.rst) = (flags.contains('F'), flags.contains('R'));
    tcp_with(from, to, header, b"")
}

pub(crate) fn tcp_with(from: &str, to: &str, header: TcpHeader, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (at(from), at(to)) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64).tcp_header(header).write(&mut bytes, payload)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), 64).tcp_header(header).write(&mut bytes, payload)
        }
        _ => panic!("{from} and {to} are of two families"),
    }
    .unwrap();
    bytes
}

fn icmp4(from: &str, to: &str, words: (u8, u8, [u8; 4]), body: &[u8]) -> Vec<u8> {
    let (from, to): (Ipv4Addr, Ipv4Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv4(from.octets(), to.octets(), 64);
    builder.icmpv4_raw(words.0, words.1, words.2).write(&mut bytes, body).unwrap();
    bytes
}

fn icmp6(from: &str, to: &str, words: (u8, u8, [u8; 4]), body: &[u8]) -> Vec<u8> {
    let (from, to): (Ipv6Addr, Ipv6Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv6(from.octets(), to.octets(), 64);
    builder.icmpv6_raw(words.0, words.1, words.2).write(&mut bytes, body).unwrap();
    bytes
}

/// An ICMP message of the family of the addresses: type, code, the four bytes behind the checksum, body.
pub(crate) fn icmp(from: &str, to: &str, (kind, code): (u8, u8), rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let build = if from.contains(':') { icmp6 } else { icmp4 };
    build(from, to, (kind, code, rest), body)
}

/// An echo request or reply (by its type) with identifier and sequence number 7.
pub(crate) fn echo(from: &str, to: &str, kind: u8, identifier: u16) -> Vec<u8> {
    let [high, low] = identifier.to_be_bytes();
    icmp(from, to, (kind, 0), [high, low, 0, 7], b"are you there?")
}

/// Changes the IPv4 header of a packet and makes its checksum right again.
pub(crate) fn with_ipv4(mut bytes: Vec<u8>, change: impl FnOnce(&mut etherparse::Ipv4Header)) -> Vec<u8> {
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
    let rest = rest.to_vec();
    change(&mut header);
    header.set_payload_len(rest.len()).unwrap();
    header.header_checksum = header.calc_header_checksum();
    bytes = header.to_bytes().to_vec();
    bytes.extend(rest);
    bytes
}
