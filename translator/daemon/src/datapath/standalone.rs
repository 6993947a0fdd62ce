//! The way of a packet without tunnels: the TUN interface on both sides, the engine between.
//!
//! Super-packets stay whole in both directions: the kernel cuts them, where its devices cannot. Datagrams that come one by
//! one are merged first, which forwarding kernels do for TCP only: what a packet costs is the way into the kernel.

use std::mem;
use std::time::Instant;

use nat64::{Config, Engine, Verdict};
use packet::coalesce::{Coalescer, Merge, Refused};
use packet::{Family, HEADROOM, Layout, Offload, Packet, protocol, segment, virtio};
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::drops::{DropReason, Drops};
use super::engine_work::EngineWork;
use super::outlet::Outlet;
use super::path::{BATCH, FLOWS, FRAME_AT, LARGEST_PACKET};
use super::task::Task;
use super::{DatapathError, Traffic};
use crate::tun::{Read, Tun};

/// A running datapath without tunnels. Dropping it stops the datapath, but nobody waits for that.
pub(crate) struct Handle {
    task: Task<Command>,
}

enum Command {
    Engine(EngineWork),
    Traffic { answer: oneshot::Sender<Traffic> },
}

/// Starts the datapath as a task. The seed must be unpredictable.
///
/// # Errors
/// [`DatapathError::Register`]; the interface is gone then.
// Registering descriptors needs a runtime, which only an async function is sure to be called in.
#[expect(clippy::unused_async, reason = "tells callers that a tokio runtime is needed")]
pub(crate) async fn start(tun: Tun, engine: Engine) -> Result<Handle, DatapathError> {
    let offload = tun.offload();
    let port = tun.into_port().map_err(DatapathError::Register)?;
    let worker = Worker {
        coalescer: Coalescer::new(port.merge(), FLOWS),
        merge: port.merge(),
        outlet: Outlet::new(port),
        engine,
        drops: Drops::default(),
        offload,
        frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
        made: vec![0; HEADROOM + LARGEST_PACKET].into(),
    };
    Ok(Handle { task: Task::spawn(|commands| worker.run(commands)) })
}

impl Handle {
    /// Changes the engine's configuration; nothing happens when the datapath is dead, which [`Handle::stopped`] reports.
    pub(crate) async fn reconfigure(&self, config: Config) {
        let _ = self.on_engine(|engine, now| engine.reconfigure(now, config)).await;
    }

    /// What `work` finds or does between two batches of packets; `None` when the datapath is dead.
    pub(crate) async fn on_engine<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        self.task.ask(|answer| Command::Engine(EngineWork::new(work, answer))).await
    }

    /// How things are now; `None` when the datapath is dead.
    pub(crate) async fn traffic(&self) -> Option<Traffic> {
        self.task.ask(|answer| Command::Traffic { answer }).await
    }

    /// Resolves only if the datapath dies by itself, and only once. Cancel safe.
    pub(crate) async fn stopped(&mut self) -> DatapathError {
        self.task.stopped().await
    }

    /// Ends the datapath; the interface is gone afterwards, and with it every route into it.
    pub(crate) async fn stop(self) {
        self.task.stop().await;
    }
}

/// What the task owns.
struct Worker {
    outlet: Outlet,
    engine: Engine,
    drops: Drops,
    offload: crate::tun::Offload,
    /// One frame, with room in front for translation.
    frame: Box<[u8]>,
    /// A packet that the engine made by itself, while the frame waits.
    made: Box<[u8]>,
    /// Datagrams that came one by one.
    coalescer: Coalescer,
    merge: Merge,
}

enum Event {
    Command(Option<Command>),
    Frames,
    Time,
}

impl Worker {
    /// Runs until the last handle is gone, or something breaks.
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<(), DatapathError> {
        loop {
            let event = self.next_event(&mut commands).await?;
            let now = Instant::now();
            match event {
                Event::Command(Some(command)) => self.handle_command(now, command),
                Event::Command(None) => return Ok(()),
                Event::Frames => self.handle_frames(now)?,
                Event::Time => {}
            }
            if self.engine.poll_timeout().is_some_and(|due| due <= now) {
                self.engine.handle_timeout(now);
            }
            self.flush()?;
        }
    }

    async fn next_event(&self, commands: &mut mpsc::Receiver<Command>) -> Result<Event, DatapathError> {
        let due = self.engine.poll_timeout();
        let time = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        select! {
            command = commands.recv() => Ok(Event::Command(command)),
            ready = self.outlet.port.readable() => ready.map(|()| Event::Frames).map_err(DatapathError::TunRead),
            () = time => Ok(Event::Time),
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Engine(work) => work.run(&mut self.engine, now),
            Command::Traffic { answer } => {
                let _ = answer.send(Traffic::of(&self.engine, self.drops.iter(), self.offload.as_str().to_owned()));
            }
        }
    }

    fn handle_frames(&mut self, now: Instant) -> Result<(), DatapathError> {
        for _ in 0..BATCH {
            match self.outlet.port.read(&mut self.frame[FRAME_AT..]) {
                Read::Frame(len) => self.handle_frame(now, len)?,
                Read::Spoilt => self.drops.add(DropReason::TunMalformed),
                Read::Nothing => break,
                Read::Gone => return Err(DatapathError::TunGone),
                Read::Broken(error) => return Err(DatapathError::TunRead(error)),
            }
        }
        self.handle_merged(now)
    }

    fn handle_frame(&mut self, now: Instant, len: usize) -> Result<(), DatapathError> {
        let Some((header, bytes)) = self.frame[FRAME_AT..FRAME_AT + len].split_at_checked(virtio::HEADER_LEN) else {
            self.drops.add(DropReason::TunMalformed);
            return Ok(());
        };
        let is_for_us = Family::of(bytes).is_some_and(|family| !is_multicast(family, bytes));
        let Ok(offload) = virtio::decode(header, bytes) else {
            self.drops.add(DropReason::TunMalformed);
            return Ok(());
        };
        if !is_for_us {
            self.drops.add(DropReason::NotForUs);
            return Ok(());
        }
        if self.merge == Merge::TcpAndUdp && is_datagram(bytes, offload) {
            return self.merge(now, len, offload);
        }
        // What came before leaves before.
        self.handle_merged(now)?;
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
        translate(&mut self.engine, &mut self.outlet, &mut self.drops, now, packet)?;
        // Fragments leave in order, and before the next frame makes more of them.
        self.flush()
    }

    fn merge(&mut self, now: Instant, len: usize, offload: Offload) -> Result<(), DatapathError> {
        let range = HEADROOM..FRAME_AT + len;
        let mut packet = Packet::new(&mut self.frame, range.clone());
        packet.offload = offload;
        // Only what has a checksum can be merged, for only that can be verified.
        if segment::complete_checksum(&mut packet).is_err() {
            self.drops.add(DropReason::TunMalformed);
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
        let mut coalescer = mem::replace(&mut self.coalescer, Coalescer::new(Merge::Nothing, 0));
        let of = |family| coalescer.waiting().filter(move |bytes| Family::of(bytes) == Some(family));
        self.engine.expect_inside(of(Family::V6));
        self.engine.expect_outside(of(Family::V4));
        let mut outcome = Ok(());
        while let Some(packet) = coalescer.poll() {
            outcome = outcome
                .and_then(|()| translate(&mut self.engine, &mut self.outlet, &mut self.drops, now, packet))
                .and_then(|()| self.flush());
        }
        self.coalescer = coalescer;
        outcome
    }

    /// Writes what the engine made by itself. Which side it is for, the kernel sees from its family.
    fn flush(&mut self) -> Result<(), DatapathError> {
        while let Some(made) = self.engine.poll_transmit() {
            let end = HEADROOM + made.bytes.len();
            match self.made.get_mut(HEADROOM..end) {
                Some(place) => place.copy_from_slice(&made.bytes),
                None => {
                    self.drops.add(DropReason::TunWriteFailed);
                    continue;
                }
            }
            let packet = Packet::new(&mut self.made, HEADROOM..end);
            self.outlet.write(&mut self.drops, packet)?;
        }
        Ok(())
    }
}

/// Translates a packet, and hands what becomes of it to the kernel.
fn translate(
    engine: &mut Engine,
    outlet: &mut Outlet,
    drops: &mut Drops,
    now: Instant,
    mut packet: Packet<'_>,
) -> Result<(), DatapathError> {
    let verdict = match Family::of(packet.bytes()) {
        Some(Family::V6) => engine.handle_inside(now, &mut packet),
        Some(Family::V4) => engine.handle_outside(now, &mut packet),
        None => {
            drops.add(DropReason::NotForUs);
            return Ok(());
        }
    };
    if verdict == Verdict::Forward { outlet.write(drops, packet) } else { Ok(()) }
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
