//! Whether datagrams may be sent in runs (`UDP_SEGMENT`), as far as the kernel has told.
//!
//! A device or a policy can make it impossible for good; a path whose MTU is smaller than the datagrams only as long as
//! it is: the kernel fragments single datagrams, but not those of a run.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddrV6;

/// Paths that are known to be too small for runs. There are as many as peers behind small links; what does not fit costs
/// a refused call now and then.
const MOST_PATHS: usize = 16;

/// Datagrams that are sent singly before a path is tried again.
const RETRY_AFTER: u32 = 10_000;

/// What is known.
#[derive(Debug)]
pub(super) struct Gso {
    is_possible: bool,
    small_paths: VecDeque<SmallPath>,
}

#[derive(Debug)]
struct SmallPath {
    to: SocketAddrV6,
    /// The shortest datagram that was refused, in bytes.
    len: usize,
    /// Datagrams until the next attempt.
    wait: u32,
}

impl Gso {
    pub(super) fn new(is_possible: bool) -> Self {
        Self { is_possible, small_paths: VecDeque::with_capacity(MOST_PATHS) }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.is_possible
    }

    /// Whether to try a run of datagrams of this length; counts the datagram that is sent alone otherwise.
    pub(super) fn takes(&mut self, to: SocketAddrV6, len: usize) -> bool {
        if !self.is_possible {
            return false;
        }
        let Some(at) = self.small_paths.iter().position(|path| path.to == to && len >= path.len) else { return true };
        let path = &mut self.small_paths[at];
        path.wait = path.wait.saturating_sub(1);
        if path.wait > 0 {
            return false;
        }
        self.small_paths.remove(at);
        true
    }

    /// The kernel did not take a run of datagrams of this length. `false` if that had nothing to do with the run.
    pub(super) fn refused(&mut self, to: SocketAddrV6, len: usize, error: &io::Error) -> bool {
        match error.raw_os_error() {
            // A device without checksum offload (before Linux 6.11), or IPsec.
            Some(libc::EIO) => {
                tracing::info!("the kernel does not cut runs of datagrams here, so they are sent one by one");
                self.is_possible = false;
                true
            }
            // EINVAL before Linux 6.13.
            Some(libc::EMSGSIZE | libc::EINVAL) => {
                self.small_paths.retain(|path| path.to != to);
                if self.small_paths.len() == MOST_PATHS {
                    self.small_paths.pop_front();
                }
                self.small_paths.push_back(SmallPath { to, len, wait: RETRY_AFTER });
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(port: u16) -> SocketAddrV6 {
        SocketAddrV6::new("2001:db8::1".parse().unwrap(), port, 0, 0)
    }

    fn error(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn a_device_that_cannot_is_not_asked_again() {
        let mut gso = Gso::new(true);

        assert!(gso.takes(to(1), 100) && gso.refused(to(1), 100, &error(libc::EIO)));

        assert!(!gso.is_possible() && !gso.takes(to(2), 100));
    }

    #[test]
    fn a_small_path_is_not_that_of_other_peers_or_of_smaller_datagrams() {
        for errno in [libc::EMSGSIZE, libc::EINVAL] {
            let mut gso = Gso::new(true);

            assert!(gso.refused(to(1), 1444, &error(errno)));

            assert!(!gso.takes(to(1), 1444));
            assert!(gso.takes(to(1), 1443) && gso.takes(to(2), 1444) && gso.is_possible());
        }
    }

    #[test]
    fn a_small_path_is_tried_again_some_time() {
        let mut gso = Gso::new(true);
        gso.refused(to(1), 1444, &error(libc::EMSGSIZE));

        let singly = (0..).take_while(|_| !gso.takes(to(1), 1444)).count();

        assert_eq!(singly, RETRY_AFTER as usize - 1);
        assert!(gso.takes(to(1), 1444));
    }

    #[test]
    fn what_has_nothing_to_do_with_runs_changes_nothing() {
        let mut gso = Gso::new(true);

        assert!(!gso.refused(to(1), 100, &error(libc::ENETUNREACH)));

        assert!(gso.takes(to(1), 100));
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut gso = Gso::new(true);
        for port in 0..100 {
            gso.refused(to(port), 100, &error(libc::EMSGSIZE));
        }

        assert_eq!(gso.small_paths.len(), MOST_PATHS);
        assert!(gso.takes(to(0), 100) && !gso.takes(to(99), 100));
    }
}
