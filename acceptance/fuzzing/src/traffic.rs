//! Packets from one side as bytes, and everything else that can happen meanwhile.

use nat64::Side;

use crate::bench::Bench;
use crate::operations::{Step, anything, raw, shaped};
use crate::script::Script;

/// IPv6 and IPv4 packets from peers.
pub fn inside(input: &[u8]) {
    run(input, Side::Inside);
}

/// IPv4 packets to pool4.
pub fn outside(input: &[u8]) {
    run(input, Side::Outside);
}

fn run(input: &[u8], side: Side) {
    let (mut bench, mut script) = (Bench::new(), Script::new(input));
    while step(&mut bench, &mut script, side).is_some() {}
}

fn step(bench: &mut Bench, script: &mut Script<'_>, side: Side) -> Step {
    match script.byte()? % 8 {
        0..=2 => raw(bench, script, side),
        3..=5 => shaped(bench, script, side),
        _ => anything(bench, script),
    }
}
