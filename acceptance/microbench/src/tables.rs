//! The tables with a million flows in them: memory per flow, the longest insertion, lookups, and the end of them all.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nat64::Side;
use nix::time::{ClockId, clock_gettime};

use crate::flows::{Bench, Flow, Inside, Transport, Waiting};

/// What is many.
pub const MANY: u32 = 1_000_000;
/// How many flows packets are looked up among: the first fit every cache, the last none.
pub const AMONG: [u32; 4] = [1_000, 20_000, 100_000, MANY];
/// Rounds of which the best counts: interrupts are charged to whom they interrupt.
const ROUNDS: usize = 3;
/// Packets of one measurement, each of a flow chosen at random.
const LOOKUPS: u32 = 1_024;
/// Measurements among each number of flows, in turn.
const TURNS: u32 = 200;

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
    /// A packet of one of [`AMONG`] so many flows.
    pub hits: [Duration; AMONG.len()],
    /// A load that depends on the one before, from anywhere in as much memory as the tables take.
    pub memory_latency: Duration,
}

/// Opens and forgets [`MANY`] flows, several times.
///
/// # Errors
/// The system does not say what time or memory was used.
pub fn measure() -> Result<Figures> {
    let (bytes_per_flow, bench) = memory()?;
    let (hits, memory_latency) = lookups(bench, bytes_per_flow)?;
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
        hits,
        memory_latency,
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

/// A packet of one of [`AMONG`] so many flows, and a load from memory, in turn.
fn lookups(many: Bench, bytes_per_flow: u64) -> Result<([Duration; AMONG.len()], Duration)> {
    let mut many = Some(many);
    let mut benches = AMONG.map(|flows| match many.take_if(|_| flows == MANY) {
        Some(many) => many,
        None => opened(flows),
    });
    let mut hits = [Duration::MAX; AMONG.len()];
    let chain = Chain::new((bytes_per_flow * u64::from(MANY)) as usize);
    let mut latency = Duration::MAX;
    let mut random = Random(1);
    for _ in 0..TURNS {
        for ((bench, flows), least) in benches.iter_mut().zip(AMONG).zip(&mut hits) {
            *least = (*least).min(hit(bench, flows, &mut random)?);
        }
        latency = latency.min(timed(|| chain.follow(random.below(chain.0.len() as u32), LOOKUPS))? / LOOKUPS);
    }
    Ok((hits, latency))
}

fn opened(flows: u32) -> Bench {
    let mut bench = Bench::new();
    (0..flows).for_each(|number| drop(bench.open(&[flow(number)])));
    bench
}

fn hit(bench: &mut Bench, flows: u32, random: &mut Random) -> Result<Duration> {
    let chosen: Vec<_> = (0..LOOKUPS).map(|_| flow(random.below(flows))).collect();
    let mut waiting = Bench::outgoing(&chosen);
    Ok(timed(|| bench.pass(Side::Inside, &mut waiting, Duration::from_micros(1)))? / LOOKUPS)
}

/// Numbers that no processor foretells (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % u64::from(end)) as u32
    }
}

/// Cache lines, each of which names the next: one cycle through all of them, in random order (Sattolo 1986).
struct Chain(Vec<[u32; 16]>);

impl Chain {
    fn new(bytes: usize) -> Self {
        let mut order: Vec<u32> = (0..(bytes / 64) as u32).collect();
        let mut random = Random(2);
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last as u32) as usize);
        }
        Self(order.into_iter().map(|next| [next; 16]).collect())
    }

    fn follow(&self, from: u32, steps: u32) {
        let end = (0..steps).fold(from, |place, _| self.0[place as usize][0]);
        std::hint::black_box(end);
    }
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
