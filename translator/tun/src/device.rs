//! The system calls that make a TUN interface (Linux, `Documentation/networking/tuntap.rst`).

use std::ffi::c_int;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use packet::coalesce::Merge;
use packet::virtio;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the kernel leaves to us: super-packets, partial checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// TCP and UDP super-packets (UDP since Linux 6.2).
    TsoAndUso,
    /// TCP super-packets.
    Tso,
    /// Partial checksums.
    Checksum,
    /// Nothing: every packet comes whole and complete.
    None,
}

impl Offload {
    /// From what is wanted most to what every kernel takes. USO4 and USO6 are only had together.
    const LADDER: [Self; 4] = [Self::TsoAndUso, Self::Tso, Self::Checksum, Self::None];

    /// For `TUNSETOFFLOAD`. Without `TUN_F_TSO_ECN` the kernel itself cuts packets with CWR.
    const fn mask(self) -> u32 {
        const TSO: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        match self {
            Self::TsoAndUso => TSO | libc::TUN_F_USO4 | libc::TUN_F_USO6,
            Self::Tso => TSO,
            Self::Checksum => libc::TUN_F_CSUM,
            Self::None => 0,
        }
    }

    /// The name in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TsoAndUso => "tso+uso",
            Self::Tso => "tso",
            Self::Checksum => "checksum",
            Self::None => "none",
        }
    }

    /// The super-packets that it takes from us. What a kernel cuts into for others it takes too.
    pub const fn merge(self) -> Merge {
        match self {
            Self::TsoAndUso => Merge::TcpAndUdp,
            Self::Tso => Merge::Tcp,
            Self::Checksum | Self::None => Merge::Nothing,
        }
    }
}

/// Creates the interface `name` and asks the kernel for as much as it gives. There is one queue at least; where the kernel
/// refuses more, those that there are do their work.
pub(super) fn create(path: &Path, name: &str, queues: NonZeroUsize) -> io::Result<(Vec<OwnedFd>, Offload)> {
    let shape = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    // A second process cannot take packets from an interface that was made with one queue.
    let shape = if queues.get() > 1 { shape | libc::IFF_MULTI_QUEUE } else { shape };
    let first = attach(path, name, shape | libc::IFF_TUN_EXCL)?;
    let mut header_len = virtio::HEADER_LEN as c_int;
    ioctl(first.as_fd(), libc::TUNSETVNETHDRSZ, &raw mut header_len)?;
    let offload = climb(|mask| set_offload(first.as_fd(), mask))?;
    let mut opened = vec![first];
    if let Err(error) = add_up_to(queues, &mut opened, || attach(path, name, shape)) {
        tracing::warn!("{name} gets {} of {queues} queues, and as many workers: {error}", opened.len());
    }
    Ok((opened, offload))
}

/// Adds queues until there are enough.
fn add_up_to<T>(
    enough: NonZeroUsize,
    queues: &mut Vec<T>,
    mut attach: impl FnMut() -> io::Result<T>,
) -> io::Result<()> {
    while queues.len() < enough.get() {
        queues.push(attach()?);
    }
    Ok(())
}

/// A queue of the interface `name`.
fn attach(path: &Path, name: &str, flags: c_int) -> io::Result<OwnedFd> {
    let device = open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty())?;
    // The flags are sixteen bits wide; the kernel takes the upper ones for others.
    let mut request = request(name, libc::__c_anonymous_ifr_ifru { ifru_flags: flags as libc::c_short })?;
    ioctl(device.as_fd(), libc::TUNSETIFF, &raw mut request)?;
    Ok(device)
}

/// Sets the MTU of the interface `name`, in bytes.
pub(super) fn set_mtu(name: &str, mtu: u16) -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = request(name, libc::__c_anonymous_ifr_ifru { ifru_mtu: mtu.into() })?;
    ioctl(socket.as_fd(), libc::SIOCSIFMTU as libc::Ioctl, &raw mut request)
}

/// The first rung that the kernel takes.
fn climb(mut offer: impl FnMut(u32) -> io::Result<()>) -> io::Result<Offload> {
    let mut outcome = Ok(Offload::None);
    for rung in Offload::LADDER {
        match offer(rung.mask()) {
            Ok(()) => return Ok(rung),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

fn request(name: &str, value: libc::__c_anonymous_ifr_ifru) -> io::Result<libc::ifreq> {
    let mut ifr_name = [0; libc::IFNAMSIZ];
    // The last byte ends the name.
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(libc::ifreq { ifr_name, ifr_ifru: value })
}

/// Registers a device with the tokio runtime that this is called in.
#[expect(unsafe_code, reason = "tokio cannot know that the descriptor stays the same")]
pub(super) fn register(device: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned descriptor stays open and the same until it is dropped, which the result does after it has
    // deregistered it.
    unsafe { AsyncFd::register_with_interest(device, Interest::READABLE.add(Interest::ERROR)) }.map_err(io::Error::from)
}

#[expect(unsafe_code, reason = "the kernel has no other way to be asked")]
fn ioctl<T>(fd: BorrowedFd<'_>, number: libc::Ioctl, argument: *mut T) -> io::Result<()> {
    // SAFETY: the callers pass a pointer to what their request reads and writes, which lives until they return.
    match unsafe { libc::ioctl(fd.as_raw_fd(), number, argument) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[expect(unsafe_code, reason = "the kernel has no other way to be asked")]
fn set_offload(device: BorrowedFd<'_>, mask: u32) -> io::Result<()> {
    // SAFETY: the argument is a number.
    match unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(mask)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel gives that refuses every mask with a bit of `unknown`.
    #[track_caller]
    fn check(unknown: u32, expected: Offload, offers: usize) {
        let mut offered = 0;
        let got = climb(|mask| {
            offered += 1;
            if mask & unknown == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
        });

        assert_eq!((got.unwrap(), offered), (expected, offers));
    }

    #[test]
    fn every_kernel_gives_what_it_knows() {
        check(0, Offload::TsoAndUso, 1);
        check(libc::TUN_F_USO4 | libc::TUN_F_USO6, Offload::Tso, 2);
        check(libc::TUN_F_TSO4, Offload::Checksum, 3);
        check(libc::TUN_F_CSUM, Offload::None, 4);
    }

    #[test]
    fn a_device_that_takes_no_offload_at_all_is_no_tun_device() {
        let error = climb(|_| Err(io::Error::from_raw_os_error(libc::ENOTTY))).unwrap_err();

        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }

    #[test]
    fn what_is_merged_is_what_the_kernel_takes() {
        assert_eq!(Offload::LADDER.map(Offload::merge), [Merge::TcpAndUdp, Merge::Tcp, Merge::Nothing, Merge::Nothing]);
        assert_eq!(Offload::LADDER.map(Offload::as_str), ["tso+uso", "tso", "checksum", "none"]);
        assert_eq!(Offload::LADDER.map(Offload::mask), [0x67, 0x07, 0x01, 0]);
    }

    #[test]
    fn queues_that_cannot_be_had_leave_those_that_can() {
        let (mut queues, mut left) = (vec![0], 2);
        let attach = || {
            left -= 1;
            if left > 0 { Ok(left) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
        };

        let error = add_up_to(NonZeroUsize::new(4).unwrap(), &mut queues, attach).unwrap_err();

        assert_eq!((queues, error.raw_os_error()), (vec![0, 1], Some(libc::EMFILE)));
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let value = || libc::__c_anonymous_ifr_ifru { ifru_mtu: 0 };

        assert!(request("a-name-of-15-by", value()).is_ok());
        assert!(request("a-name-of-16-byt", value()).is_err());
    }
}
