//! What the kernel and we tell each other beside the bytes: who sent a message, and how it is cut.
//!
//! The system call is made by hand: nothing safe gives `recvmmsg` control messages without an allocation a call.

use std::io;
use std::mem;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use gotatun::packet::Packet;

/// Messages of one call. A message that the kernel joined holds some 45 datagrams.
pub(super) const MESSAGES: usize = 16;

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// `None` if it did not come over IPv6.
    pub(super) from: Option<SocketAddrV6>,
    /// In bytes.
    pub(super) len: usize,
    /// Length of each datagram in it but the last, in bytes; `None`: it is one.
    pub(super) segment_len: Option<usize>,
}

/// Room for one control message of a word, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_LEN]);

/// `CMSG_SPACE` of an `int`, rounded up: the header and a word, each padded to eight bytes at most.
const CONTROL_LEN: usize = size_of::<libc::cmsghdr>().next_multiple_of(8) + 8;

/// Where the payload of a control message stands (`CMSG_LEN` of nothing).
const CONTROL_HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// The control message that asks for a run of datagrams to be cut.
#[derive(Clone, Copy)]
pub(super) struct SegmentControl(Control);

impl SegmentControl {
    pub(super) fn new(segment_len: u16) -> Self {
        const LEN: usize = CONTROL_HEADER_LEN + size_of::<u16>();
        let mut bytes = [0; CONTROL_LEN];
        let (level, kind) = (mem::offset_of!(libc::cmsghdr, cmsg_level), mem::offset_of!(libc::cmsghdr, cmsg_type));
        // The length field is a word of the machine, or (musl) half of one whose other half is zero.
        bytes[..size_of::<usize>()].copy_from_slice(&LEN.to_ne_bytes());
        bytes[level..level + 4].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        bytes[kind..kind + 4].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        bytes[CONTROL_HEADER_LEN..LEN].copy_from_slice(&segment_len.to_ne_bytes());
        Self(Control(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let Self(Control(bytes)) = self;
        bytes
    }
}

impl Control {
    /// The length of the datagrams in a message, if the kernel joined several. `len` bytes were written.
    fn segment_len(&self, len: usize) -> Option<usize> {
        let bytes = self.0.get(..len)?;
        let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| i32::from_ne_bytes(*word));
        let (level, kind) = (mem::offset_of!(libc::cmsghdr, cmsg_level), mem::offset_of!(libc::cmsghdr, cmsg_type));
        (word(level)? == libc::SOL_UDP && word(kind)? == libc::UDP_GRO).then_some(())?;
        usize::try_from(word(CONTROL_HEADER_LEN)?).ok().filter(|len| *len > 0)
    }
}

/// Receives one message into each buffer, as far as there are any, without waiting. Says how many.
#[expect(unsafe_code, reason = "recvmmsg has no safe wrapper that takes control messages without allocating")]
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffers: &mut [Packet],
    messages: &mut [Option<Message>; MESSAGES],
) -> io::Result<usize> {
    // SAFETY: these are plain C structures, for which all bits zero is a value.
    let (mut names, mut headers): ([libc::sockaddr_in6; MESSAGES], [libc::mmsghdr; MESSAGES]) =
        unsafe { (mem::zeroed(), mem::zeroed()) };
    let mut controls = [Control([0; CONTROL_LEN]); MESSAGES];
    let mut slices = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MESSAGES];
    let count = buffers.len().min(MESSAGES);
    for (at, buffer) in buffers.iter_mut().enumerate().take(MESSAGES) {
        let bytes: &mut [u8] = buffer.buf_mut();
        slices[at] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let header = &mut headers[at].msg_hdr;
        header.msg_name = (&raw mut names[at]).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        header.msg_iov = &raw mut slices[at];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut controls[at]).cast();
        header.msg_controllen = CONTROL_LEN as _;
    }
    // SAFETY: each of the first `count` headers points at one name, one slice of a buffer that is borrowed mutably, and
    // one control buffer, with their lengths; all of them outlive the call.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for at in 0..received {
        messages[at] = Some(Message {
            from: address(&names[at]),
            len: headers[at].msg_len as usize,
            segment_len: controls[at].segment_len(headers[at].msg_hdr.msg_controllen as _),
        });
    }
    Ok(received)
}

fn address(name: &libc::sockaddr_in6) -> Option<SocketAddrV6> {
    let is_ipv6 = i32::from(name.sin6_family) == libc::AF_INET6;
    let (address, port) = (Ipv6Addr::from(name.sin6_addr.s6_addr), u16::from_be(name.sin6_port));
    is_ipv6.then(|| SocketAddrV6::new(address, port, name.sin6_flowinfo, name.sin6_scope_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(level: i32, kind: i32, word: i32) -> Control {
        let mut control = SegmentControl::new(0).0;
        let at = mem::offset_of!(libc::cmsghdr, cmsg_level);
        control.0[at..at + 4].copy_from_slice(&level.to_ne_bytes());
        let at = mem::offset_of!(libc::cmsghdr, cmsg_type);
        control.0[at..at + 4].copy_from_slice(&kind.to_ne_bytes());
        control.0[CONTROL_HEADER_LEN..CONTROL_HEADER_LEN + 4].copy_from_slice(&word.to_ne_bytes());
        control
    }

    #[test]
    fn the_length_of_joined_datagrams_is_read() {
        let len = CONTROL_HEADER_LEN + 4;

        assert_eq!(control(libc::SOL_UDP, libc::UDP_GRO, 1444).segment_len(len), Some(1444));
        assert_eq!(control(libc::SOL_UDP, libc::UDP_GRO, 1444).segment_len(0), None);
        assert_eq!(control(libc::SOL_UDP, libc::UDP_GRO, 0).segment_len(len), None);
        assert_eq!(control(libc::SOL_UDP, libc::UDP_GRO, -1).segment_len(len), None);
        assert_eq!(control(libc::SOL_SOCKET, libc::UDP_GRO, 1444).segment_len(len), None);
    }

    #[test]
    fn an_address_of_another_family_is_none() {
        // SAFETY-free: the structure is built field by field.
        let name = libc::sockaddr_in6 {
            sin6_family: libc::AF_INET as libc::sa_family_t,
            sin6_port: 0,
            sin6_flowinfo: 0,
            sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
            sin6_scope_id: 0,
        };

        assert_eq!(address(&name), None);
    }
}
