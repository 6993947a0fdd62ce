//! Packets that are announced before they come: nothing is different, except for the time they take.

use nat64::{DropReason, Limits};

use crate::lab::{Lab, Outcome, at, echo, tcp, udp, via, with_ipv4};

const REMOTE: &str = "9.9.9.9:53";

/// So many flows that looking ahead is worth it.
const FLOWS: u16 = 33_000;

fn host(number: u16) -> String {
    format!("[2001:db8:1:{}::7]:{}", number % 4, 20_000 + number)
}

fn bytes(packets: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    packets.iter().map(Vec::as_slice)
}

/// Too short for what is looked at.
fn cut(packet: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    [0, 3, 20, 30].into_iter().map(|len| packet[..len].to_vec())
}

#[test]
fn what_is_announced_passes_as_if_it_were_not() {
    let mut lab = Lab::with(|config| {
        config.pool4[0].ports = 1..=65_535;
        config.limits = Limits { new_flows_at_once: u32::MAX, ..Limits::default() };
    });
    let mut outers: Vec<_> = Vec::new();
    for number in 0..FLOWS {
        outers.push(lab.inside(&udp(&host(number), &via(REMOTE), b"question")).sent().source.to_string());
    }
    let known = || (0..90).map(|index| usize::from(index * 300_u16));
    let mut inside: Vec<_> = known().map(|number| udp(&host(number as u16), &via(REMOTE), b"more")).collect();
    let mut outside: Vec<_> = known().map(|number| udp(REMOTE, &outers[number], b"answer")).collect();
    let fragment = with_ipv4(outside[0].clone(), |ip| ip.more_fragments = true);
    inside.extend([tcp("198.18.0.7:40001", "9.9.9.9:443", "S"), echo("2001:db8:1:2::7", "64:ff9b::909:909", 128, 7)]);
    inside.push(udp("[2001:db8:1:2::7]:9", "[2001:db8::1]:53", b"not for pool6"));
    outside.push(udp("8.8.8.8:53", &outers[0], b"from somebody else"));

    let garbage = cut(&inside[0]).chain(cut(&outside[0])).chain([fragment]).collect::<Vec<_>>();
    lab.engine.expect_inside(bytes(&inside).chain(bytes(&garbage)));
    lab.engine.expect_outside(bytes(&outside).chain(bytes(&garbage)).chain(bytes(&inside)));

    for (packet, outer) in inside.iter().zip(known().map(|number| &outers[number])) {
        assert_eq!(&lab.inside(packet).sent().source.to_string(), outer);
    }
    for (packet, host) in outside.iter().zip(known().map(|number| host(number as u16))) {
        assert_eq!(lab.outside(packet).sent().destination, at(&host));
    }
    let rest = inside[90..].iter().map(|packet| lab.inside(packet)).collect::<Vec<_>>();
    assert!(matches!(
        rest[..],
        [Outcome::Sent(_), Outcome::Sent(_), Outcome::Dropped(DropReason::DestinationOutsidePool6)]
    ));
    lab.outside(&outside[90]).sent();
}
