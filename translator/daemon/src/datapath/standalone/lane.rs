//! One queue of the interface, and what happens to the packets that the kernel puts there.
//!
//! Super-packets stay whole in both directions: the kernel cuts them, where its devices cannot. Datagrams that come one by
//! one are merged first, which forwarding kernels do for TCP only: what a packet costs is the way into the kernel.
//!
//! Invariant: what comes from a queue goes back into it, in order.

use std::time::Instant;

use packet::coalesce::{Coalescer, Merge};
use packet::{Family, Frame, Layout, Packet, protocol, segment};
use tokio::select;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tun::{Queue, Read, Turn};

use super::super::DatapathError;
use super::super::drops::DropReason;
use super::super::path::FLOWS;
use super::translation::{Shared, Translation};

/// What moves the packets of one queue.
pub(super) struct Lane {
    translation: Translation,
    frame: Frame,
    /// Datagrams that came one by one.
    coalescer: Coalescer,
    merge: Merge,
}

impl Lane {
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// [`DatapathError::Register`]; the queue is gone then.
    pub(super) fn new(queue: Queue, shared: Shared) -> Result<Self, DatapathError> {
        let port = queue.into_port().map_err(DatapathError::Register)?;
        let merge = port.merge();
        Ok(Self {
            translation: Translation::new(shared, port),
            frame: Frame::new(),
            coalescer: Coalescer::new(merge, FLOWS),
            merge,
        })
    }

    /// Moves packets until `stop` is closed, or something breaks.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<()>) -> Result<(), DatapathError> {
        while self.step(stop.changed()).await?.is_none() {}
        Ok(())
    }

    /// Waits for packets, for time to pass, or for `other`, and does what is to be done about the first two.
    pub(super) async fn step<T>(&mut self, other: impl Future<Output = T>) -> Result<Option<T>, DatapathError> {
        // Whatever this lane did to the engine, it sees here: what other lanes do, they see themselves.
        let due = self.translation.poll_timeout();
        let time = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        select! {
            other = other => return Ok(Some(other)),
            ready = self.translation.readable() => ready.map_err(DatapathError::of_wait)?,
            () = time => {}
        }
        let now = Instant::now();
        self.handle_frames(now)?;
        self.handle_timeout(now)?;
        Ok(None)
    }

    /// Lets time pass for the engine, and writes what came of that or of what others did to it.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), DatapathError> {
        self.translation.handle_timeout(now)
    }

    fn handle_frames(&mut self, now: Instant) -> Result<(), DatapathError> {
        // Nobody waits but time and commands, which are patient.
        let mut turn = Turn::of(usize::MAX);
        while !turn.is_over() {
            match self.translation.read(self.frame.room()) {
                Read::Frame(len) => {
                    turn.takes(len);
                    self.handle_frame(now, len)?;
                }
                Read::Spoilt => self.translation.count(DropReason::TunMalformed),
                Read::Nothing => break,
                Read::Gone => return Err(DatapathError::TunGone),
                Read::Broken(error) => return Err(DatapathError::TunRead(error)),
            }
        }
        self.translation.handle_merged(now, &mut self.coalescer)
    }

    fn handle_frame(&mut self, now: Instant, len: usize) -> Result<(), DatapathError> {
        let Self { translation, frame, coalescer, merge } = self;
        let Ok(mut packet) = frame.packet(len) else {
            translation.count(DropReason::TunMalformed);
            return Ok(());
        };
        if !is_for_us(&packet) {
            translation.count(DropReason::NotForUs);
            return Ok(());
        }
        if *merge != Merge::TcpAndUdp || !is_datagram(&packet) {
            // What came before leaves before.
            translation.handle_merged(now, coalescer)?;
            return translation.handle_packet(now, packet);
        }
        // Only what has a checksum can be merged, for only that can be verified.
        if segment::complete_checksum(&mut packet).is_err() {
            translation.count(DropReason::TunMalformed);
            return Ok(());
        }
        coalescer.push_after(packet.bytes(), |full| translation.handle_merged(now, full))
    }
}

/// Whether this is one whole datagram.
fn is_datagram(packet: &Packet<'_>) -> bool {
    let is_udp = |layout: Layout| layout.protocol == protocol::UDP && !layout.is_fragment;
    packet.offload.segments.is_none() && Layout::of(packet.bytes()).is_ok_and(is_udp)
}

/// Whether this is an IP packet for somebody in particular.
fn is_for_us(packet: &Packet<'_>) -> bool {
    Family::of(packet.bytes()).is_some_and(|family| !is_multicast(family, packet.bytes()))
}

/// What the kernel tells every neighbour on a link that it takes for one of its own.
fn is_multicast(family: Family, packet: &[u8]) -> bool {
    match family {
        Family::V6 => packet.get(24) == Some(&0xff),
        Family::V4 => packet.get(16).is_some_and(|octet| (224..240).contains(octet)),
    }
}
