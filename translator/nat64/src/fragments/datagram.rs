//! One datagram in the making: the parts that have arrived, in order and without overlap.

use packet::ipv4::{self, Fragmentation, Ipv4Mut};
use packet::ipv6::{self, Fragment};
use packet::{Family, HEADROOM};

use crate::DropReason;
use crate::drop::Refusal;
use crate::fragments::Key;
use crate::network::Network;
use crate::reply::Reply;
use crate::timers::Tick;
use crate::xlat::fragment::Train;

/// RFC 791 §3.1: what an IPv4 header leaves of 65535 bytes; a longer IPv6 datagram has no counterpart.
const LONGEST_TRANSLATED: usize = 65_535 - 20;
/// RFC 3168 §5: congestion was experienced.
const CE: u8 = 0b11;

/// A fragment as it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// All headers in front of the payload.
    head: &'a [u8],
    payload: &'a [u8],
    place: Fragment,
    traffic_class: u8,
    dont_fragment: bool,
}

impl<'a> Piece<'a> {
    /// The fragment at `place` whose header was read.
    pub(crate) fn new(bytes: &'a [u8], network: &Network, place: Fragment) -> Self {
        let (head, payload) = bytes.get(..network.len).unwrap_or(bytes).split_at(network.transport_at);
        let Network { traffic_class, dont_fragment, .. } = *network;
        Self { head, payload, place, traffic_class, dont_fragment }
    }

    /// RFC 791 §3.2, RFC 8200 §4.5: all but the last carry a multiple of 8 bytes, and none reaches beyond 64 KiB.
    pub(super) fn check(&self, family: Family) -> Result<(), Refusal> {
        let wrong = |pointer: usize| match family {
            Family::V4 => DropReason::Malformed.into(),
            Family::V6 => Refusal::with(DropReason::Malformed, Reply::FragmentProblem { pointer: pointer as u32 }),
        };
        if self.place.more && !self.payload.len().is_multiple_of(8) {
            return Err(wrong(ipv6::PAYLOAD_LEN_AT));
        }
        let header_len = match family {
            Family::V4 => ipv4::HEADER_LEN,
            // What stands in front of the fragment header counts, too.
            Family::V6 => self.head.len().saturating_sub(ipv6::HEADER_LEN + ipv6::FRAGMENT_HEADER_LEN),
        };
        if header_len + self.end() > usize::from(u16::MAX) {
            return Err(wrong((self.head.len() + ipv6::FRAGMENT_OFFSET_AT).saturating_sub(ipv6::FRAGMENT_HEADER_LEN)));
        }
        if self.payload.is_empty() {
            return Err(DropReason::Malformed.into());
        }
        if self.end() > LONGEST_TRANSLATED { Err(DropReason::PacketTooBig.into()) } else { Ok(()) }
    }

    /// What it takes to keep it, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.payload.len() + if self.is_first() { self.head.len() } else { 0 } + size_of::<Part>()
    }

    fn start(&self) -> usize {
        usize::from(self.place.offset_bytes)
    }

    fn end(&self) -> usize {
        self.start() + self.payload.len()
    }

    const fn is_first(&self) -> bool {
        self.place.offset_bytes == 0
    }
}

/// Why a fragment is not one of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is there already, to the last byte.
    Repeated,
    /// It contradicts what is there, or the datagram was given up.
    Overlap,
}

/// A part of the payload, and where its bytes are kept.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    end: usize,
    kept_at: usize,
}

/// A datagram of which at least one fragment has arrived.
#[derive(Debug)]
pub(crate) struct Datagram {
    key: Key,
    born: Tick,
    /// The headers of the first fragment, once it is there.
    head: Vec<u8>,
    parts: Vec<Part>,
    /// Payloads in the order they arrived.
    kept: Vec<u8>,
    /// Length of the payload, known from the last fragment.
    end: Option<usize>,
    cost: usize,
    is_spoilt: bool,
    is_congested: bool,
    dont_fragment: bool,
}

impl Datagram {
    /// What it takes to keep one without parts, its places in the tables included, in bytes.
    pub(super) const COST: usize = size_of::<Self>() + 64;

    pub(super) const fn new(born: Tick, key: Key) -> Self {
        Self {
            key,
            born,
            head: Vec::new(),
            parts: Vec::new(),
            kept: Vec::new(),
            end: None,
            cost: Self::COST,
            is_spoilt: false,
            is_congested: false,
            dont_fragment: false,
        }
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    pub(super) const fn born(&self) -> Tick {
        self.born
    }

    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) const fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    pub(super) const fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Which part a fragment would be.
    pub(super) fn place(&self, piece: &Piece<'_>) -> Result<usize, Misfit> {
        if self.is_spoilt {
            return Err(Misfit::Overlap);
        }
        let index = self.parts.partition_point(|part| part.start < piece.start());
        let next = self.parts.get(index);
        if next.is_some_and(|part| self.is_repeated(*part, piece)) {
            return Err(Misfit::Repeated);
        }
        let before = index.checked_sub(1).and_then(|index| self.parts.get(index));
        let overlaps = before.is_some_and(|part| part.end > piece.start())
            || next.is_some_and(|part| part.start < piece.end())
            || self.contradicts_end(piece);
        if overlaps { Err(Misfit::Overlap) } else { Ok(index) }
    }

    fn is_repeated(&self, part: Part, piece: &Piece<'_>) -> bool {
        let is_last = self.end == Some(part.end);
        (part.start, part.end, is_last) == (piece.start(), piece.end(), !piece.place.more)
            && self.bytes_of(part) == piece.payload
    }

    /// Whether this fragment and the others disagree on where the datagram ends.
    fn contradicts_end(&self, piece: &Piece<'_>) -> bool {
        match (self.end, piece.place.more) {
            (Some(end), true) => piece.end() >= end,
            (Some(_), false) => true,
            (None, true) => false,
            (None, false) => self.parts.last().is_some_and(|part| part.end > piece.start()),
        }
    }

    /// Takes a fragment at the place it was found to have.
    pub(super) fn insert(&mut self, index: usize, piece: &Piece<'_>) {
        self.parts.insert(index, Part { start: piece.start(), end: piece.end(), kept_at: self.kept.len() });
        self.kept.extend(piece.payload);
        self.cost += piece.cost();
        if piece.is_first() {
            self.head.extend(piece.head);
        }
        if !piece.place.more {
            self.end = Some(piece.end());
        }
        self.is_congested |= piece.traffic_class & CE == CE;
        self.dont_fragment |= piece.dont_fragment;
    }

    /// Forgets the parts, for good, and says what that frees.
    pub(super) fn spoil(&mut self) -> usize {
        (self.head, self.parts, self.kept) = (Vec::new(), Vec::new(), Vec::new());
        self.is_spoilt = true;
        std::mem::replace(&mut self.cost, Self::COST) - Self::COST
    }

    /// Whether nothing is missing: parts do not overlap, so it is enough to add them up.
    pub(super) fn is_whole(&self) -> bool {
        self.end == Some(self.kept.len())
    }

    fn bytes_of(&self, part: Part) -> &[u8] {
        &self.kept[part.kept_at..part.kept_at + (part.end - part.start)]
    }

    /// The whole packet behind [`HEADROOM`] bytes: the header of the first fragment without what made it one.
    ///
    /// RFC 3168 §5.3: congestion that one fragment experienced is the packet's, if that speaks ECN.
    pub(crate) fn assemble(&self) -> Result<Vec<u8>, DropReason> {
        let header_len = match self.key.family {
            Family::V4 => self.head.len(),
            Family::V6 => ipv6::HEADER_LEN,
        };
        let mut buffer = Vec::with_capacity(HEADROOM + header_len + self.kept.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend(&self.head[..header_len]);
        for part in &self.parts {
            buffer.extend(self.bytes_of(*part));
        }
        self.mend_header(&mut buffer[HEADROOM..])?;
        Ok(buffer)
    }

    fn mend_header(&self, packet: &mut [u8]) -> Result<(), DropReason> {
        let len = packet.len();
        match self.key.family {
            Family::V4 => {
                let traffic_class = self.traffic_class(packet[1]);
                // IPv4 options can make it longer than a packet may be.
                let total_len = u16::try_from(len).map_err(|_| DropReason::Malformed)?;
                let mut header = Ipv4Mut::parse(packet).map_err(|_| DropReason::Malformed)?;
                header.set_total_len(total_len);
                header.set_traffic_class(traffic_class);
                let fragmentation = if self.dont_fragment { Fragmentation::Never } else { Fragmentation::Allowed };
                header.set_fragmentation(fragmentation);
                header.seal();
            }
            Family::V6 => {
                let traffic_class = self.traffic_class(packet[0] << 4 | packet[1] >> 4);
                ipv6::set_traffic_class(packet, traffic_class);
                ipv6::set_payload_len(packet, (len - ipv6::HEADER_LEN) as u16);
                ipv6::set_next_header(packet, self.key.protocol);
            }
        }
        Ok(())
    }

    const fn traffic_class(&self, of_first: u8) -> u8 {
        if self.is_congested && of_first & CE != 0 { of_first | CE } else { of_first }
    }

    /// How it came.
    pub(crate) fn train(&self) -> Train {
        Train {
            identification: self.key.identification,
            cuts: self.parts.iter().skip(1).map(|part| part.start).collect(),
            longest: self.parts.iter().map(|part| part.end - part.start).max().unwrap_or_default(),
        }
    }

    /// The first fragment, for an error to quote; nothing if it has not arrived.
    pub(crate) fn first_fragment(&self) -> Option<Vec<u8>> {
        let first = self.parts.first().filter(|first| first.start == 0)?;
        Some([&self.head[..], self.bytes_of(*first)].concat())
    }
}
