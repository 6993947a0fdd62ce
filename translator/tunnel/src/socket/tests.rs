//! Two sockets on loopback.

use super::*;
use crate::buffer::Pool;
use std::net::UdpSocket as StdSocket;

#[tokio::test]
async fn a_busy_port_is_named() {
    let taken = Socket::bind(0).unwrap().local_port();
    let holder = StdSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = holder.local_addr().unwrap().port();

    let error = Socket::bind(port).err().unwrap();

    assert!(taken.is_ok());
    assert_eq!(
        error.to_string(),
        format!("UDP port {port} is in use; stop the program that uses it, or choose another port")
    );
}

#[tokio::test]
async fn bursts_find_as_much_room_as_the_system_lets_us_have() {
    let socket = Socket::bind(0).unwrap();
    let limit = |name: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap();
        text.trim().parse().unwrap()
    };

    let own = SockRef::from(&socket.socket);

    // The kernel counts twice what is asked for: it keeps books of packets, too.
    assert!(own.recv_buffer_size().unwrap() >= 2 * limit("rmem_max").min(SOCKET_BUFFER_BYTES));
    assert!(own.send_buffer_size().unwrap() >= 2 * limit("wmem_max").min(SOCKET_BUFFER_BYTES));
}

/// Two sockets, and what is sent from one to the other.
struct Pair {
    left: Socket,
    right: Socket,
    pool: Pool,
    queue: VecDeque<Transmit>,
}

impl Pair {
    fn new() -> Self {
        let (left, right) = (Socket::bind(0).unwrap(), Socket::bind(0).unwrap());
        Self { left, right, pool: Pool::new(), queue: VecDeque::new() }
    }

    fn right_end(&self) -> SocketAddrV6 {
        SocketAddrV6::new(Ipv6Addr::LOCALHOST, self.right.local_port().unwrap(), 0, 0)
    }

    fn queue(&mut self, to: SocketAddrV6, lengths: &[usize]) {
        for (number, len) in (self.queue.len()..).zip(lengths) {
            let datagram = self.pool.copy_of(&vec![number as u8; *len]);
            self.queue.push_back(Transmit { to, datagram });
        }
    }

    /// Sends everything; how many calls that took.
    async fn send(&mut self) -> usize {
        self.left.writable().await.unwrap();
        let mut calls = 0;
        while !self.queue.is_empty() {
            assert!(matches!(self.left.send(&mut self.queue), Sent::Done));
            calls += 1;
        }
        calls
    }

    /// Number and length of what arrived.
    async fn received(&mut self, count: usize) -> Vec<(u8, usize)> {
        let mut all = Vec::new();
        while all.len() < count {
            self.right.readable().await.unwrap();
            let mut batch = Vec::new();
            self.right.recv_batch(&mut batch);
            assert!(batch.iter().all(|received| received.from.port() == self.left.local_port().unwrap()));
            all.extend(batch.iter().map(|received| {
                let bytes = received.datagram.bytes();
                (bytes[0], bytes.len())
            }));
        }
        all
    }
}

fn numbered(lengths: &[usize]) -> Vec<(u8, usize)> {
    (0..).zip(lengths.iter().copied()).collect()
}

#[tokio::test]
async fn a_datagram_arrives_whole_with_its_sender() {
    let mut pair = Pair::new();
    pair.queue(pair.right_end(), &[5]);

    assert_eq!(pair.send().await, 1);
    assert_eq!(pair.received(1).await, [(0, 5)]);
}

#[tokio::test]
async fn datagrams_of_one_length_go_together_and_a_shorter_one_ends_them() {
    let mut pair = Pair::new();
    let lengths = [1444, 1444, 1444, 100, 1444, 1444, 1445];
    pair.queue(pair.right_end(), &lengths);

    assert_eq!(pair.left.offload(), Offload { send: true, receive: true });
    assert_eq!(pair.send().await, 3);
    assert_eq!(pair.received(lengths.len()).await, numbered(&lengths));
}

#[tokio::test]
async fn runs_are_as_long_as_the_kernel_takes_them() {
    let mut pair = Pair::new();
    let lengths = [[1444; 100], [32; 100]].concat();
    pair.queue(pair.right_end(), &lengths);

    // 45 datagrams of 1444 bytes fit; the last ten of them are ended by the first short one.
    assert_eq!(pair.send().await, 2 + 1 + 2);
    assert_eq!(pair.received(lengths.len()).await, numbered(&lengths));
}

#[tokio::test]
async fn a_run_has_one_destination() {
    let mut pair = Pair::new();
    let (right, left) = (pair.right_end(), pair.left.local_port().unwrap());
    let elsewhere = SocketAddrV6::new(Ipv6Addr::LOCALHOST, left, 0, 0);
    pair.queue(right, &[100, 100]);
    pair.queue(elsewhere, &[100]);
    pair.queue(right, &[100, 100]);

    assert_eq!(pair.send().await, 3);
    assert_eq!(pair.received(4).await, [(0, 100), (1, 100), (3, 100), (4, 100)]);
}

#[tokio::test]
async fn what_the_kernel_refuses_to_cut_goes_one_by_one() {
    let mut pair = Pair::new();
    let right = pair.right_end();
    pair.left.gso = Gso::new(false);
    pair.queue(right, &[100, 100, 100]);

    assert_eq!(pair.send().await, 3);
    assert!(!pair.left.offload().send);
    assert_eq!(pair.received(3).await, numbered(&[100; 3]));
}

#[tokio::test]
async fn datagrams_that_cannot_be_sent_are_counted_and_gone() {
    let mut pair = Pair::new();
    // The link of an interface that does not exist.
    let nowhere = SocketAddrV6::new("fe80::1".parse().unwrap(), 1, 0, u32::MAX);
    pair.queue(nowhere, &[100, 100]);
    pair.left.writable().await.unwrap();

    let sent = pair.left.send(&mut pair.queue);

    assert!(matches!(sent, Sent::Failed { datagrams: 2, .. } | Sent::Failed { datagrams: 1, .. }), "{sent:?}");
}

#[tokio::test]
async fn buffers_are_used_again() {
    let mut pair = Pair::new();
    let right = pair.right_end();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..100 {
        pair.queue(right, &[1000; 45]);
        pair.send().await;
        pair.received(45).await;
        places.extend(pair.right.used.iter_mut().map(|buffer| buffer.buf_mut().as_ptr() as usize & !0xffff));
    }

    assert!(places.len() <= 2 * MESSAGES, "{} places", places.len());
}
