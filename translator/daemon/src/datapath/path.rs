//! What happens to packets, batch by batch.
//!
//! Invariant: a datagram that the socket has no room for stops the reading of packets that would become datagrams, not
//! of those that come from peers; so the queue in front of the socket is bounded by one super-packet.

use std::mem;
use std::time::{Instant, SystemTime};

use nat64::{Engine, Side, Verdict};
use packet::{HEADROOM, Packet, segment, virtio};
use tunnel::{Inside, Outcome, Pool, Received, Sent, Socket, Transmit, Tunnels};

use super::DatapathError;
use super::drops::{DropReason, Drops};
use super::route::{Addresses, Route};
use crate::tun::{Port, Read, Written};

/// The most frames of one batch: the other directions get their turn after it.
pub(super) const BATCH: usize = 64;

/// The largest IP packet, and so the largest super-packet.
pub(super) const LARGEST_PACKET: usize = 65_535;

/// Where a frame's header stands, so that its packet stands at `HEADROOM`.
pub(super) const FRAME_AT: usize = HEADROOM - virtio::HEADER_LEN;

/// Everything a packet meets on its way.
pub(super) struct Path {
    pub(super) port: Port,
    pub(super) socket: Socket,
    pub(super) tunnels: Tunnels,
    pub(super) engine: Engine,
    pub(super) addresses: Addresses,
    pub(super) drops: Drops,
    pool: Pool,
    /// One frame, with room in front for translation.
    frame: Box<[u8]>,
    received: Vec<Received>,
    /// A datagram that the socket had no room for.
    blocked: Option<Transmit>,
}

impl Path {
    pub(super) fn new(port: Port, socket: Socket, tunnels: Tunnels, engine: Engine, addresses: Addresses) -> Self {
        Self {
            pool: tunnels.pool(),
            port,
            socket,
            tunnels,
            engine,
            addresses,
            drops: Drops::default(),
            frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
            received: Vec::new(),
            blocked: None,
        }
    }

    /// Whether datagrams wait for room in the socket.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
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
        self.socket.recv_batch(&self.pool, &mut received);
        for Received { from, datagram } in received.drain(..) {
            if let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) {
                self.handle_inside(now, &inside)?;
            }
        }
        self.received = received;
        Ok(())
    }

    fn handle_inside(&mut self, now: Instant, inside: &Inside) -> Result<(), DatapathError> {
        let end = HEADROOM + inside.bytes().len();
        self.frame[HEADROOM..end].copy_from_slice(inside.bytes());
        let mut packet = Packet::new(&mut self.frame, HEADROOM..end);
        let verdict = match self.addresses.is_gateway(inside.destination) {
            true => Verdict::Forward,
            false => self.engine.handle_inside(now, &mut packet),
        };
        match verdict {
            Verdict::Forward => write(&self.port, &mut self.drops, packet)?,
            // The engine keeps the one and counts the other.
            Verdict::Taken | Verdict::Drop(_) => {}
        }
        self.collect_made()
    }

    /// Takes a batch of packets from the kernel, and sends what becomes of each before it reads the next.
    pub(super) fn handle_frames(&mut self, now: Instant) -> Result<(), DatapathError> {
        for _ in 0..BATCH {
            if self.is_blocked() {
                break;
            }
            match self.port.read(&mut self.frame[FRAME_AT..]) {
                Read::Frame(len) => self.handle_frame(now, len),
                Read::Spoilt => self.drops.add(DropReason::TunMalformed),
                Read::Nothing => break,
                Read::Gone => return Err(DatapathError::TunGone),
                Read::Broken(error) => return Err(DatapathError::TunRead(error)),
            }
            self.flush()?;
        }
        Ok(())
    }

    fn handle_frame(&mut self, now: Instant, len: usize) {
        let frame = &self.frame[FRAME_AT..FRAME_AT + len];
        let Some((header, bytes)) = frame.split_at_checked(virtio::HEADER_LEN) else {
            return self.drops.add(DropReason::TunMalformed);
        };
        let route = self.addresses.route(bytes);
        let Ok(offload) = virtio::decode(header, bytes) else { return self.drops.add(DropReason::TunMalformed) };
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
        match route {
            Route::Engine if self.engine.handle_outside(now, &mut packet) != Verdict::Forward => return,
            Route::Engine | Route::Tunnels => {}
            Route::Nowhere(reason) => return self.drops.add(reason),
        }
        let cut = segment::segment(&packet, |segment| to_peer(&mut self.tunnels, segment));
        if cut.is_err() {
            self.drops.add(DropReason::Unsegmentable);
        }
    }

    /// Sends what the engine made by itself, and every datagram that is ready, as far as the socket has room.
    pub(super) fn flush(&mut self) -> Result<(), DatapathError> {
        self.collect_made()?;
        self.transmit();
        Ok(())
    }

    /// Hands on what the engine made of the last packet: fragments follow their first one at once.
    fn collect_made(&mut self) -> Result<(), DatapathError> {
        while let Some(made) = self.engine.poll_transmit() {
            match made.side {
                Side::Inside => to_peer(&mut self.tunnels, &made.bytes),
                Side::Outside => self.write_made(&made.bytes)?,
            }
        }
        Ok(())
    }

    fn write_made(&mut self, bytes: &[u8]) -> Result<(), DatapathError> {
        let end = HEADROOM + bytes.len();
        let Some(place) = self.frame.get_mut(HEADROOM..end) else {
            self.drops.add(DropReason::TunWriteFailed);
            return Ok(());
        };
        place.copy_from_slice(bytes);
        write(&self.port, &mut self.drops, Packet::new(&mut self.frame, HEADROOM..end))
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.blocked.take().or_else(|| self.tunnels.poll_transmit()) {
            match self.socket.send(&transmit) {
                Sent::Done => {}
                Sent::Failed(error) => {
                    tracing::debug!(to = %transmit.to, %error, "send");
                    self.drops.add(DropReason::SendFailed);
                }
                Sent::Busy => {
                    self.blocked = Some(transmit);
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

/// Hands a packet to the kernel.
fn write(port: &Port, drops: &mut Drops, mut packet: Packet<'_>) -> Result<(), DatapathError> {
    let written = virtio::with_header(&mut packet).map(|frame| port.write(frame));
    match written {
        Ok(Written::Done) => return Ok(()),
        Ok(Written::Gone) => return Err(DatapathError::TunGone),
        Ok(Written::Refused(error)) => tracing::debug!(%error, "write to the TUN interface"),
        Err(error) => tracing::error!(%error, "write to the TUN interface"),
    }
    drops.add(DropReason::TunWriteFailed);
    Ok(())
}
