//! Steady traffic allocates nothing for a packet that comes, and one buffer for a packet that goes: the noise core's.

#![cfg(test)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Instant, SystemTime};

use contract::{PrivateKey, PublicKey};
use tunnel::{Outcome, PeerConfig, Received, Sent, Socket, Tunnels};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks for.
struct Counting;

#[expect(unsafe_code, reason = "an allocator is what the trait says")]
// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to what `GlobalAlloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const PEER: &str = "2001:db8::2";
const PACKETS: usize = 45;

/// One end of a tunnel on loopback.
struct End {
    socket: Socket,
    tunnels: Tunnels,
    received: Vec<Received>,
}

impl End {
    fn new(key: &PrivateKey) -> Self {
        Self {
            socket: Socket::bind(0).unwrap(),
            tunnels: Tunnels::new(key, 1412, Instant::now()),
            received: Vec::new(),
        }
    }

    fn address(&self) -> SocketAddrV6 {
        SocketAddrV6::new(Ipv6Addr::LOCALHOST, self.socket.local_port().unwrap(), 0, 0)
    }

    fn add_peer(&mut self, public_key: PublicKey, endpoint: Option<SocketAddrV6>) {
        let config =
            PeerConfig { public_key, allowed: vec!["2001:db8::/64".parse().unwrap()], endpoint, keepalive_secs: 0 };
        self.tunnels.set_peer(Instant::now(), SystemTime::now(), config);
    }

    /// Takes what has come; how many packets were inside.
    fn receive(&mut self) -> usize {
        self.socket.recv_batch(&mut self.received);
        let outcomes = self
            .received
            .drain(..)
            .map(|Received { from, datagram }| self.tunnels.handle_datagram(Instant::now(), from, datagram));
        outcomes.filter(|outcome| matches!(outcome, Outcome::Inside(_))).count()
    }

    fn transmit(&mut self) {
        while !self.tunnels.transmits().is_empty() {
            assert!(matches!(self.socket.send(self.tunnels.transmits()), Sent::Done));
        }
    }

    fn send_packets(&mut self, packet: &[u8]) {
        let mut towards = self.tunnels.towards(PEER.parse().unwrap(), PACKETS).unwrap();
        for _ in 0..PACKETS {
            towards.handle_packet(packet.len(), |room| room.copy_from_slice(packet));
        }
        self.transmit();
    }
}

/// Two ends with a session.
async fn ends() -> (End, End) {
    let keys = [1, 2].map(|seed| PrivateKey::from_random([seed; 32]));
    let [mut left, mut right] = [End::new(&keys[0]), End::new(&keys[1])];
    right.add_peer(keys[0].public_key(), None);
    left.add_peer(keys[1].public_key(), Some(right.address()));
    // Initiation, response, and the keepalive that makes the session the responder's too.
    for turn in 0..3 {
        let (from, to) = if turn % 2 == 0 { (&mut left, &mut right) } else { (&mut right, &mut left) };
        from.socket.writable().await.unwrap();
        from.transmit();
        to.socket.readable().await.unwrap();
        to.receive();
    }
    (left, right)
}

#[tokio::test]
async fn packets_that_come_cost_nothing_and_those_that_go_one_buffer_each() {
    let (mut left, mut right) = ends().await;
    let mut packet = vec![0; 1412];
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 5, 92, 253, 64]);
    packet[8..24].copy_from_slice(&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    packet[24..40].copy_from_slice(&PEER.parse::<Ipv6Addr>().unwrap().octets());
    let (mut sent, mut received) = (0, 0);

    for round in 0..20 {
        left.socket.writable().await.unwrap();
        let of_sending = count(|| left.send_packets(&packet));
        let (mut came, mut of_receiving) = (0, 0);
        while came < PACKETS {
            right.socket.readable().await.unwrap();
            of_receiving += count(|| came += right.receive());
        }
        // The first rounds fill pools and queues.
        if round >= 10 {
            sent += of_sending;
            received += of_receiving;
        }
    }

    assert_eq!((sent, received), (10 * PACKETS as u64, 0));
}
