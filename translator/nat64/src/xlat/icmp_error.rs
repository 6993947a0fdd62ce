//! The packet inside an ICMP error (RFC 7915 §4.3, §5.3), and the error built around its translation.
//!
//! A quote may be cut short: 8 bytes of its transport header are enough (RFC 792). Its hop limit is not decremented and
//! its checksum not repaired.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use packet::icmp::{self, Icmp};
use packet::ipv4::{self, Fragmentation, Ipv4, Ipv4Mut};
use packet::ipv6::{self, Fragment, Ipv6};
use packet::{Family, protocol};

use crate::DropReason;
use crate::error_source::with_address;
use crate::tuple::{Echo, Protocol, Transport};
use crate::xlat::compose::{Fields, compose};
use crate::xlat::extensions::{Body, lay_out};
use crate::xlat::icmp::{Mtus, Words};
use crate::xlat::transport::{Port, rewrite_quoted, seal_icmp};
use crate::xlat::{Addresses, Change, icmp as tables};

/// RFC 792: what every error quotes of the transport header, in bytes.
const SHORTEST_PAYLOAD: usize = 8;

/// What an error quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quote<'a> {
    pub(crate) addresses: Addresses,
    pub(crate) protocol: Protocol,
    /// Ports, or twice the identifier of an echo.
    pub(crate) ports: (u16, u16),
    header: &'a [u8],
    traffic_class: u8,
    hop_limit: u8,
    fragment: Option<Fragment>,
    transport: Transport,
    /// Transport header and what is left of its payload.
    payload: &'a [u8],
    /// Length of that by the quoted header's own account, in bytes.
    claimed_len: usize,
    /// What stands behind the quote (RFC 4884).
    extensions: &'a [u8],
}

impl<'a> Quote<'a> {
    /// Reads the packet that an error quotes, and what else the error says.
    pub(crate) fn read(family: Family, message: &Icmp<'a>) -> Result<Self, DropReason> {
        let Body { quote, extensions } = Body::of(family, message);
        let mut quote = match family {
            Family::V4 => Self::read4(Ipv4::parse_quoted(quote).map_err(|_| DropReason::Malformed)?),
            Family::V6 => Self::read6(Ipv6::parse_quoted(quote).map_err(|_| DropReason::Malformed)?),
        }?;
        if !extensions.is_empty() {
            // What was padding there is none here.
            quote.payload = &quote.payload[..quote.payload.len().min(quote.claimed_len.max(SHORTEST_PAYLOAD))];
            quote.extensions = extensions;
        }
        // A later fragment has no ports to find its session by.
        if quote.fragment.is_some_and(|fragment| fragment.offset_bytes > 0) {
            return Err(DropReason::FragmentNotSupported);
        }
        Ok(quote)
    }

    fn read4(ip: Ipv4<'a>) -> Result<Self, DropReason> {
        let (protocol, transport, ports) = read_transport(Family::V4, ip.protocol(), ip.payload())?;
        let fragment = Fragment {
            offset_bytes: ip.fragment_offset() as u16,
            more: ip.more_fragments(),
            identification: u32::from(ip.identification()),
        };
        Ok(Self {
            addresses: Addresses::V4 { source: ip.source(), destination: ip.destination() },
            protocol,
            ports,
            header: &ip.bytes()[..ip.header_len()],
            traffic_class: ip.traffic_class(),
            hop_limit: ip.ttl(),
            fragment: ip.is_fragment().then_some(fragment),
            transport,
            payload: ip.payload(),
            claimed_len: ip.total_len().saturating_sub(ip.header_len()),
            extensions: &[],
        })
    }

    fn read6(ip: Ipv6<'a>) -> Result<Self, DropReason> {
        let upper = ip.upper_layer().map_err(|_| DropReason::Malformed)?;
        let (header, payload) = ip.bytes().split_at(upper.at);
        let (protocol, transport, ports) = read_transport(Family::V6, upper.protocol, payload)?;
        Ok(Self {
            addresses: Addresses::V6 { source: ip.source(), destination: ip.destination() },
            protocol,
            ports,
            header,
            traffic_class: ip.traffic_class(),
            hop_limit: ip.hop_limit(),
            fragment: upper.fragment,
            transport,
            payload,
            claimed_len: (ipv6::HEADER_LEN + ip.payload_len()).saturating_sub(upper.at),
            extensions: &[],
        })
    }

    /// Length the whole quoted packet claims, in bytes.
    fn claimed_packet_len(&self) -> usize {
        self.header.len() + self.claimed_len
    }

    /// The quote with other addresses and another port.
    fn translated(&self, after: Addresses, port: Port) -> Vec<u8> {
        let mut quote = self.translated_header(after);
        let payload_at = quote.len();
        quote.extend(self.payload);
        let change = Change { before: self.addresses, after };
        rewrite_quoted(&mut quote[payload_at..], &self.transport, port, &change, self.claimed_len);
        quote
    }

    fn translated_header(&self, after: Addresses) -> Vec<u8> {
        match (self.addresses, after) {
            (Addresses::V4 { .. }, Addresses::V4 { source, destination }) => {
                let mut header = self.header.to_vec();
                if let Ok(mut ip) = Ipv4Mut::parse(&mut header) {
                    ip.set_source(source);
                    ip.set_destination(destination);
                    ip.seal();
                }
                header
            }
            (Addresses::V6 { .. }, Addresses::V4 { source, destination }) => {
                let total_len = ipv4::HEADER_LEN + self.claimed_len;
                let (fragmentation, identification) = match self.fragment {
                    Some(place) => {
                        (Fragmentation::Part { offset_bytes: 0, more: place.more }, place.identification as u16)
                    }
                    None => (Fragmentation::for_translated(total_len), 0),
                };
                let header = ipv4::Header {
                    traffic_class: self.traffic_class,
                    total_len: u16::try_from(total_len).unwrap_or(u16::MAX),
                    identification,
                    fragmentation,
                    ttl: self.hop_limit,
                    protocol: self.protocol.number(Family::V4),
                    source,
                    destination,
                };
                header.to_bytes().to_vec()
            }
            (_, Addresses::V6 { source, destination }) => {
                let next_header = self.protocol.number(Family::V6);
                let place = self.fragment.map(|fragment| fragment.to_bytes(next_header));
                let payload_len = self.claimed_len + place.map_or(0, |place| place.len());
                let header = ipv6::Header {
                    traffic_class: self.traffic_class,
                    payload_len: u16::try_from(payload_len).unwrap_or(u16::MAX),
                    next_header: if place.is_some() { protocol::FRAGMENT } else { next_header },
                    hop_limit: self.hop_limit,
                    source,
                    destination,
                };
                [&header.to_bytes()[..], place.as_ref().map_or(&[], |place| &place[..])].concat()
            }
        }
    }
}

/// Reads what the first 8 bytes of a quoted transport header say.
fn read_transport(family: Family, number: u8, bytes: &[u8]) -> Result<(Protocol, Transport, (u16, u16)), DropReason> {
    let [s0, s1, d0, d1, i0, i1, _, _, ..] = *bytes else { return Err(DropReason::Malformed) };
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    match (number, family) {
        (protocol::TCP, _) => {
            let flags = packet::tcp::Flags(0);
            let transport = Transport::Tcp { source, destination, flags, header_len: packet::tcp::HEADER_LEN };
            Ok((Protocol::Tcp, transport, (source, destination)))
        }
        (protocol::UDP, _) => Ok((Protocol::Udp, Transport::Udp { source, destination }, (source, destination))),
        (protocol::ICMPV4, Family::V4) | (protocol::ICMPV6, Family::V6) => {
            let (kind, code) = (s0, s1);
            let is_error = match family {
                Family::V4 => icmp::v4::is_error(kind),
                Family::V6 => icmp::v6::is_error(kind),
            };
            // RFC 7915 §4.3: no error is translated that quotes an error.
            if is_error {
                return Err(DropReason::IcmpErrorAboutError);
            }
            let kind = Echo::of(family, kind, code).ok_or(DropReason::IcmpNotTranslated)?;
            let identifier = u16::from_be_bytes([i0, i1]);
            Ok((Protocol::Icmp, Transport::Echo { kind, identifier }, (identifier, identifier)))
        }
        _ => Err(DropReason::ProtocolNotSupported),
    }
}

/// What a translated error is to say, and to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewError {
    pub(crate) addresses: Addresses,
    /// The router that speaks, if its address is to be said (RFC 6791 §4).
    pub(crate) router: Option<Ipv6Addr>,
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    pub(crate) quoted: Addresses,
    pub(crate) port: Port,
    /// Identification of an IPv4 packet that may be fragmented.
    pub(crate) identification: Option<u16>,
    /// Longest packet it may become, in bytes.
    pub(crate) longest: usize,
}

/// The error in the words of the other side.
pub(crate) fn translate(
    message: Icmp<'_>,
    quote: &Quote<'_>,
    new: &NewError,
    mtus: Mtus,
) -> Result<Vec<u8>, DropReason> {
    let words = Words { kind: message.kind(), code: message.code(), rest: message.rest() };
    let family = new.addresses.family();
    let translated = match (quote.addresses.family(), family) {
        (Family::V4, Family::V6) => tables::to_v6(words, quote.claimed_packet_len(), mtus),
        (Family::V6, Family::V4) => tables::to_v4(words, mtus),
        (Family::V4, Family::V4) => tables::keep_v4(words),
        (Family::V6, Family::V6) => None,
    };
    let words = translated.ok_or(DropReason::IcmpNotTranslated)?;
    let translated = quote.translated(new.quoted, new.port);
    let header_len = match family {
        Family::V4 => ipv4::HEADER_LEN,
        Family::V6 => ipv6::HEADER_LEN,
    };
    let extensions = match new.router {
        Some(router) => Cow::Owned(with_address(quote.extensions, router)),
        None => Cow::Borrowed(quote.extensions),
    };
    let room = new.longest.checked_sub(header_len + icmp::HEADER_LEN).ok_or(DropReason::NoHeadroom)?;
    let (Words { kind, code, rest }, body) = lay_out(family, words, &translated, &extensions, room);
    let mut payload = vec![kind, code, 0, 0];
    payload.extend(rest);
    payload.extend(body);
    seal_icmp(&mut payload, new.addresses);
    let NewError { traffic_class, hop_limit, identification, .. } = *new;
    let fields = Fields { traffic_class, hop_limit, identification, ..Fields::own_icmp(family) };
    Ok(compose(new.addresses, fields, &payload))
}
