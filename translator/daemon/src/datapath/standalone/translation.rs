//! The engine between what is read and what is written, shared by all lanes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use nat64::{Engine, Verdict};
use packet::coalesce::Coalescer;
use packet::{Family, Frame, Packet};
use tun::{Port, Read};

use super::super::DatapathError;
use super::super::drops::{DropReason, Drops};
use super::super::outlet::Outlet;

/// What all lanes use in turn.
pub(super) struct State {
    pub(super) engine: Engine,
    pub(super) drops: Drops,
}

/// A lane holds it while a packet is translated, which is a small part of what a packet costs, and never while it waits for
/// the kernel.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(engine: Engine) -> Self {
        Self(Arc::new(Mutex::new(State { engine, drops: Drops::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a lane that panics ends the datapath")
    }
}

/// A lane's way through the engine and into the kernel.
pub(super) struct Translation {
    shared: Shared,
    outlet: Outlet,
    /// What was dropped since the others were told.
    drops: Drops,
    /// Packets that the engine made by itself.
    made: Vec<Vec<u8>>,
    /// One of these.
    frame: Frame,
}

impl Translation {
    pub(super) fn new(shared: Shared, port: Port) -> Self {
        Self { shared, outlet: Outlet::new(port), drops: Drops::default(), made: Vec::new(), frame: Frame::new() }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.outlet.port.readable().await
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> Read {
        self.outlet.port.read(buffer)
    }

    pub(super) fn count(&mut self, reason: DropReason) {
        self.drops.add(reason);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.shared.lock().engine.poll_timeout()
    }

    /// Lets time pass for the engine, and writes what came of that or of what others did to it.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), DatapathError> {
        let mut state = self.shared.lock();
        state.drops.take(&mut self.drops);
        if state.engine.poll_timeout().is_some_and(|due| due <= now) {
            state.engine.handle_timeout(now);
        }
        collect(&mut state.engine, &mut self.made);
        drop(state);
        self.write_made()
    }

    /// Translates what was merged, and leaves nothing of it.
    pub(super) fn handle_merged(&mut self, now: Instant, merged: &mut Coalescer) -> Result<(), DatapathError> {
        self.expect(merged);
        while let Some(packet) = merged.poll() {
            self.handle_packet(now, packet)?;
        }
        Ok(())
    }

    /// Lets the engine fetch what it will look at for the packets that were merged.
    fn expect(&self, merged: &Coalescer) {
        if merged.waiting().next().is_none() {
            return;
        }
        let of = |family| merged.waiting().filter(move |bytes| Family::of(bytes) == Some(family));
        let mut state = self.shared.lock();
        state.engine.expect_inside(of(Family::V6));
        state.engine.expect_outside(of(Family::V4));
    }

    /// Translates a packet, and hands what becomes of it to the kernel.
    pub(super) fn handle_packet(&mut self, now: Instant, mut packet: Packet<'_>) -> Result<(), DatapathError> {
        let Some(family) = Family::of(packet.bytes()) else {
            self.drops.add(DropReason::NotForUs);
            return Ok(());
        };
        let mut state = self.shared.lock();
        let verdict = match family {
            Family::V6 => state.engine.handle_inside(now, &mut packet),
            Family::V4 => state.engine.handle_outside(now, &mut packet),
        };
        collect(&mut state.engine, &mut self.made);
        drop(state);
        if verdict == Verdict::Forward {
            self.outlet.write(&mut self.drops, packet)?;
        }
        // Fragments leave in order, and before the next packet makes more of them.
        self.write_made()
    }

    /// Writes what the engine made by itself. Which side it is for, the kernel sees from its family.
    fn write_made(&mut self) -> Result<(), DatapathError> {
        for bytes in self.made.drain(..) {
            self.outlet.write_made(&mut self.drops, &mut self.frame, &bytes)?;
        }
        Ok(())
    }
}

/// What an engine made of the last packet is for who brought it: the next lane must not overtake.
fn collect(engine: &mut Engine, made: &mut Vec<Vec<u8>>) {
    while let Some(transmit) = engine.poll_transmit() {
        made.push(transmit.bytes);
    }
}
