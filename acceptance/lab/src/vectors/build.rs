//! From fields to bytes; etherparse knows headers and checksums.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use etherparse::{
    Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header,
    Ipv6FragmentHeader, Ipv6Header, TcpHeader, UdpHeader,
};

/// What stands behind the network header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Udp,
    Tcp,
    Icmp { kind: u8, code: u8 },
}

/// A packet as a line describes it.
#[derive(Debug)]
pub(super) struct Fields {
    body: Body,
    source: SocketAddr,
    destination: SocketAddr,
    pub(super) hops: u8,
    pub(super) class: u8,
    pub(super) dont_fragment: bool,
    pub(super) identification: u32,
    pub(super) options: Vec<u8>,
    pub(super) chain: Option<(u8, Vec<u8>)>,
    pub(super) data: Vec<u8>,
    pub(super) flags: String,
    pub(super) rest: [u8; 4],
    pub(super) check: Option<String>,
    /// Bytes of the transport message; the last fragment has no end.
    pub(super) part: Option<(usize, Option<usize>)>,
}

impl Fields {
    pub(super) fn new(body: Body, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            body,
            source,
            destination,
            hops: 64,
            class: 0,
            dont_fragment: false,
            identification: 0,
            options: Vec::new(),
            chain: None,
            data: Vec::new(),
            flags: String::new(),
            rest: [0; 4],
            check: None,
            part: None,
        }
    }
}

pub(super) fn build(fields: &Fields) -> Result<Vec<u8>> {
    let mut message = message(fields)?;
    spoil(fields, &mut message)?;
    let payload = match fields.part {
        Some((from, to)) => message.get(from..to.unwrap_or(message.len())).context("no such part")?,
        None => &message,
    };
    match (fields.source.ip(), fields.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet4(fields, source.octets(), destination.octets(), payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet6(fields, source.octets(), destination.octets(), payload)
        }
        _ => bail!("addresses of two families"),
    }
}

/// The transport message, whole.
fn message(fields: &Fields) -> Result<Vec<u8>> {
    let Fields { source, destination, data, .. } = fields;
    let mut udp =
        UdpHeader { source_port: source.port(), destination_port: destination.port(), length: 0, checksum: 0 };
    udp.length = u16::try_from(UdpHeader::LEN + data.len())?;
    let mut tcp = TcpHeader::new(source.port(), destination.port(), 1, 1000);
    (tcp.syn, tcp.ack) = (fields.flags.contains('S'), fields.flags.contains('A'));
    (tcp.fin, tcp.rst) = (fields.flags.contains('F'), fields.flags.contains('R'));
    let header = match (fields.body, source.ip(), destination.ip()) {
        (Body::Udp, IpAddr::V4(from), IpAddr::V4(to)) => {
            udp.checksum = udp.calc_checksum_ipv4_raw(from.octets(), to.octets(), data)?;
            udp.to_bytes().to_vec()
        }
        (Body::Udp, IpAddr::V6(from), IpAddr::V6(to)) => {
            udp.checksum = udp.calc_checksum_ipv6_raw(from.octets(), to.octets(), data)?;
            udp.to_bytes().to_vec()
        }
        (Body::Tcp, IpAddr::V4(from), IpAddr::V4(to)) => {
            tcp.checksum = tcp.calc_checksum_ipv4_raw(from.octets(), to.octets(), data)?;
            tcp.to_bytes().to_vec()
        }
        (Body::Tcp, IpAddr::V6(from), IpAddr::V6(to)) => {
            tcp.checksum = tcp.calc_checksum_ipv6_raw(from.octets(), to.octets(), data)?;
            tcp.to_bytes().to_vec()
        }
        (Body::Icmp { kind, code }, IpAddr::V4(_), IpAddr::V4(_)) => {
            let raw = Icmpv4Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: fields.rest };
            Icmpv4Header::with_checksum(raw, data).to_bytes().to_vec()
        }
        (Body::Icmp { kind, code }, IpAddr::V6(from), IpAddr::V6(to)) => {
            let raw = Icmpv6Type::Unknown { type_u8: kind, code_u8: code, bytes5to8: fields.rest };
            Icmpv6Header::with_checksum(raw, from.octets(), to.octets(), data)?.to_bytes().to_vec()
        }
        _ => bail!("addresses of two families"),
    };
    Ok([header, data.clone()].concat())
}

/// Makes the checksum what `check` says.
fn spoil(fields: &Fields, message: &mut [u8]) -> Result<()> {
    let Some(check) = &fields.check else { return Ok(()) };
    let at = match fields.body {
        Body::Udp => 6,
        Body::Tcp => 16,
        Body::Icmp { .. } => 2,
    };
    let right = u16::from_be_bytes([message[at], message[at + 1]]);
    let checksum = match check.strip_prefix('+') {
        Some(more) => right.wrapping_add(more.parse()?),
        None => check.parse()?,
    };
    message[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

fn packet4(fields: &Fields, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Result<Vec<u8>> {
    let protocol = match fields.body {
        Body::Udp => IpNumber::UDP,
        Body::Tcp => IpNumber::TCP,
        Body::Icmp { .. } => IpNumber::ICMP,
    };
    let mut header = Ipv4Header::new(u16::try_from(payload.len())?, fields.hops, protocol, source, destination)?;
    header.dscp = IpDscp::try_new(fields.class >> 2)?;
    header.ecn = IpEcn::try_new(fields.class & 3)?;
    header.dont_fragment = fields.dont_fragment;
    header.identification = fields.identification as u16;
    if !fields.options.is_empty() {
        header.options = fields.options.as_slice().try_into()?;
        header.set_payload_len(payload.len())?;
    }
    if let Some((from, to)) = fields.part {
        header.more_fragments = to.is_some();
        header.fragment_offset = IpFragOffset::try_new(u16::try_from(from / 8)?)?;
    }
    header.header_checksum = header.calc_header_checksum();
    Ok([&header.to_bytes()[..], payload].concat())
}

fn packet6(fields: &Fields, source: [u8; 16], destination: [u8; 16], payload: &[u8]) -> Result<Vec<u8>> {
    let protocol = match fields.body {
        Body::Udp => IpNumber::UDP,
        Body::Tcp => IpNumber::TCP,
        Body::Icmp { .. } => IpNumber::IPV6_ICMP,
    };
    let (first, chain) = match (&fields.chain, fields.part) {
        (Some((first, chain)), _) => (IpNumber(*first), chain.clone()),
        (None, Some((from, to))) => {
            let offset = IpFragOffset::try_new(u16::try_from(from / 8)?)?;
            let place = Ipv6FragmentHeader::new(protocol, offset, to.is_some(), fields.identification);
            (IpNumber::IPV6_FRAGMENTATION_HEADER, place.to_bytes().to_vec())
        }
        (None, None) => (protocol, Vec::new()),
    };
    let header = Ipv6Header {
        traffic_class: fields.class,
        payload_length: u16::try_from(chain.len() + payload.len())?,
        next_header: first,
        hop_limit: fields.hops,
        source,
        destination,
        ..Ipv6Header::default()
    };
    Ok([&header.to_bytes()[..], &chain, payload].concat())
}

/// The one's complement sum of an even number of bytes.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    (sum & 0xffff) + (sum >> 16)
}
