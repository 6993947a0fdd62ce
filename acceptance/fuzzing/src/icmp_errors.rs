//! ICMP errors in both directions about sessions there are, which quote anything.

use std::net::{IpAddr, SocketAddr};

use nat64::Side;
use packet::{Family, Offload};

use crate::bench::{Bench, REMOTES, at, at4};
use crate::operations::{Step, anything, change, shape};
use crate::packets::{Kind, Mend, Shape, build, mend, put};
use crate::script::Script;

/// ICMP errors about packets that left, were shaped, or are arbitrary bytes.
pub fn icmp_errors(input: &[u8]) {
    let (mut bench, mut script) = (Bench::new(), Script::new(input));
    while step(&mut bench, &mut script).is_some() {}
}

fn step(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    match script.byte()? % 4 {
        0..=2 => error(bench, script),
        _ => anything(bench, script),
    }
}

fn error(bench: &mut Bench, script: &mut Script<'_>) -> Step {
    let how = script.byte()?;
    let (side, mut quote) = quoted(bench, script, how)?;
    change(&mut quote, script)?;
    extend(&mut quote, script, how)?;
    let Some((from, to)) = way(bench, script, side, &quote) else { return Some(()) };
    let (kind, code) = (script.byte()?, script.byte()?);
    // The types there are, mostly.
    let kind = match (from.is_ipv6(), how >> 6) {
        (_, 3) => kind,
        (true, _) => [1, 2, 3, 4][usize::from(kind) % 4],
        (false, _) => [3, 4, 5, 11, 12][usize::from(kind) % 5],
    };
    let rest = script.bytes(4).try_into().unwrap_or([0; 4]);
    let mut bytes = build(Shape { from, to, kind: Kind::Icmp { kind, code, rest }, payload: &quote });
    if how & 0x20 != 0 {
        change(&mut bytes, script)?;
        mend(&mut bytes, Mend::of(how));
    }
    bench.hand(side, &bytes, Offload::default());
    Some(())
}

/// What an error is about, and the side it comes from.
fn quoted(bench: &Bench, script: &mut Script<'_>, how: u8) -> Option<(Side, Vec<u8>)> {
    let choice = script.byte()?;
    let side = if choice & 0x80 == 0 { Side::Outside } else { Side::Inside };
    match how % 4 {
        // What left comes back from where it went.
        0 | 1 => match bench.sent.iter().rev().nth(usize::from(choice & 7)) {
            Some((to, bytes)) => Some((*to, bytes.clone())),
            None => Some((side, Vec::new())),
        },
        // As if it had been received there.
        2 => {
            let mut bytes = shape(bench, script, side)?;
            turn(&mut bytes);
            Some((side, bytes))
        }
        _ => Some((side, script.bytes(usize::from(choice & 0x7f)).to_vec())),
    }
}

/// What was to come from a side is made what went there.
fn turn(bytes: &mut [u8]) {
    let (at, len) = if bytes[0] >> 4 == 4 { (12, 4) } else { (8, 16) };
    let (source, destination) = bytes[at..at + 2 * len].split_at_mut(len);
    source.swap_with_slice(destination);
    let ports = at + 2 * len;
    if let Some([first, second, third, fourth]) = bytes.get_mut(ports..ports + 4) {
        std::mem::swap(first, third);
        std::mem::swap(second, fourth);
    }
}

/// Pads the quote and puts an extension structure behind it (RFC 4884 §4), or lets it claim to be longer than it is.
fn extend(quote: &mut Vec<u8>, script: &mut Script<'_>, how: u8) -> Option<()> {
    if how & 4 != 0 && quote.len() >= 40 {
        let longer = quote.len() as u16 + u16::from(script.byte()?) * 8;
        match Family::of(quote) {
            Some(Family::V4) => {
                put(quote, 2, longer);
                put(quote, 10, 0);
                let sum = !crate::oracle::sum_of_words(&quote[..20]);
                put(quote, 10, sum);
            }
            Some(Family::V6) => put(quote, 4, longer - 40),
            None => {}
        }
    }
    if how & 8 != 0 {
        quote.resize(usize::from(script.byte()? % 160) * 8, 0);
    }
    if how & 0x10 != 0 {
        let object = script.bytes(16);
        let mut extension = [&[0x20, 0, 0, 0, 0, 4 + object.len() as u8, 1, 1][..], object].concat();
        let sum = !crate::oracle::sum_of_words(&extension);
        put(&mut extension, 2, sum);
        quote.extend(extension);
    }
    Some(())
}

/// From whom the error comes, and to whom: a router on the way, or the end of it, to the source of what is quoted.
fn way(bench: &Bench, script: &mut Script<'_>, side: Side, quote: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let choice = script.byte()?;
    let routers = ["203.0.113.9", "10.255.0.1", "127.0.0.1", "9.9.9.9"];
    let router: std::net::Ipv4Addr = routers[usize::from(choice) % 4].parse().expect("an address");
    let octets4 = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(quote.get(at..at + 4)?).ok()?));
    let octets6 = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(quote.get(at..at + 16)?).ok()?));
    let (source, destination) = match Family::of(quote) {
        Some(Family::V6) => (octets6(8)?, octets6(24)?),
        Some(Family::V4) => (octets4(12)?, octets4(16)?),
        None if side == Side::Outside => (at("192.0.2.1:0").ip(), at4(REMOTES[0]).ip().to_owned().into()),
        None => (bench.pool6(0).embed(*at4(REMOTES[0]).ip()).into(), at("[2001:db8::7]:0").ip()),
    };
    let from = match (choice >> 2 & 1, destination, side) {
        (0, destination, _) => destination,
        (_, IpAddr::V4(_), _) => router.into(),
        (_, IpAddr::V6(_), Side::Inside) => at("[2001:db8:0:1::1]:0").ip(),
        (_, IpAddr::V6(_), Side::Outside) => bench.pool6(choice.into()).embed(router).into(),
    };
    Some((SocketAddr::new(from, 0), SocketAddr::new(source, 0)))
}
