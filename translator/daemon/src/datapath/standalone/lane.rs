//! One queue of the interface, and what happens to the packets that the kernel puts there.
//!
//! Super-packets stay whole in both directions: the kernel cuts them, where its devices cannot. Datagrams that come one by
//! one are merged first, which forwarding kernels do for TCP only: what a packet costs is the way into the kernel.
//!
//! Invariant: what comes from a queue goes back into it, in order.

use std::time::Instant;

use packet::coalesce::{Coalescer, Merge, Refused};
use packet::{Family, HEADROOM, Layout, Offload, Packet, protocol, segment, virtio};
use tokio::select;
use tokio::time::sleep_until;

use super::super::DatapathError;
use super::super::drops::DropReason;
use super::super::path::{BATCH, FLOWS, FRAME_AT, LARGEST_PACKET};
use super::translation::{Shared, Translation};
use crate::tun::{Queue, Read};

/// What moves the packets of one queue.
pub(super) struct Lane {
    translation: Translation,
    /// One frame, with room in front for translation.
    frame: Box<[u8]>,
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
            frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
            coalescer: Coalescer::new(merge, FLOWS),
            merge,
        })
    }

    /// Moves packets until something breaks.
    pub(super) async fn run(mut self) -> Result<(), DatapathError> {
        loop {
            let _never: Option<()> = self.step(std::future::pending()).await?;
        }
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
        for _ in 0..BATCH {
            match self.translation.read(&mut self.frame[FRAME_AT..]) {
                Read::Frame(len) => self.handle_frame(now, len)?,
                Read::Spoilt => self.translation.count(DropReason::TunMalformed),
                Read::Nothing => break,
                Read::Gone => return Err(DatapathError::TunGone),
                Read::Broken(error) => return Err(DatapathError::TunRead(error)),
            }
        }
        self.handle_merged(now)
    }

    fn handle_frame(&mut self, now: Instant, len: usize) -> Result<(), DatapathError> {
        let Some((header, bytes)) = self.frame[FRAME_AT..FRAME_AT + len].split_at_checked(virtio::HEADER_LEN) else {
            self.translation.count(DropReason::TunMalformed);
            return Ok(());
        };
        let is_for_us = Family::of(bytes).is_some_and(|family| !is_multicast(family, bytes));
        let Ok(offload) = virtio::decode(header, bytes) else {
            self.translation.count(DropReason::TunMalformed);
            return Ok(());
        };
        if !is_for_us {
            self.translation.count(DropReason::NotForUs);
            return Ok(());
        }
        if self.merge == Merge::TcpAndUdp && is_datagram(bytes, offload) {
            return self.merge(now, len, offload);
        }
        // What came before leaves before.
        self.handle_merged(now)?;
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
        self.translation.handle_packet(now, packet)
    }

    fn merge(&mut self, now: Instant, len: usize, offload: Offload) -> Result<(), DatapathError> {
        let range = HEADROOM..FRAME_AT + len;
        let mut packet = Packet::new(&mut self.frame, range.clone());
        packet.offload = offload;
        // Only what has a checksum can be merged, for only that can be verified.
        if segment::complete_checksum(&mut packet).is_err() {
            self.translation.count(DropReason::TunMalformed);
            return Ok(());
        }
        if self.coalescer.push(&self.frame[range.clone()]) == Err(Refused::Full) {
            self.handle_merged(now)?;
            // Empty now, and no packet of the kernel is longer than packets can be.
            let _ = self.coalescer.push(&self.frame[range]);
        }
        Ok(())
    }

    fn handle_merged(&mut self, now: Instant) -> Result<(), DatapathError> {
        let Self { coalescer, translation, .. } = self;
        translation.expect(coalescer);
        while let Some(packet) = coalescer.poll() {
            translation.handle_packet(now, packet)?;
        }
        Ok(())
    }
}

/// Whether this is one whole datagram.
fn is_datagram(bytes: &[u8], offload: Offload) -> bool {
    let is_udp = |layout: Layout| layout.protocol == protocol::UDP && !layout.is_fragment;
    offload.segments.is_none() && Layout::of(bytes).is_ok_and(is_udp)
}

/// What the kernel tells every neighbour on a link that it takes for one of its own.
fn is_multicast(family: Family, packet: &[u8]) -> bool {
    match family {
        Family::V6 => packet.get(24) == Some(&0xff),
        Family::V4 => packet.get(16).is_some_and(|octet| (224..240).contains(octet)),
    }
}
