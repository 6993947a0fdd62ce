//! The far end of a tunnel, for benchmarks: a TUN interface, the `tunnel` crate, and nothing between. It is the same in
//! front of every gateway, and must be faster than all of them.

use std::fs;
use std::io;
use std::mem;
use std::net::SocketAddrV6;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use contract::{PrivateKey, PublicKey};
use nix::errno::Errno;
use packet::{HEADROOM, Packet, segment, virtio};
use tokio::time::sleep_until;
use tun_rs::{AsyncDevice, DeviceBuilder};
use tunnel::{Outcome, PeerConfig, Pool, Received, Sent, Socket, Transmit, Tunnels};

use crate::say;

/// The most frames of one batch.
const BATCH: usize = 64;
/// The largest IP packet, and so the largest super-packet.
const LARGEST_PACKET: usize = 65_535;
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
        let blocked = end.blocked.is_some();
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
    pool: Pool,
    frame: Box<[u8]>,
    received: Vec<Received>,
    /// A datagram that the socket had no room for.
    blocked: Option<Transmit>,
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
            pool: tunnels.pool(),
            tunnels,
            frame: vec![0; HEADROOM + LARGEST_PACKET].into(),
            received: Vec::new(),
            blocked: None,
        })
    }

    fn handle_frames(&mut self) -> Result<()> {
        for _ in 0..BATCH {
            if self.blocked.is_some() {
                break;
            }
            match self.device.try_recv(&mut self.frame[FRAME_AT..]) {
                Ok(len) => self.handle_frame(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("TUN interface"),
            }
            self.transmit();
        }
        Ok(())
    }

    fn handle_frame(&mut self, len: usize) {
        let Some((header, bytes)) = self.frame[FRAME_AT..FRAME_AT + len].split_at_checked(virtio::HEADER_LEN) else {
            return;
        };
        let Ok(offload) = virtio::decode(header, bytes) else { return };
        let mut packet = Packet::new(&mut self.frame, HEADROOM..FRAME_AT + len);
        packet.offload = offload;
        // What cannot be cut is nothing that a benchmark sends; the tunnels count what they do not take.
        let _ = segment::segment(&packet, |segment| {
            let _ = self.tunnels.handle_packet(segment);
        });
    }

    fn handle_datagrams(&mut self) {
        let now = Instant::now();
        let mut received = mem::take(&mut self.received);
        self.socket.recv_batch(&self.pool, &mut received);
        for Received { from, datagram } in received.drain(..) {
            if let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) {
                self.write(inside.bytes());
            }
        }
        self.received = received;
    }

    fn write(&mut self, bytes: &[u8]) {
        let end = HEADROOM + bytes.len();
        self.frame[HEADROOM..end].copy_from_slice(bytes);
        let mut packet = Packet::new(&mut self.frame, HEADROOM..end);
        let Ok(frame) = virtio::with_header(&mut packet) else { return };
        match nix::unistd::write(&*self.device, frame) {
            // The interface is not up yet, or its queue is full: as lost as on any other link.
            Ok(_) | Err(Errno::EIO | Errno::EAGAIN) => {}
            Err(errno) => eprintln!("write to the TUN interface: {errno}"),
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.blocked.take().or_else(|| self.tunnels.poll_transmit()) {
            match self.socket.send(&transmit) {
                Sent::Done => {}
                Sent::Failed(error) => eprintln!("send to {}: {error}", transmit.to),
                Sent::Busy => {
                    self.blocked = Some(transmit);
                    return;
                }
            }
        }
    }
}
