//! Random numbers from the kernel, a few hundred at a time.

use std::cell::RefCell;

const BUFFER: usize = 512;

/// A store of random octets.
pub(super) struct Random(RefCell<Store>);

struct Store {
    octets: [u8; BUFFER],
    used: usize,
}

impl Random {
    pub(super) fn new() -> Self {
        Self(RefCell::new(Store { octets: [0; BUFFER], used: BUFFER }))
    }

    pub(super) fn u64(&self) -> u64 {
        u64::from_ne_bytes(self.octets())
    }

    pub(super) fn u16(&self) -> u16 {
        u16::from_ne_bytes(self.octets())
    }

    fn octets<const N: usize>(&self) -> [u8; N] {
        let mut store = self.0.borrow_mut();
        if store.used + N > BUFFER {
            getrandom::fill(&mut store.octets).expect("the kernel has random numbers once it has booted");
            store.used = 0;
        }
        let at = store.used;
        store.used += N;
        let mut octets = [0; N];
        octets.copy_from_slice(&store.octets[at..at + N]);
        // What was given away is of no use to who might read the memory later.
        store.octets[at..at + N].fill(0);
        octets
    }
}
