//! What happens to packets, batch by batch.
//!
//! Packets of peers are merged into super-packets before they are translated, those of the kernel are cut after that: the
//! engine sees one packet where the wire has forty.
//!
//! Invariant: datagrams that the socket has no room for stop the reading of packets that would become datagrams, not of
//! those that come from peers; so what waits in front of the socket is bounded by one run and one super-packet.

use std::mem;
use std::time::{Instant, SystemTime};

use nat64::{Engine, Side, Verdict};
use packet::coalesce::{Coalescer, Merge};
use packet::segment::Parts;
use packet::{Frame, Packet};
use tun::{Port, Read, Turn};
use tunnel::{Outcome, Received, Sent, Socket, Tunnels};

use super::drops::{DropReason, Drops};
use super::outlet::Outlet;
use super::route::{Addresses, Route, destination};
use super::{DatapathError, steered};

/// The most that is read from the kernel before peers have their turn, in bytes. It is encrypted on the way, at some
/// gigabyte a second.
const TURN_BYTES: usize = 256 << 10;

/// Flows whose packets are merged beside each other; each may cost 64 KiB.
pub(super) const FLOWS: usize = 32;

/// Datagrams that are worth a system call: what the kernel takes at once.
const RUN: usize = 64;

/// Everything a packet meets on its way.
pub(super) struct Path {
    pub(super) outlet: Outlet,
    pub(super) socket: Socket,
    pub(super) tunnels: Tunnels,
    pub(super) engine: Engine,
    pub(super) addresses: Addresses,
    pub(super) drops: Drops,
    frame: Frame,
    coalescer: Coalescer,
    received: Vec<Received>,
    is_blocked: bool,
}

impl Path {
    pub(super) fn new(port: Port, socket: Socket, tunnels: Tunnels, engine: Engine, addresses: Addresses) -> Self {
        Self {
            coalescer: Coalescer::new(port.merge(), FLOWS),
            outlet: Outlet::new(port),
            socket,
            tunnels,
            engine,
            addresses,
            drops: Drops::default(),
            frame: Frame::new(),
            received: Vec::new(),
            is_blocked: false,
        }
    }

    /// Whether datagrams wait for room in the socket.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// When [`Path::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Instant {
        let tunnels = self.tunnels.poll_timeout();
        self.engine.poll_timeout().map_or(tunnels, |engine| engine.min(tunnels))
    }

    /// Lets time pass for tunnels and engine.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.tunnels.handle_timeout(now, SystemTime::now());
        if self.engine.poll_timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now);
        }
    }

    /// Takes a batch of datagrams from the peers.
    pub(super) fn handle_datagrams(&mut self, now: Instant) -> Result<(), DatapathError> {
        let mut received = mem::take(&mut self.received);
        let mut coalescer = mem::replace(&mut self.coalescer, Coalescer::new(Merge::Nothing, 0));
        self.socket.recv_batch(&mut received);
        for Received { from, datagram } in received.drain(..) {
            if let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) {
                coalescer.push_after(inside.bytes(), |merged| self.handle_merged(now, merged))?;
            }
        }
        self.handle_merged(now, &mut coalescer)?;
        self.received = received;
        self.coalescer = coalescer;
        Ok(())
    }

    fn handle_merged(&mut self, now: Instant, merged: &mut Coalescer) -> Result<(), DatapathError> {
        self.engine.expect_inside(merged.waiting());
        while let Some(packet) = merged.poll() {
            self.handle_inside(now, packet)?;
        }
        Ok(())
    }

    fn handle_inside(&mut self, now: Instant, mut packet: Packet<'_>) -> Result<(), DatapathError> {
        let verdict = match self.is_for_gateway(packet.bytes()) {
            true => Verdict::Forward,
            false => self.engine.handle_inside(now, &mut packet),
        };
        match verdict {
            Verdict::Forward => self.outlet.write(&mut self.drops, packet)?,
            // The engine keeps the one and counts the other.
            Verdict::Taken | Verdict::Drop(_) => {}
        }
        self.collect_made()
    }

    fn is_for_gateway(&self, packet: &[u8]) -> bool {
        destination(packet).is_some_and(|address| self.addresses.is_gateway(address))
    }

    /// Takes a turn's packets from the kernel, and sends what becomes of them run by run.
    pub(super) fn handle_frames(&mut self, now: Instant) -> Result<(), DatapathError> {
        self.handle_frames_of(now, Port::read)
    }

    /// The same with those that nobody has been told of yet: what was just written to the kernel is often answered already.
    pub(super) fn handle_answers(&mut self, now: Instant) -> Result<(), DatapathError> {
        self.handle_frames_of(now, Port::read_at_once)
    }

    fn handle_frames_of(&mut self, now: Instant, read: fn(&Port, &mut [u8]) -> Read) -> Result<(), DatapathError> {
        let mut turn = Turn::of(TURN_BYTES);
        while !turn.is_over() && !self.is_blocked() {
            match read(&self.outlet.port, self.frame.room()) {
                Read::Frame(len) => {
                    turn.takes(len);
                    self.handle_frame(now, len)?;
                }
                Read::Spoilt => self.drops.add(DropReason::TunMalformed),
                Read::Nothing => break,
                Read::Gone => return Err(DatapathError::TunGone),
                Read::Broken(error) => return Err(DatapathError::TunRead(error)),
            }
            self.collect_made()?;
            // What is left over waits for the next frame, which may fill its run.
            self.transmit(RUN);
        }
        self.flush()
    }

    fn handle_frame(&mut self, now: Instant, len: usize) -> Result<(), DatapathError> {
        let Ok(mut packet) = self.frame.packet(len) else {
            self.drops.add(DropReason::TunMalformed);
            return Ok(());
        };
        let route = self.addresses.route(packet.bytes());
        if let Route::EngineAt(destination) = route {
            steered::restore(&mut packet, destination);
        }
        let verdict = match route {
            Route::Engine | Route::EngineAt(_) => self.engine.handle_outside(now, &mut packet),
            Route::Inside => self.engine.handle_inside(now, &mut packet),
            Route::Tunnels => Verdict::Forward,
            Route::Nowhere(reason) => {
                self.drops.add(reason);
                return Ok(());
            }
        };
        if verdict != Verdict::Forward {
            return Ok(());
        }
        let (Ok(parts), Some(destination)) = (Parts::of(&packet), destination(packet.bytes())) else {
            self.drops.add(DropReason::Unsegmentable);
            return Ok(());
        };
        // What the gateway itself asks of IPv4, and what it hears from there, is for the kernel.
        if route == Route::Inside || self.addresses.is_gateway(destination) {
            return self.outlet.write(&mut self.drops, packet);
        }
        // The tunnels count what they do not take.
        let Ok(mut towards) = self.tunnels.towards(destination, parts.count()) else { return Ok(()) };
        for index in 0..parts.count() {
            towards.handle_packet(parts.part_len(index), |room| parts.write(index, room));
        }
        Ok(())
    }

    /// Sends what the engine made by itself, and every datagram that is ready, as far as the socket has room.
    pub(super) fn flush(&mut self) -> Result<(), DatapathError> {
        self.collect_made()?;
        self.transmit(1);
        Ok(())
    }

    /// Hands on what the engine made of the last packet: fragments follow their first one at once.
    fn collect_made(&mut self) -> Result<(), DatapathError> {
        while let Some(made) = self.engine.poll_transmit() {
            match made.side {
                Side::Inside if !self.is_for_gateway(&made.bytes) => to_peer(&mut self.tunnels, &made.bytes),
                Side::Inside | Side::Outside => {
                    self.outlet.write_made(&mut self.drops, &mut self.frame, &made.bytes)?;
                }
            }
        }
        Ok(())
    }

    /// Sends as long as `least` datagrams wait, and there is room.
    fn transmit(&mut self, least: usize) {
        self.is_blocked = false;
        while self.tunnels.transmits().len() >= least {
            match self.socket.send(self.tunnels.transmits()) {
                Sent::Done => {}
                Sent::Failed { to, datagrams, error } => {
                    tracing::debug!(%to, datagrams, %error, "send");
                    self.drops.add_many(DropReason::SendFailed, datagrams);
                }
                Sent::Busy => {
                    self.is_blocked = true;
                    return;
                }
            }
        }
    }
}

/// Hands a packet to the tunnels, which count what they do not take.
fn to_peer(tunnels: &mut Tunnels, packet: &[u8]) {
    let _ = tunnels.handle_packet(packet);
}
