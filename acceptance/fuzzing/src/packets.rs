//! Packets put together the obvious way, and packets mended so that changed bytes get past the first checks.

use std::net::{IpAddr, SocketAddr};

use packet::{Checksum, Layout, Offload, protocol};

use crate::oracle::{sum_of_transport, sum_of_words};

/// What a packet is made of: `from` and `to` are of one family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp {
        flags: u8,
    },
    Udp,
    /// Identifiers are the port of whoever is inside.
    Echo {
        identifier: u16,
        is_reply: bool,
    },
    /// An ICMP message: type, code, the four bytes behind the checksum.
    Icmp {
        kind: u8,
        code: u8,
        rest: [u8; 4],
    },
}

/// The packet, with right lengths and checksums.
pub(crate) fn build(shape: Shape<'_>) -> Vec<u8> {
    let Shape { from, to, kind, payload } = shape;
    let is_v6 = from.is_ipv6();
    let (protocol, header) = match kind {
        Kind::Tcp { flags } => (protocol::TCP, tcp(from, to, flags)),
        Kind::Udp => (protocol::UDP, ports(from, to, &[0; 4])),
        Kind::Echo { identifier, is_reply } => {
            let number = match (is_v6, is_reply) {
                (true, is_reply) => 128 + u8::from(is_reply),
                (false, true) => 0,
                (false, false) => 8,
            };
            let [high, low] = identifier.to_be_bytes();
            (icmp_of(is_v6), vec![number, 0, 0, 0, high, low, 0, 1])
        }
        Kind::Icmp { kind, code, rest } => (icmp_of(is_v6), [&[kind, code, 0, 0][..], &rest].concat()),
    };
    let mut bytes = [network(from.ip(), to.ip(), protocol), header, payload.to_vec()].concat();
    mend(&mut bytes, Mend::All);
    bytes
}

const fn icmp_of(is_v6: bool) -> u8 {
    if is_v6 { protocol::ICMPV6 } else { protocol::ICMPV4 }
}

fn tcp(from: SocketAddr, to: SocketAddr, flags: u8) -> Vec<u8> {
    ports(from, to, &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x10, 0, 0, 0, 0, 0])
}

fn ports(from: SocketAddr, to: SocketAddr, rest: &[u8]) -> Vec<u8> {
    [&from.port().to_be_bytes()[..], &to.port().to_be_bytes(), rest].concat()
}

fn network(from: IpAddr, to: IpAddr, protocol: u8) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            [&[0x60, 0, 0, 0, 0, 0, protocol, 64][..], &from.octets(), &to.octets()].concat()
        }
        (from, to) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.octets(),
                // Nobody asks for a packet between the families; what comes of it must not panic either.
                IpAddr::V6(address) => address.to_bits().to_be_bytes()[..4].try_into().expect("four bytes"),
            };
            [&[0x45, 0, 0, 0, 0, 7, 0, 0, 64, protocol, 0, 0][..], &octets(from), &octets(to)].concat()
        }
    }
}

/// How much of a packet is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mend {
    Nothing,
    /// Lengths, and the checksum of the IPv4 header.
    Header,
    /// The length of UDP and the transport checksum too.
    All,
}

impl Mend {
    /// Most packets are to be right; the wrong ones must not be the only ones that are long.
    pub(crate) const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Nothing,
            1 => Self::Header,
            _ => Self::All,
        }
    }
}

/// Puts lengths and checksums right where there are headers to hold them.
pub(crate) fn mend(bytes: &mut [u8], mend: Mend) {
    if mend == Mend::Nothing {
        return;
    }
    let len = bytes.len();
    match bytes.first().map(|first| first >> 4) {
        Some(4) if len >= 20 => {
            let header_len = (usize::from(bytes[0] & 15) * 4).clamp(20, len.min(60));
            put(bytes, 2, len as u16);
            put(bytes, 10, 0);
            let sum = !sum_of_words(&bytes[..header_len]);
            put(bytes, 10, sum);
        }
        Some(6) if len >= 40 => put(bytes, 4, (len - 40) as u16),
        Some(_) | None => return,
    }
    if mend == Mend::All {
        mend_transport(bytes);
    }
}

fn mend_transport(bytes: &mut [u8]) {
    let Ok(layout) = Layout::of(bytes) else { return };
    let len = layout.end - layout.transport_at;
    let place = match layout.protocol {
        protocol::TCP => 16,
        protocol::UDP => 6,
        protocol::ICMPV4 | protocol::ICMPV6 => 2,
        _ => return,
    };
    if layout.is_fragment || len < place + 2 {
        return;
    }
    if layout.protocol == protocol::UDP {
        put(bytes, layout.transport_at + 4, len as u16);
    }
    put(bytes, layout.transport_at + place, 0);
    let sum = match !sum_of_transport(bytes, &layout) {
        0 if layout.protocol == protocol::UDP => 0xffff,
        sum => sum,
    };
    put(bytes, layout.transport_at + place, sum);
}

/// Makes the checksum of a right packet partial, as a kernel leaves it to its device, if it has one.
pub(crate) fn leave_checksum_open(bytes: &mut [u8]) -> Offload {
    let open = Layout::of(bytes).ok().and_then(|layout| Some((layout, layout.transport_header(bytes).ok()??)));
    let Some((layout, header)) = open else { return Offload::default() };
    let at = layout.transport_at + header.checksum_at;
    put(bytes, at, 0);
    // The pseudo header alone: all words but those of the transport.
    let whole = u32::from(sum_of_transport(bytes, &layout));
    let transport = u32::from(!sum_of_words(&bytes[layout.transport_at..layout.end]));
    let sum = whole + transport;
    put(bytes, at, ((sum & 0xffff) + (sum >> 16)) as u16);
    Offload { checksum: Checksum::Partial, segments: None }
}

pub(crate) fn put(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}
