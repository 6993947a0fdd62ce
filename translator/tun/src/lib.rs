//! The TUN interface: super-packets with their virtio-net headers in both directions, in one queue or several.
//!
//! The interface goes when the last descriptor does. It comes without addresses and down: whoever configures it decides
//! when packets may flow.

mod device;
mod turn;

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use packet::coalesce::Merge;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::select;

pub use device::Offload;
pub use turn::Turn;

/// Where TUN interfaces come from.
const DEVICE: &str = "/dev/net/tun";

/// Why there is no TUN interface.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The kernel has no TUN driver, or the container no device for it.
    #[error("{DEVICE} is missing; load the module with modprobe tun, or hand the device to the container")]
    NoDevice,
    /// Interfaces need CAP_NET_ADMIN.
    #[error("CAP_NET_ADMIN is missing; start it by systemd or as root")]
    NoCapability,
    /// There is an interface of this name.
    #[error("the interface name {0} is taken; stop what uses it, or choose another name")]
    NameBusy(String),
    /// What the kernel said.
    #[error("cannot create the interface {name}: {source}")]
    Other {
        /// Of the interface.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// An open TUN interface that nobody reads yet.
pub struct Tun {
    queues: Vec<OwnedFd>,
    name: String,
    index: u32,
    offload: Offload,
}

impl Tun {
    /// Creates the interface `name` with up to `queues` queues, as many as there are descriptors for; `mtu` in bytes.
    ///
    /// # Errors
    /// Each usual cause has its own; what was created is gone then.
    pub fn open(name: &str, mtu: u16, queues: NonZeroUsize) -> Result<Self, TunError> {
        if if_nametoindex(name).is_ok() {
            return Err(TunError::NameBusy(name.to_owned()));
        }
        if !Path::new(DEVICE).exists() {
            return Err(TunError::NoDevice);
        }
        let refused = |source| tun_error(name, source);
        let (queues, offload) = device::create(Path::new(DEVICE), name, queues).map_err(refused)?;
        device::set_mtu(name, mtu).map_err(refused)?;
        let index = if_nametoindex(name).map_err(|errno| refused(errno.into()))?;
        Ok(Self { queues, name: name.to_owned(), index, offload })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What the kernel leaves to us.
    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// One at least.
    pub fn into_queues(self) -> impl Iterator<Item = Queue> {
        self.queues.into_iter().map(move |device| Queue { device, offload: self.offload })
    }

    /// The interface's only queue, registered with the tokio runtime that this is called in.
    ///
    /// # Errors
    /// What the kernel said; the interface is gone then.
    pub fn into_port(mut self) -> io::Result<Port> {
        Port::new(self.queues.remove(0), self.offload)
    }
}

/// A queue that nobody reads yet.
pub struct Queue {
    device: OwnedFd,
    offload: Offload,
}

impl Queue {
    /// Registers the queue with the tokio runtime that this is called in.
    ///
    /// # Errors
    /// What the kernel said; the queue is gone then.
    pub fn into_port(self) -> io::Result<Port> {
        Port::new(self.device, self.offload)
    }
}

/// Where frames go in and out: a packet with its virtio-net header in front.
pub struct Port {
    device: AsyncFd<OwnedFd>,
    offload: Offload,
}

/// What a read brought.
pub enum Read {
    /// A frame of this many bytes.
    Frame(usize),
    /// None is there.
    Nothing,
    /// One frame is lost, the next may be fine.
    Spoilt,
    /// There is no interface any more.
    Gone,
    /// Nothing will come any more.
    Broken(io::Error),
}

/// What became of a frame to write.
pub enum Written {
    /// The kernel has it.
    Done,
    /// The interface is down, the kernel short of memory, or the frame not to its taste.
    Refused(io::Error),
    /// There is no interface any more.
    Gone,
}

impl Port {
    /// A queue of an interface that takes this, or whatever else keeps frames apart, such as a socket pair. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// What the kernel said; the descriptor is closed then.
    pub fn new(device: OwnedFd, offload: Offload) -> io::Result<Self> {
        Ok(Self { device: device::register(device)?, offload })
    }

    /// What super-packets it takes.
    pub fn merge(&self) -> Merge {
        self.offload.merge()
    }

    /// Waits for a frame. Cancel safe.
    ///
    /// # Errors
    /// `EBADFD`: there is no interface any more.
    pub async fn readable(&self) -> io::Result<()> {
        select! {
            ready = self.device.readable() => ready.map(drop),
            // Of an interface that was deleted the kernel reports nothing else.
            ready = self.device.ready(Interest::ERROR) => Err(ready.err().unwrap_or_else(|| Errno::EBADFD.into())),
        }
    }

    /// Reads one frame without waiting.
    pub fn read(&self, buffer: &mut [u8]) -> Read {
        outcome(self.device.try_io(Interest::READABLE, |device| Ok(nix::unistd::read(device, buffer)?)))
    }

    /// Reads one frame without waiting, and without asking whether anybody has said that there is one: the answer to what
    /// was just written, for example.
    pub fn read_at_once(&self, buffer: &mut [u8]) -> Read {
        outcome(nix::unistd::read(self.device.get_ref(), buffer).map_err(io::Error::from))
    }

    /// Writes one frame without waiting.
    pub fn write(&self, frame: &[u8]) -> Written {
        // Without asking tokio first: an interface that is down is never writable.
        match nix::unistd::write(self.device.get_ref(), frame) {
            Ok(_) => Written::Done,
            Err(Errno::EBADFD) => Written::Gone,
            Err(errno) => Written::Refused(errno.into()),
        }
    }
}

fn outcome(read: io::Result<usize>) -> Read {
    let error = match read {
        Ok(len) => return Read::Frame(len),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::EBADFD) => Read::Gone,
        // The kernel threw a packet away whose offload has no virtio-net name.
        Some(libc::EINVAL) => Read::Spoilt,
        _ if error.kind() == io::ErrorKind::WouldBlock => Read::Nothing,
        _ => Read::Broken(error),
    }
}

fn tun_error(name: &str, source: io::Error) -> TunError {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::NoDevice,
        Some(libc::EPERM | libc::EACCES) => TunError::NoCapability,
        Some(libc::EBUSY) => TunError::NameBusy(name.to_owned()),
        _ => TunError::Other { name: name.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    /// A port whose other end is ours: packets keep their borders there, as in a TUN interface.
    fn port() -> (Port, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        (Port::new(theirs, Offload::None).unwrap(), ours)
    }

    #[tokio::test]
    async fn frames_are_read_one_by_one_until_there_are_none() {
        let (port, kernel) = port();
        let mut buffer = [0; 70_000];
        for len in [62, 65_545] {
            nix::unistd::write(&kernel, &vec![7; len]).unwrap();
        }

        port.readable().await.unwrap();

        assert!(matches!(port.read(&mut buffer), Read::Frame(62)));
        assert!(matches!(port.read(&mut buffer), Read::Frame(65_545)));
        assert!(matches!(port.read(&mut buffer), Read::Nothing));
    }

    #[tokio::test]
    async fn an_answer_is_read_before_anybody_says_that_it_is_there() {
        let (port, kernel) = port();
        let mut buffer = [0; 70_000];
        assert!(matches!(port.read_at_once(&mut buffer), Read::Nothing));

        nix::unistd::write(&kernel, &[7; 62]).unwrap();

        assert!(matches!(port.read_at_once(&mut buffer), Read::Frame(62)));
        nix::unistd::write(&kernel, &[7; 63]).unwrap();
        port.readable().await.unwrap();
        assert!(matches!(port.read(&mut buffer), Read::Frame(63)), "nobody was kept from hearing of the next");
    }

    #[tokio::test]
    async fn frames_are_written_whole_or_refused() {
        let (port, kernel) = port();
        let mut buffer = [0; 70_000];

        assert!(matches!(port.write(&[7; 65_545]), Written::Done));
        assert_eq!(nix::unistd::read(&kernel, &mut buffer), Ok(65_545));
        while matches!(port.write(&[7; 65_545]), Written::Done) {}
        assert!(matches!(port.write(&[7; 65_545]), Written::Refused(_)));
    }

    fn check(errno: i32, line: &str) {
        assert_eq!(tun_error("hetznat0", io::Error::from_raw_os_error(errno)).to_string(), line);
    }

    #[test]
    fn an_interface_that_exists_is_named() {
        let error = Tun::open("lo", 1500, NonZeroUsize::MIN).err().unwrap();

        assert!(matches!(error, TunError::NameBusy(name) if name == "lo"));
    }

    #[test]
    fn each_usual_cause_has_its_own_error() {
        check(
            libc::ENODEV,
            "/dev/net/tun is missing; load the module with modprobe tun, or hand the device to the container",
        );
        check(libc::EPERM, "CAP_NET_ADMIN is missing; start it by systemd or as root");
        check(libc::EBUSY, "the interface name hetznat0 is taken; stop what uses it, or choose another name");
        check(libc::EMFILE, "cannot create the interface hetznat0: Too many open files (os error 24)");
    }
}
