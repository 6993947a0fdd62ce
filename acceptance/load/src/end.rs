//! The far end of a tunnel, for benchmarks: a TUN interface, the `tunnel` crate, and nothing between. It is the same in
//! front of every gateway, and must be faster than all of them.

use std::fs;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use contract::{PrivateKey, PublicKey};
use nix::errno::Errno;
use packet::coalesce::{Coalescer, Merge, Refused};
use packet::segment::Parts;
use packet::{HEADROOM, Packet, virtio};
use tokio::time::sleep_until;
use tun_rs::{AsyncDevice, DeviceBuilder};
use tunnel::{Outcome, PeerConfig, Received, Sent, Socket, Tunnels};

use crate::say;

/// The most frames of one batch.
const BATCH: usize = 64;
/// The largest IP packet, and so the largest super-packet.
const LARGEST_PACKET: usize = 65_535;
/// Flows whose packets are merged beside each other.
const FLOWS: usize = 32;
/// Datagrams that are worth a system call.
const RUN: usize = 64;
/// One peer owns every address, so any of them finds it.
const PEER: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// Where a frame's header stands, so that its packet stands at `HEADROOM`.
const FRAME_AT: usize = HEADROOM - virtio::HEADER_LEN;

/// Who is at both ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The TUN interface to create, without addresses or routes
    #[arg(long)]
    tun: String,
    /// Of the packets inside, in bytes
    #[arg(long)]
    mtu: u16,
    /// UDP port to listen on
    #[arg(long)]
    listen: u16,
    /// File with the private key of this end
    #[arg(long)]
    private_key: PathBuf,
    /// Public key of the peer, which owns every address
    #[arg(long)]
    peer: String,
    /// Where to dial the peer
    #[arg(long)]
    endpoint: SocketAddrV6,
}

/// Runs until it is killed.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let mut end = End::start(options)?;
    say("ready")?;
    loop {
        end.transmit();
        let blocked = end.is_blocked;
        let timeout = sleep_until(end.tunnels.poll_timeout().into());
        tokio::select! {
            ready = end.device.readable(), if !blocked => { ready?; end.handle_frames()?; }
            ready = end.socket.readable() => { ready?; end.handle_datagrams(); }
            ready = end.socket.writable(), if blocked => ready?,
            () = timeout => end.tunnels.handle_timeout(Instant::now(), SystemTime::now()),
        }
    }
}

struct End {
    device: AsyncDevice,
    socket: Socket,
    tunnels: Tunnels,
    frame: Box<[u8]>,
    coalescer: Coalescer,
    received: Vec<Received>,
    is_blocked: bool,
}

impl End {
    fn start(options: &Options) -> Result<Self> {
        let text = fs::read_to_string(&options.private_key).context("private key")?;
        let key: PrivateKey = text.trim().parse().map_err(|error| anyhow!("private key: {error}"))?;
        let public_key: PublicKey = options.peer.parse().map_err(|error| anyhow!("the peer's key: {error}"))?;
        let builder = DeviceBuilder::new().name(&options.tun).mtu(options.mtu);
        let device = builder
            .with(|options| {
                options.offload(true);
            })
            .build_async()
            .with_context(|| options.tun.clone())?;
        let mut tunnels = Tunnels::new(&key, options.mtu, Instant::now());
        let allowed = vec!["::/0".parse()?, "0.0.0.0/0".parse()?];
        let peer = PeerConfig { public_key, allowed, endpoint: Some(options.endpoint), keepalive_secs: 25 };
        tunnels.set_peer(Instant::now(), SystemTime::now(), peer);
        Ok(Self {
            device,
            socket: Socket::bind(options.listen)?,
            tunnels,
            frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
            coalescer: Coalescer::new(Merge::TcpAndUdp, FLOWS),
            received: Vec::new(),
            is_blocked: false,
        })
    }

    fn handle_frames(&mut self) -> Result<()> {
        for _ in 0..BATCH {
            if self.is_blocked {
                break;
            }
            match self.device.try_recv(&mut self.frame[FRAME_AT..]) {
                Ok(len) => self.handle_frame(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("TUN interface"),
            }
            if self.tunnels.transmits().len() >= RUN {
                self.transmit();
            }
        }
        Ok(())
    }

    /// What cannot be cut is nothing that a benchmark sends.
    fn handle_frame(&mut self, len: usize) {
        let Some((header, bytes)) = self.frame[FRAME_AT..FRAME_AT + len].split_at_checked(virtio::HEADER_LEN) else {
            return;
        };
        let Ok(offload) = virtio::decode(header, bytes) else { return };
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
        let Ok(parts) = Parts::of(&packet) else { return };
        let Ok(mut towards) = self.tunnels.towards(PEER, parts.count()) else { return };
        for index in 0..parts.count() {
            towards.handle_packet(parts.part_len(index), |room| parts.write(index, room));
        }
    }

    fn handle_datagrams(&mut self) {
        let now = Instant::now();
        let mut received = mem::take(&mut self.received);
        self.socket.recv_batch(&mut received);
        for Received { from, datagram } in received.drain(..) {
            let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) else { continue };
            if self.coalescer.push(inside.bytes()) == Err(Refused::Full) {
                self.write();
                let _ = self.coalescer.push(inside.bytes());
            }
        }
        self.received = received;
        self.write();
    }

    fn write(&mut self) {
        while let Some(mut packet) = self.coalescer.poll() {
            let Ok(frame) = virtio::with_header(&mut packet) else { continue };
            match nix::unistd::write(&*self.device, frame) {
                // The interface is not up yet, or its queue is full: as lost as on any other link.
                Ok(_) | Err(Errno::EIO | Errno::EAGAIN) => {}
                Err(errno) => eprintln!("write to the TUN interface: {errno}"),
            }
        }
    }

    fn transmit(&mut self) {
        self.is_blocked = false;
        while !self.tunnels.transmits().is_empty() {
            match self.socket.send(self.tunnels.transmits()) {
                Sent::Done => {}
                Sent::Failed { to, error, .. } => eprintln!("send to {to}: {error}"),
                Sent::Busy => {
                    self.is_blocked = true;
                    return;
                }
            }
        }
    }
}
