//! Trains of fragments: cut, joined, and joined once more by a reference that is slow and obvious.

use std::collections::BTreeMap;

use etherparse::{IpFragOffset, Ipv4Header};
use nat64::Side;
use packet::ipv4::Ipv4;
use packet::ipv6::{Fragment, Ipv6};
use proptest::prelude::*;

use crate::lab::{Lab, is_fragment, see, udp, via, with_ipv4};

/// Headers of a packet without options or extension headers, in bytes.
fn header_len(whole: &[u8]) -> usize {
    if whole[0] >> 4 == 4 { 20 } else { 40 }
}

/// The part of a whole packet whose payload is `start..end`.
pub(crate) fn part(whole: &[u8], (start, end): (usize, usize), identification: u32) -> Vec<u8> {
    let (header, payload) = whole.split_at(header_len(whole));
    let place = Fragment { offset_bytes: start as u16, more: end < payload.len(), identification };
    fragment(header, &payload[start..end.min(payload.len())], place)
}

/// A fragment made of the header of a whole packet.
pub(crate) fn fragment(header: &[u8], payload: &[u8], place: Fragment) -> Vec<u8> {
    if header[0] >> 4 == 4 {
        let bytes = [header, payload].concat();
        return with_ipv4(bytes, |ip| {
            ip.identification = place.identification as u16;
            (ip.more_fragments, ip.dont_fragment) = (place.more, false);
            ip.fragment_offset = IpFragOffset::try_new(place.offset_bytes / 8).unwrap();
        });
    }
    let mut bytes = [header, &place.to_bytes(header[6]), payload].concat();
    bytes[6] = 44;
    bytes[4..6].copy_from_slice(&((payload.len() + 8) as u16).to_be_bytes());
    bytes
}

/// A whole packet in parts that start at these places of its payload.
pub(crate) fn cut(whole: &[u8], at: &[usize], identification: u32) -> Vec<Vec<u8>> {
    let starts = std::iter::once(0).chain(at.iter().copied());
    let ends = at.iter().copied().chain(std::iter::once(whole.len()));
    starts.zip(ends).map(|place| part(whole, place, identification)).collect()
}

/// Where a fragment belongs, and its payload.
pub(crate) fn place(bytes: &[u8]) -> (Fragment, &[u8]) {
    if bytes[0] >> 4 == 4 {
        let ip = Ipv4::parse(bytes).unwrap();
        assert!(ip.checksum_is_right() && !ip.dont_fragment());
        let place = Fragment {
            offset_bytes: ip.fragment_offset() as u16,
            more: ip.more_fragments(),
            identification: ip.identification().into(),
        };
        return (place, ip.payload());
    }
    let upper = Ipv6::parse(bytes).unwrap().upper_layer().unwrap();
    (upper.fragment.unwrap(), &bytes[upper.at..])
}

/// The whole packet that fragments in any order are parts of.
#[track_caller]
pub(crate) fn join(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut parts: Vec<_> = fragments.iter().map(|bytes| (place(bytes), bytes)).collect();
    parts.sort_by_key(|((place, _), _)| place.offset_bytes);
    let mut payload = Vec::new();
    for (index, ((place, part), _)) in parts.iter().enumerate() {
        assert_eq!((usize::from(place.offset_bytes), place.more), (payload.len(), index + 1 < parts.len()));
        assert_eq!(place.identification, parts[0].0.0.identification);
        payload.extend_from_slice(part);
    }
    let first = parts[0].1;
    if first[0] >> 4 == 4 {
        let (_, rest) = Ipv4Header::from_slice(first).unwrap();
        let header = &first[..first.len() - rest.len()];
        let bytes = [header, &payload].concat();
        return with_ipv4(bytes, |ip| (ip.more_fragments, ip.identification) = (false, 0));
    }
    let mut whole = [&first[..40], &payload].concat();
    whole[6] = first[40];
    whole[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    whole
}

/// The reference: every byte of a datagram, and who says what it is.
#[derive(Default)]
struct Reference {
    bytes: BTreeMap<usize, u8>,
    places: Vec<(usize, usize)>,
    end: Option<usize>,
    is_spoilt: bool,
}

impl Reference {
    /// Takes a fragment, and gives the payload that this one made whole.
    fn take(&mut self, start: usize, payload: &[u8], more: bool) -> Option<Vec<u8>> {
        let end = start + payload.len();
        if payload.is_empty() || (more && !payload.len().is_multiple_of(8)) || self.is_spoilt {
            return None;
        }
        let bytes: Vec<_> = (start..end).map(|at| self.bytes.get(&at).copied()).collect();
        let is_repeated = self.places.contains(&(start, end))
            && bytes.iter().copied().eq(payload.iter().copied().map(Some))
            && (self.end == Some(end)) != more;
        if is_repeated {
            return None;
        }
        let contradicts = match (self.end, more) {
            (Some(known), true) => end >= known,
            (Some(_), false) => true,
            (None, true) => false,
            (None, false) => self.bytes.keys().any(|at| *at >= end),
        };
        if contradicts || bytes.iter().any(Option::is_some) {
            self.is_spoilt = true;
            return None;
        }
        self.bytes.extend((start..end).zip(payload.iter().copied()));
        self.places.push((start, end));
        self.end = if more { self.end } else { Some(end) };
        let is_whole = self.end.is_some_and(|end| (0..end).all(|at| self.bytes.contains_key(&at)));
        is_whole.then(|| std::mem::take(self).bytes.into_values().collect())
    }
}

const WEB: &str = "[2001:db8:1:2::7]:40001";
const DNS: &str = "9.9.9.9:53";

/// What may happen to a fragment on its way.
#[derive(Clone, Debug)]
enum Mishap {
    Lost(usize),
    Repeated(usize),
    /// Its payload begins or ends some bytes elsewhere.
    Stretched {
        index: usize,
        start: usize,
        end: usize,
    },
    /// A byte of it was changed on a second way.
    Forged(usize),
    /// It claims to be the last, or not to be.
    Turned(usize),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    let index = || 0usize..12;
    prop_oneof![
        2 => index().prop_map(Mishap::Lost),
        3 => index().prop_map(Mishap::Repeated),
        1 => (index(), 0usize..4, 0usize..40).prop_map(|(index, start, end)| Mishap::Stretched { index, start, end }),
        1 => index().prop_map(Mishap::Forged),
        1 => index().prop_map(Mishap::Turned),
    ]
}

/// Datagrams of one source with different identifications: length, cuts, and what happens to the fragments.
fn datagrams() -> impl Strategy<Value = Vec<(usize, Vec<usize>, Vec<Mishap>)>> {
    let cuts = proptest::collection::btree_set(1usize..120, 1..8);
    let mishaps = proptest::collection::vec(mishap(), 0..3);
    let datagram = (0usize..2000, cuts, mishaps).prop_map(|(len, cuts, mishaps)| {
        (len, cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < len + 8).collect(), mishaps)
    });
    proptest::collection::vec(datagram, 1..4)
}

fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + seed * 13 + at / 256) as u8).collect()
}

fn befall(fragments: &mut Vec<Vec<u8>>, whole: &[u8], mishaps: &[Mishap], identification: u32) {
    let header = &whole[..header_len(whole)];
    for mishap in mishaps {
        let pick = |index: &usize| fragments.get(*index % fragments.len().max(1)).cloned();
        match mishap {
            Mishap::Lost(index) if !fragments.is_empty() => drop(fragments.remove(*index % fragments.len())),
            Mishap::Lost(_) => {}
            Mishap::Repeated(index) => fragments.extend(pick(index)),
            Mishap::Stretched { index, start, end } => {
                let Some(bytes) = pick(index) else { continue };
                let (at, part) = place(&bytes);
                let start = usize::from(at.offset_bytes).saturating_sub(start * 8);
                let end = usize::from(at.offset_bytes) + part.len() + end;
                let end = end.min(whole.len() - header.len());
                fragments.push(self::part(whole, (start, end), identification));
            }
            Mishap::Forged(index) => {
                let Some(mut bytes) = pick(index) else { continue };
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                fragments.push(bytes);
            }
            Mishap::Turned(index) => {
                let Some(bytes) = pick(index) else { continue };
                let (mut at, part) = place(&bytes);
                at.more = !at.more;
                fragments.push(fragment(header, part, at));
            }
        }
    }
}

/// What the reference makes of fragments: the whole packets, in the order they become whole.
fn reference(fragments: &[Vec<u8>], header: &[u8]) -> Vec<Vec<u8>> {
    let mut references: BTreeMap<u32, Reference> = BTreeMap::new();
    let take = |bytes: &Vec<u8>| {
        let (at, part) = place(bytes);
        let reference = references.entry(at.identification).or_default();
        let payload = reference.take(at.offset_bytes.into(), part, at.more)?;
        let mut whole = [header, &payload].concat();
        if whole[0] >> 4 == 6 {
            whole[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            return Some(whole);
        }
        Some(with_ipv4(whole, |_| {}))
    };
    fragments.iter().filter_map(take).collect()
}

/// The packet without what tells fragments from wholes.
fn content(bytes: &[u8]) -> Vec<u8> {
    if bytes[0] >> 4 == 6 {
        return bytes.to_vec();
    }
    with_ipv4(bytes.to_vec(), |ip| (ip.identification, ip.dont_fragment) = (0, false))
}

/// Whole packets out of what left an engine.
fn wholes(sent: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut wholes = Vec::new();
    let mut open = Vec::new();
    for bytes in sent {
        if !is_fragment(&bytes) {
            wholes.push(content(&bytes));
            continue;
        }
        let is_last = !place(&bytes).0.more;
        open.push(bytes);
        if is_last {
            wholes.push(content(&join(&std::mem::take(&mut open))));
        }
    }
    assert!(open.is_empty(), "a train left without its end");
    wholes
}

/// Two engines that know the same session, the second one between links that take everything whole; the mapping of the
/// inside host.
fn twins() -> (Lab, Lab, String) {
    let mut one = Lab::new();
    let mut two = Lab::with(|config| (config.mtu4, config.mtu6, config.lowest_ipv6_mtu) = (9000, 9000, 9000));
    let outer = one.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string();
    assert_eq!(two.inside(&udp(WEB, &via(DNS), b"")).sent().source.to_string(), outer);
    (one, two, outer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Requirements 68, 71 to 73: a train arrives as exactly what its sender sent, or not at all.
    #[test]
    fn a_train_leaves_as_the_datagram_it_was_or_not_at_all(
        datagrams in datagrams(), is_inside in any::<bool>(), order in any::<proptest::sample::Index>(),
        keys in proptest::collection::vec(any::<u64>(), 64),
    ) {
        let (mut lab, mut plain, outer) = twins();
        let side = if is_inside { Side::Inside } else { Side::Outside };
        let whole_of = |payload: &[u8]| match side {
            Side::Inside => udp(WEB, &via(DNS), payload),
            Side::Outside => udp(DNS, &outer, payload),
        };
        let mut arriving = Vec::new();
        for (index, (len, cuts, mishaps)) in datagrams.iter().enumerate() {
            let whole = whole_of(&payload(*len, index));
            // A packet that was not cut is no fragment, and no concern of this law.
            if cuts.is_empty() { continue }
            let mut fragments = cut(&whole, cuts, 700 + index as u32);
            befall(&mut fragments, &whole, mishaps, 700 + index as u32);
            arriving.extend(fragments);
        }
        // A whole packet is none of a datagram's fragments; forging may have made one.
        arriving.retain(|bytes| is_fragment(bytes));
        let mut keyed: Vec<_> = arriving.into_iter().zip(keys.iter().cycle()).collect();
        keyed.sort_by_key(|(_, key)| *key);
        let mut arriving: Vec<_> = keyed.into_iter().map(|(bytes, _)| bytes).collect();
        if !arriving.is_empty() {
            let at = order.index(arriving.len());
            arriving.rotate_left(at);
        }

        let sent = wholes(lab.feed(side, &arriving));

        // What the reference puts together, an engine without fragments translates to the same packets.
        let header = whole_of(b"");
        let whole = reference(&arriving, &header[..header_len(&header)]);
        let expected = wholes(plain.feed(side, &whole));
        prop_assert_eq!(&sent, &expected);
        for bytes in &sent {
            let is_genuine = whole.iter().all(|whole| crate::lab::transport_checksum(whole) == 0);
            if is_genuine { see(bytes); }
        }
        lab.pass(std::time::Duration::from_secs(60));
        prop_assert!(lab.engine.poll_timeout().is_some_and(|due| due > lab.now), "only the session is left");
    }

    /// Requirement 105: whatever claims to be a fragment, nothing panics and nothing but right packets leaves.
    #[test]
    fn fragments_of_noise_are_harmless(
        noise in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..100), any::<u16>(), any::<bool>(), 0u32..2, any::<bool>(),
             proptest::sample::select(vec![1u8, 6, 17, 58, 44, 60, 0])),
            1..60),
    ) {
        let (mut lab, _, outer) = twins();
        for (bytes, offset, more, identification, is_inside, protocol) in noise {
            let offset = if offset & 1 == 0 { offset % 13 * 8 } else { offset };
            let place = Fragment { offset_bytes: offset & !7, more, identification };
            let (side, mut header) = match is_inside {
                true => (Side::Inside, udp(WEB, &via(DNS), b"")[..40].to_vec()),
                false => (Side::Outside, udp(DNS, &outer, b"")[..20].to_vec()),
            };
            header[if is_inside { 6 } else { 9 }] = protocol;
            lab.feed(side, &[fragment(&header, &bytes, place)]).iter().for_each(|bytes| {
                packet::Layout::of(bytes).unwrap();
            });
        }
        lab.pass(std::time::Duration::from_secs(60));
    }
}
