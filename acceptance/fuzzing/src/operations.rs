//! What can happen to an engine, read from a script: shaped packets, answers to what left, time, settings, mappings.
//!
//! The meaning of bytes is what committed corpora are written in: change it only together with them.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use nat64::{
    Config, ErrorSource4, Filtering, Hairpinning, Lifetimes, Pool4, Pooling, Protocol, Refresh, Side, StaticMapping,
    TrafficClass, UdpWithoutChecksum, Unsolicited,
};
use packet::{Layout, Offload, SegmentKind, Segments, protocol};

use crate::bench::{Bench, INSIDE, POOL4, REMOTES, at, at4, config, other};
use crate::oracle::Trust;
use crate::packets::{Kind, Mend, Shape, build, leave_checksum_open, mend, put};
use crate::script::Script;

/// Payloads are cut from this; what is longer is longer than any link.
const LONGEST_PAYLOAD: usize = 9000;

/// What happened to the last step.
pub(crate) type Step = Option<()>;

/// One operation that has nothing to do with the side a target is about. `None` ends the script.
pub(crate) fn anything(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    match script.byte()? % 8 {
        0 | 1 => shaped(bench, script, Side::Inside),
        2 | 3 => shaped(bench, script, Side::Outside),
        4 => answered(bench, script),
        5 => time(bench, script),
        6 => settings(bench, script),
        _ => mappings(bench, script),
    }
}

/// The bytes of a packet as they stand in the script, mended or not.
pub(crate) fn raw(bench: &mut Bench, script: &mut Script<'_>, side: Side) -> Step {
    let how = script.byte()?;
    let len = script.word()?;
    let mut bytes = script.bytes(usize::from(len)).to_vec();
    mend(&mut bytes, Mend::of(how));
    hand(bench, script, (side, how), bytes)
}

/// A packet between endpoints there are, with some of its bytes changed.
pub(crate) fn shaped(bench: &mut Bench, script: &mut Script<'_>, side: Side) -> Step {
    let how = script.byte()?;
    let mut bytes = shape(bench, script, side)?;
    // Some packets have something between their header and their payload.
    if how & 0x10 != 0 {
        insert(&mut bytes, script);
    }
    change(&mut bytes, script)?;
    mend(&mut bytes, Mend::of(how >> 2));
    hand(bench, script, (side, how), bytes)
}

/// A right packet between endpoints there are.
pub(crate) fn shape(bench: &Bench, script: &mut Script<'_>, side: Side) -> Option<Vec<u8>> {
    let inner = at(script.choice(&INSIDE)?);
    let remote = at4(script.choice(&REMOTES)?);
    let (kind, extra) = (script.byte()?, script.byte()?);
    let payload = payload(script.byte()?, extra);
    let (from, to, port) = match side {
        Side::Inside => (inner, bench.towards(inner, remote), inner.port()),
        Side::Outside => {
            let outer = outer(bench, extra);
            (remote.into(), outer.into(), outer.port())
        }
    };
    let kind = match kind % 8 {
        0..=2 => Kind::Udp,
        3..=5 => Kind::Tcp { flags: [2, 18, 16, 17, 4, 20, 24, 0][usize::from(kind >> 3) % 8] },
        _ => Kind::Echo { identifier: port, is_reply: (kind >> 3) % 2 == 1 },
    };
    Some(build(Shape { from, to, kind, payload: &payload }))
}

/// An outside endpoint that somebody has, mostly.
fn outer(bench: &Bench, choice: u8) -> SocketAddrV4 {
    match choice % 4 {
        0 => SocketAddrV4::new(POOL4[0], 5000 + u16::from(choice / 4 % 8)),
        1 => SocketAddrV4::new(POOL4[1], 4998 + u16::from(choice / 4 % 16)),
        _ => {
            let all: Vec<_> = bench.engine.bib().map(|entry| entry.outer).collect();
            let index = usize::from(choice / 4) % all.len().max(1);
            all.get(index).copied().unwrap_or(SocketAddrV4::new(POOL4[0], 5000))
        }
    }
}

/// Most payloads are short; some lie at the sizes of links, some are super-packets'.
fn payload(len: u8, fill: u8) -> Vec<u8> {
    let len = match len {
        0..=127 => usize::from(len),
        128..=191 => 1180 + usize::from(len - 128) * 4,
        192..=239 => 1436 + usize::from(len - 192) * 2,
        240..=255 => usize::from(len - 239) * LONGEST_PAYLOAD / 16,
    };
    (0..len).map(|n| (n as u8).wrapping_mul(7) ^ fill).collect()
}

/// Puts IPv6 extension headers or IPv4 options behind the network header.
fn insert(bytes: &mut Vec<u8>, script: &mut Script<'_>) -> Option<()> {
    let kind = script.byte()?;
    let own = script.bytes(usize::from(kind >> 4) * 4).to_vec();
    match bytes[0] >> 4 {
        4 => {
            let options = &own[..own.len() / 4 * 4];
            bytes[0] = 0x45 + (options.len() / 4).min(10) as u8;
            bytes.splice(20..20, options[..options.len().min(40)].iter().copied());
        }
        _ => {
            let header = [protocol::HOP_BY_HOP, protocol::ROUTING, protocol::FRAGMENT, protocol::DESTINATION_OPTIONS];
            let mut extension = own;
            extension.resize(extension.len().max(8).next_multiple_of(8), 0);
            let next = header[usize::from(kind) % header.len()];
            extension[0] = bytes[6];
            if next != protocol::FRAGMENT {
                extension[1] = (extension.len() / 8 - 1) as u8;
            } else {
                extension.truncate(8);
            }
            bytes[6] = next;
            bytes.splice(40..40, extension);
        }
    }
    Some(())
}

/// Overwrites bytes, or cuts the packet.
pub(crate) fn change(bytes: &mut Vec<u8>, script: &mut Script<'_>) -> Step {
    let changes = script.byte()?;
    for _ in 0..changes % 4 {
        let (place, value) = (usize::from(script.byte()?), script.byte()?);
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
    }
    if changes & 0x80 != 0 {
        bytes.truncate(usize::from(script.byte()?));
    }
    Some(())
}

/// Hands bytes over, as an ordinary packet or with work left for the device.
fn hand(bench: &mut Bench, script: &mut Script<'_>, (side, how): (Side, u8), mut bytes: Vec<u8>) -> Step {
    let mut offload = Offload::default();
    if how & 0x20 != 0 {
        offload = leave_checksum_open(&mut bytes);
    }
    if how & 0xc0 == 0xc0 {
        let is_tcp = Layout::of(&bytes).is_ok_and(|layout| layout.protocol == protocol::TCP);
        let kind = if is_tcp { SegmentKind::Tcp } else { SegmentKind::Udp };
        offload.segments = Some(Segments { kind, size_bytes: script.word()? % 1500 });
    }
    hand_over(bench, side, &bytes, offload);
    Some(())
}

/// A fragment of one's own making may not fit the others.
fn hand_over(bench: &mut Bench, side: Side, bytes: &[u8], offload: Offload) {
    if Layout::of(bytes).is_ok_and(|layout| layout.is_fragment) {
        bench.fragments = Trust::Unknown;
    }
    bench.hand(side, bytes, offload);
}

/// Something that left comes back from where it went, or once more from where it came.
fn answered(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let choice = script.byte()?;
    let Some((to, bytes)) = bench.sent.iter().rev().nth(usize::from(choice & 7)).cloned() else { return Some(()) };
    let mut bytes = bytes;
    if choice & 8 == 0 {
        swap(&mut bytes);
    }
    change(&mut bytes, script)?;
    mend(&mut bytes, Mend::of(choice >> 4));
    let side = if choice & 0x40 == 0 { to } else { other(to) };
    hand_over(bench, side, &bytes, Offload::default());
    Some(())
}

/// Source and destination, ports, and request and reply of an echo change places.
fn swap(bytes: &mut [u8]) {
    let Ok(layout) = Layout::of(bytes) else { return };
    let (at, len) = if bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let (source, destination) = bytes[at..at + 2 * len].split_at_mut(len);
    source.swap_with_slice(destination);
    let Some([first, second, third, fourth, ..]) = bytes.get_mut(layout.transport_at..layout.end) else { return };
    match layout.protocol {
        protocol::TCP | protocol::UDP => {
            std::mem::swap(first, third);
            std::mem::swap(second, fourth);
        }
        _ => {
            *first = match *first {
                8 => 0,
                0 => 8,
                128 => 129,
                129 => 128,
                other => other,
            };
        }
    }
}

pub(crate) fn time(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let time = script.word()?;
    let amount = u64::from(time & 0x3fff);
    bench.pass(match time >> 14 {
        0 => Duration::from_micros(amount),
        1 => Duration::from_millis(amount * 4),
        2 => Duration::from_secs(amount % 600),
        _ => Duration::from_secs(amount),
    });
    Some(())
}

/// Another configuration, with the limits there were.
fn settings(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let (switches, sizes, places) = (script.byte()?, script.byte()?, script.byte()?);
    let first: Config = config();
    let pool6: &[&str] = [
        &["64:ff9b::/96"][..],
        &["2001:db8:64::/96"],
        &["2001:db8:64::/64"],
        &["2001:db8:6400::/40"],
        &["fd00::/32"],
        &["64:ff9b::/96", "2001:db8:64::/96"],
        &["2001:db8:6400::/40", "64:ff9b::/96", "fd00:0:1::/48"],
        &["2001:db8:64::/56", "64:ff9b::/96"],
    ][usize::from(places & 7)];
    let last_port = first.pool4[0].ports.end() - u16::from(places >> 4 & 3);
    let addresses = if places & 8 == 0 { &POOL4[..] } else { &POOL4[..1] };
    let mtu4 = [1500, 1280, 576, 68, 65535, 1492, 0, 1260][usize::from(sizes) % 8];
    let mtu6 = [1412, 1280, 9000, 1500, 65535, 0, 1420, 1281][usize::from(sizes >> 3) % 8];
    bench.reconfigure(Config {
        pool6: pool6.iter().map(|prefix| prefix.parse().expect("a prefix")).collect(),
        pool4: addresses.iter().map(|address| Pool4::new(*address, 5000..=last_port)).collect(),
        error_source4: if switches & 1 == 0 { ErrorSource4::SpokenTo } else { ErrorSource4::Address4 },
        filtering: if switches & 2 == 0 { Filtering::EndpointIndependent } else { Filtering::AddressDependent },
        hairpinning: if switches & 4 == 0 { Hairpinning::On } else { Hairpinning::Off },
        unsolicited: [Unsolicited::HoldSyns, Unsolicited::Silent, Unsolicited::Answer]
            [usize::from(switches >> 3 & 3) % 3],
        pooling: if places & 8 == 0 { Pooling::Paired } else { Pooling::SoftlyPaired },
        traffic_class: if sizes & 1 == 0 { TrafficClass::COPIED } else { TrafficClass::always(0) },
        udp_without_checksum: if sizes & 4 == 0 { UdpWithoutChecksum::Computed } else { UdpWithoutChecksum::Dropped },
        refresh: if switches & 0x20 == 0 { Refresh::BothSides } else { Refresh::InsideOnly },
        own_addresses: if switches & 0x40 == 0 { Vec::new() } else { vec![*at4(REMOTES[0]).ip()] },
        allow: if switches & 0x80 == 0 { Vec::new() } else { vec!["10.0.0.0/8".parse().expect("a prefix")] },
        denied_ports: if places & 0x40 == 0 { Vec::new() } else { vec![(Protocol::Tcp, 25), (Protocol::Udp, 53)] },
        lifetimes: Lifetimes { udp: Duration::from_secs(120 + u64::from(places >> 7) * 600), ..Lifetimes::default() },
        lowest_ipv6_mtu: [1280, 1400, 1500, 65535][usize::from(sizes >> 6)],
        mtu4,
        mtu6,
        ..first
    });
    Some(())
}

/// Mappings are made by hand and taken away, and peers leave.
fn mappings(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let what = script.byte()?;
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp][usize::from(what >> 2) % 3];
    let outer = outer(bench, script.byte()?);
    // Who asks is told; either answer is right.
    match what % 4 {
        0 | 1 => {
            let inner: SocketAddr = at(script.choice(&INSIDE)?);
            let _ = bench.engine.add_mapping(bench.now, StaticMapping { protocol, outer, inner });
        }
        2 => {
            let _ = bench.engine.remove_mapping(protocol, outer);
        }
        _ => {
            let prefixes = ["2001:db8::/64", "2001:db8:0:1::/64", "198.18.0.7/32", "2001:db8::7/128"];
            bench.engine.forget_inside(script.choice(&prefixes)?.parse().expect("a prefix"));
        }
    }
    bench.collect(Trust::Right);
    Some(())
}

/// Makes a whole packet one of the parts it can be cut into, which is what makes it a fragment.
pub(crate) fn cut(whole: &[u8], identification: u16, offset: usize, len: usize, has_more: bool) -> Vec<u8> {
    let is_v6 = whole[0] >> 4 == 6;
    let header_len = if is_v6 { 40 } else { 20 };
    let payload = &whole[header_len..];
    let from = offset.min(payload.len());
    let part = &payload[from..payload.len().min(from + len)];
    let mut bytes = whole[..header_len].to_vec();
    let offset_and_more = offset as u16 & 0xfff8 | u16::from(has_more);
    if is_v6 {
        let [high, low] = offset_and_more.to_be_bytes();
        let [id_high, id_low] = identification.to_be_bytes();
        bytes.extend([whole[6], 0, high, low, 0, 0, id_high, id_low]);
        bytes[6] = protocol::FRAGMENT;
    } else {
        put(&mut bytes, 4, identification);
        put(&mut bytes, 6, u16::from(has_more) << 13 | offset_and_more >> 3);
    }
    bytes.extend(part);
    mend(&mut bytes, Mend::Header);
    bytes
}
