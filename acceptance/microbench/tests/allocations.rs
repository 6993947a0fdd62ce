//! A packet of a known session is translated without a single allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use microbench::flows::{Bench, Flow, Inside, Transport};
use nat64::Side;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one only counts")]
// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[track_caller]
fn check(inside: Inside, transport: Transport) {
    let mut bench = Bench::new();
    let flows: Vec<_> = (0..100).map(|number| Flow::new(inside, transport, number)).collect();
    let mut answers = bench.open(&flows);
    let mut outgoing = Bench::outgoing(&flows);

    let before = ALLOCATIONS.get();
    bench.pass(Side::Inside, &mut outgoing, Duration::from_millis(1));
    bench.pass(Side::Outside, &mut answers, Duration::from_millis(1));

    assert_eq!(ALLOCATIONS.get() - before, 0, "{inside:?} {transport:?}");
}

#[test]
fn nothing_is_allocated_for_packets_of_known_sessions() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Echo] {
        check(Inside::Ipv6, transport);
        check(Inside::Ipv4, transport);
    }
    assert!(ALLOCATIONS.get() > 0, "allocations are counted");
}
