//! The far end of a tunnel, for benchmarks: a TUN interface, the `tunnel` crate, and nothing between. It is the same in
//! front of every gateway, and must be faster than all of them.

use std::fs;
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use contract::{PrivateKey, PublicKey};
use packet::coalesce::Coalescer;
use packet::segment::Parts;
use packet::{Frame, virtio};
use tokio::time::sleep_until;
use tun::{Port, Read, Tun, Turn, Written};
use tunnel::{Outcome, PeerConfig, Received, Sent, Socket, Tunnels};

use crate::say;

/// The most that is read from the kernel before the peer has its turn, in bytes.
const TURN_BYTES: usize = 256 << 10;
/// Flows whose packets are merged beside each other.
const FLOWS: usize = 32;
/// Datagrams that are worth a system call.
const RUN: usize = 64;
/// One peer owns every address, so any of them finds it.
const PEER: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

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
            ready = end.port.readable(), if !blocked => { ready?; end.handle_frames(Port::read)?; }
            ready = end.socket.readable() => {
                ready?;
                end.handle_datagrams()?;
                // What was just written is often answered already.
                end.handle_frames(Port::read_at_once)?;
            }
            ready = end.socket.writable(), if blocked => ready?,
            () = timeout => end.tunnels.handle_timeout(Instant::now(), SystemTime::now()),
        }
    }
}

struct End {
    port: Port,
    socket: Socket,
    tunnels: Tunnels,
    frame: Frame,
    coalescer: Coalescer,
    received: Vec<Received>,
    is_blocked: bool,
}

impl End {
    fn start(options: &Options) -> Result<Self> {
        let text = fs::read_to_string(&options.private_key).context("private key")?;
        let key: PrivateKey = text.trim().parse().map_err(|error| anyhow!("private key: {error}"))?;
        let public_key: PublicKey = options.peer.parse().map_err(|error| anyhow!("the peer's key: {error}"))?;
        let port = Tun::open(&options.tun, options.mtu, NonZeroUsize::MIN)?.into_port().context("TUN interface")?;
        let mut tunnels = Tunnels::new(&key, options.mtu, Instant::now());
        let allowed = vec!["::/0".parse()?, "0.0.0.0/0".parse()?];
        let peer = PeerConfig { public_key, allowed, endpoint: Some(options.endpoint), keepalive_secs: 25 };
        tunnels.set_peer(Instant::now(), SystemTime::now(), peer);
        Ok(Self {
            coalescer: Coalescer::new(port.merge(), FLOWS),
            port,
            socket: Socket::bind(options.listen)?,
            tunnels,
            frame: Frame::new(),
            received: Vec::new(),
            is_blocked: false,
        })
    }

    fn handle_frames(&mut self, read: fn(&Port, &mut [u8]) -> Read) -> Result<()> {
        let mut turn = Turn::of(TURN_BYTES);
        while !turn.is_over() && !self.is_blocked {
            match read(&self.port, self.frame.room()) {
                Read::Frame(len) => {
                    turn.takes(len);
                    self.handle_frame(len);
                }
                Read::Spoilt => {}
                Read::Nothing => break,
                Read::Gone => bail!("the TUN interface is gone"),
                Read::Broken(error) => return Err(error).context("TUN interface"),
            }
            if self.tunnels.transmits().len() >= RUN {
                self.transmit();
            }
        }
        Ok(())
    }

    /// What cannot be cut is nothing that a benchmark sends.
    fn handle_frame(&mut self, len: usize) {
        let Ok(packet) = self.frame.packet(len) else { return };
        let Ok(parts) = Parts::of(&packet) else { return };
        let Ok(mut towards) = self.tunnels.towards(PEER, parts.count()) else { return };
        for index in 0..parts.count() {
            towards.handle_packet(parts.part_len(index), |room| parts.write(index, room));
        }
    }

    fn handle_datagrams(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut received = mem::take(&mut self.received);
        self.socket.recv_batch(&mut received);
        for Received { from, datagram } in received.drain(..) {
            let Outcome::Inside(inside) = self.tunnels.handle_datagram(now, from, datagram) else { continue };
            self.coalescer.push_after(inside.bytes(), |merged| write(&self.port, merged))?;
        }
        self.received = received;
        write(&self.port, &mut self.coalescer)
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

/// What an interface that is not up yet, or whose queue is full, does not take is as lost as on any other link.
fn write(port: &Port, merged: &mut Coalescer) -> Result<()> {
    while let Some(mut packet) = merged.poll() {
        if let Ok(frame) = virtio::with_header(&mut packet)
            && let Written::Gone = port.write(frame)
        {
            bail!("the TUN interface is gone");
        }
    }
    Ok(())
}
