//! Datagrams by the dozen: recvmmsg(2) and sendmmsg(2).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr;

/// Datagrams a call.
const MOST: usize = 32;
/// The largest question in bytes: a name of 255 octets, and room for options.
const LARGEST: usize = 2_048;

/// Questions that came together, and their answers.
pub(super) struct Batch {
    questions: Box<[[u8; LARGEST]; MOST]>,
    lengths: [usize; MOST],
    clients: Box<[libc::sockaddr_storage; MOST]>,
    answers: [Vec<u8>; MOST],
    count: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        #[expect(unsafe_code, reason = "all zeros is a valid sockaddr_storage: a family of AF_UNSPEC")]
        // SAFETY: the type is plain old data.
        let nobody: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            questions: Box::new([[0; LARGEST]; MOST]),
            lengths: [0; MOST],
            clients: Box::new([nobody; MOST]),
            answers: std::array::from_fn(|_| Vec::with_capacity(512)),
            count: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Who asked.
    pub(super) fn client(&self, index: usize) -> Option<SocketAddr> {
        let storage = &self.clients[index];
        let at: *const libc::sockaddr_storage = storage;
        match i32::from(storage.ss_family) {
            libc::AF_INET => {
                #[expect(unsafe_code, reason = "the family says what the storage holds")]
                // SAFETY: sockaddr_storage is as large and as aligned as every other kind of address.
                let address = unsafe { &*at.cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from_bits(u32::from_be(address.sin_addr.s_addr));
                Some(SocketAddr::new(ip.into(), u16::from_be(address.sin_port)))
            }
            libc::AF_INET6 => {
                #[expect(unsafe_code, reason = "the family says what the storage holds")]
                // SAFETY: as above.
                let address = unsafe { &*at.cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), 0, address.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// A question and the buffer for its answer; an empty answer is not sent.
    pub(super) fn pair(&mut self, index: usize) -> (&[u8], &mut Vec<u8>) {
        (&self.questions[index][..self.lengths[index]], &mut self.answers[index])
    }

    /// Receives what is there, one datagram at least.
    pub(super) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<()> {
        self.count = 0;
        self.answers.iter_mut().for_each(Vec::clear);
        let mut vectors: [libc::iovec; MOST] = std::array::from_fn(|index| libc::iovec {
            iov_base: self.questions[index].as_mut_ptr().cast(),
            iov_len: LARGEST,
        });
        let mut headers: [libc::mmsghdr; MOST] =
            std::array::from_fn(|index| header(&mut vectors[index], &mut self.clients[index]));
        #[expect(unsafe_code, reason = "no safe call receives several datagrams")]
        // SAFETY: every header points to a vector, and every vector and name to a buffer of the length it says; all of
        // them outlive the call.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), MOST as u32, libc::MSG_DONTWAIT, ptr::null_mut())
        };
        let Ok(count) = usize::try_from(received) else { return Err(io::Error::last_os_error()) };
        for (length, header) in self.lengths.iter_mut().zip(&headers).take(count) {
            // A question that did not fit is no question.
            let is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            *length = if is_cut { 0 } else { header.msg_len as usize };
        }
        self.count = count;
        Ok(())
    }

    /// Sends the answers that are there; what the kernel has no room for is lost, as on any wire.
    pub(super) fn send(&mut self, socket: &impl AsRawFd) {
        let there: Vec<usize> = (0..self.count).filter(|index| !self.answers[*index].is_empty()).collect();
        let mut vectors: Vec<libc::iovec> = there
            .iter()
            .map(|index| libc::iovec {
                iov_base: self.answers[*index].as_mut_ptr().cast(),
                iov_len: self.answers[*index].len(),
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> =
            there.iter().zip(&mut vectors).map(|(index, vector)| header(vector, &mut self.clients[*index])).collect();
        let mut rest = &mut headers[..];
        while !rest.is_empty() {
            #[expect(unsafe_code, reason = "no safe call sends several datagrams")]
            // SAFETY: as in `receive`.
            let sent =
                unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as u32, libc::MSG_DONTWAIT) };
            // The first one could not be sent: its client is gone, or the queue is full.
            let done = usize::try_from(sent).unwrap_or(1).max(1);
            rest = &mut rest[done..];
        }
    }
}

fn header(vector: &mut libc::iovec, name: &mut libc::sockaddr_storage) -> libc::mmsghdr {
    #[expect(unsafe_code, reason = "musl's msghdr has padding that has no name")]
    // SAFETY: all zeros is a header without buffers.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_name = ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = match i32::from(name.ss_family) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => size_of::<libc::sockaddr_storage>(),
    } as u32;
    header.msg_hdr.msg_iov = vector;
    header.msg_hdr.msg_iovlen = 1;
    header
}
