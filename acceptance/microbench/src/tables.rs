//! The tables with a million flows in them: memory per flow, the longest insertion, lookups, and the end of them all.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nat64::Side;
use nix::time::{ClockId, clock_gettime};

use crate::flows::{Bench, Flow, Inside, Transport, Waiting};

/// What is many.
pub const MANY: u32 = 1_000_000;
/// What is few.
pub const FEW: u32 = 1_000;
/// Rounds of which the best counts: interrupts are charged to whom they interrupt.
const ROUNDS: usize = 3;
/// Packets of a lookup, each of another flow.
const LOOKUPS: u32 = 1_000;

/// Bars of the tables.
pub const BYTES_PER_FLOW: u64 = 128;
/// The longest that packets may wait for the tables.
pub const STALL: Duration = Duration::from_millis(1);

/// What a million flows cost.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Resident memory per flow, a BIB entry and a session each, in bytes.
    pub bytes_per_flow: u64,
    /// The longest that opening one flow took.
    pub longest_insertion: Duration,
    /// The longest that one portion of expiry took.
    pub longest_expiry: Duration,
    /// A packet of one of [`FEW`] flows.
    pub hit_of_few: Duration,
    /// A packet of one of [`MANY`] flows.
    pub hit_of_many: Duration,
}

/// Opens and forgets [`MANY`] flows, several times.
///
/// # Errors
/// The system does not say what time or memory was used.
pub fn measure() -> Result<Figures> {
    let (bytes_per_flow, mut bench) = memory()?;
    let (hit_of_few, hit_of_many) = lookups(&mut bench)?;
    drop(bench);
    let (mut insertions, mut expiries) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut bench = Bench::new();
        keep_least(&mut insertions, insertions_of(&mut bench)?);
        keep_least(&mut expiries, expiries_of(&mut bench)?);
    }
    Ok(Figures {
        bytes_per_flow,
        longest_insertion: insertions.into_iter().max().unwrap_or_default(),
        longest_expiry: expiries.into_iter().max().unwrap_or_default(),
        hit_of_few,
        hit_of_many,
    })
}

fn flow(number: u32) -> Flow {
    Flow::new(Inside::Ipv6, Transport::Udp, number)
}

fn memory() -> Result<(u64, Bench)> {
    let mut bench = Bench::new();
    // What an engine has before its first flow is not the flows'.
    bench.open(&[flow(0)]);
    let before = resident_bytes()?;
    (1..MANY).for_each(|number| drop(bench.open(&[flow(number)])));
    Ok((resident_bytes()?.saturating_sub(before) / u64::from(MANY), bench))
}

/// A packet of one of few flows, and of one of many, in turn.
fn lookups(many: &mut Bench) -> Result<(Duration, Duration)> {
    let mut few = Bench::new();
    few.open(&(0..FEW).map(flow).collect::<Vec<_>>());
    let (mut least_few, mut least_many) = (Duration::MAX, Duration::MAX);
    for round in 0..200 {
        least_few = least_few.min(hits(&mut few, FEW, round)?);
        least_many = least_many.min(hits(many, MANY, round)?);
    }
    Ok((least_few, least_many))
}

fn hits(bench: &mut Bench, flows: u32, round: u32) -> Result<Duration> {
    // An odd stride visits all of them, never two neighbours.
    let chosen = (0..LOOKUPS).map(|index| (round * LOOKUPS + index).wrapping_mul(0x9e37_79b1) % flows);
    let mut waiting = Bench::outgoing(&chosen.map(flow).collect::<Vec<_>>());
    let start = cpu_time()?;
    bench.pass(Side::Inside, &mut waiting, Duration::from_micros(1));
    Ok((cpu_time()? - start) / LOOKUPS)
}

fn insertions_of(bench: &mut Bench) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(MANY as usize);
    for number in 0..MANY {
        let mut waiting = Bench::outgoing(&[flow(number)]);
        took.push(timed(|| waiting.iter_mut().for_each(|packet: &mut Waiting| bench.open_ready(packet)))?);
    }
    Ok(took)
}

fn expiries_of(bench: &mut Bench) -> Result<Vec<Duration>> {
    bench.outlive();
    let mut took = Vec::new();
    let mut is_more = true;
    while is_more {
        took.push(timed(|| is_more = bench.expire_some())?);
    }
    assert_eq!(bench.sessions(), 0, "all of them are forgotten");
    Ok(took)
}

/// The same operation in every round: what only one round saw was not the operation's.
fn keep_least(least: &mut Vec<Duration>, round: Vec<Duration>) {
    if least.is_empty() {
        *least = round;
        return;
    }
    least.iter_mut().zip(round).for_each(|(least, other)| *least = other.min(*least));
}

fn timed(work: impl FnOnce()) -> Result<Duration> {
    let start = cpu_time()?;
    work();
    Ok(cpu_time()? - start)
}

/// What the processor has done for this thread, whoever else is waiting for it.
fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("the thread's CPU time")?.into())
}

fn resident_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/statm").context("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).context("/proc/self/statm has no second field")?.parse()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.context("no page size")?;
    Ok(pages * page.unsigned_abs())
}
