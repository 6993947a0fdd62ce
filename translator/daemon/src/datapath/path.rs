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
use packet::coalesce::{Coalescer, Merge, Refused};
use packet::segment::Parts;
use packet::{HEADROOM, Packet, virtio};
use tunnel::{Outcome, Received, Sent, Socket, Tunnels};

use super::drops::{DropReason, Drops};
use super::outlet::Outlet;
use super::route::{Addresses, Route, destination};
use super::{DatapathError, steered};
use crate::tun::{Port, Read};

/// The most frames of one batch: the other directions get their turn after it.
pub(super) const BATCH: usize = 64;

/// The largest IP packet, and so the largest super-packet.
pub(super) const LARGEST_PACKET: usize = 65_535;

/// Flows whose packets are merged beside each other; each may cost 64 KiB.
pub(super) const FLOWS: usize = 32;

/// Datagrams that are worth a system call: what the kernel takes at once.
const RUN: usize = 64;

/// Where a frame's header stands, so that its packet stands at `HEADROOM`.
pub(super) const FRAME_AT: usize = HEADROOM - virtio::HEADER_LEN;

/// Everything a packet meets on its way.
pub(super) struct Path {
    pub(super) outlet: Outlet,
    pub(super) socket: Socket,
    pub(super) tunnels: Tunnels,
    pub(super) engine: Engine,
    pub(super) addresses: Addresses,
    pub(super) drops: Drops,
    /// One frame, with room in front for translation.
    frame: Box<[u8]>,
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
            frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
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
        self.socket.recv_batch(&mut received);
        for Received { from, datagram } in received.drain(..) {
            if let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) {
                self.merge(now, inside.bytes())?;
            }
        }
        self.received = received;
        self.handle_merged(now)
    }

    fn merge(&mut self, now: Instant, inside: &[u8]) -> Result<(), DatapathError> {
        if self.coalescer.push(inside) == Err(Refused::Full) {
            self.handle_merged(now)?;
            // Empty now, and no packet that came in a datagram is longer than packets can be.
            let _ = self.coalescer.push(inside);
        }
        Ok(())
    }

    fn handle_merged(&mut self, now: Instant) -> Result<(), DatapathError> {
        let mut coalescer = mem::replace(&mut self.coalescer, Coalescer::new(Merge::Nothing, 0));
        self.engine.expect_inside(coalescer.waiting());
        let mut outcome = Ok(());
        while let Some(packet) = coalescer.poll() {
            outcome = outcome.and_then(|()| self.handle_inside(now, packet));
        }
        self.coalescer = coalescer;
        outcome
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

    /// Takes a batch of packets from the kernel, and sends what becomes of them run by run.
    pub(super) fn handle_frames(&mut self, now: Instant) -> Result<(), DatapathError> {
        for _ in 0..BATCH {
            if self.is_blocked() {
                break;
            }
            match self.outlet.port.read(&mut self.frame[FRAME_AT..]) {
                Read::Frame(len) => self.handle_frame(now, len)?,
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
        let frame = &self.frame[FRAME_AT..FRAME_AT + len];
        let decoded = frame
            .split_at_checked(virtio::HEADER_LEN)
            .and_then(|(header, bytes)| Some((virtio::decode(header, bytes).ok()?, bytes)));
        let Some((offload, bytes)) = decoded else {
            self.drops.add(DropReason::TunMalformed);
            return Ok(());
        };
        let route = self.addresses.route(bytes);
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
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
