//! Datagram buffers: taken from a pool, given back when dropped, so that steady traffic does not allocate to receive.

use gotatun::packet::{Packet, PacketBufPool};

/// Room for a datagram on a 1500-byte link, with slack for baby jumbo frames; a larger one gets its own allocation.
const BUFFER_BYTES: usize = 2048;

/// How many idle buffers are kept. A packet leaves its buffer when it is encrypted, so a few are enough, and stay in the
/// nearest cache; packets that wait for a session cost an allocation each.
const POOLED_BUFFERS: usize = 4;

/// The pool that datagram buffers come from and go back to.
#[derive(Clone)]
pub struct Pool(PacketBufPool<BUFFER_BYTES>);

impl Pool {
    pub(crate) fn new() -> Self {
        Self(PacketBufPool::new(POOLED_BUFFERS))
    }

    /// A buffer that holds a copy of `bytes`.
    pub fn copy_of(&self, bytes: &[u8]) -> Datagram {
        let mut packet = self.room(bytes.len());
        packet.buf_mut().copy_from_slice(bytes);
        Datagram(packet)
    }

    /// A buffer of `len` bytes, to be written.
    pub(crate) fn room(&self, len: usize) -> Packet {
        let mut packet = self.0.get();
        packet.buf_mut().resize(len, 0);
        packet
    }
}

/// One WireGuard datagram, as it travels over UDP.
pub struct Datagram(pub(crate) Packet);

impl Datagram {
    /// The UDP payload.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_larger_than_a_pooled_buffer_is_kept_whole() {
        let jumbo = vec![7; 3 * BUFFER_BYTES];

        let datagram = Pool::new().copy_of(&jumbo);

        assert_eq!(datagram.bytes(), jumbo);
    }

    #[test]
    fn a_reused_buffer_shows_nothing_of_its_last_datagram() {
        let pool = Pool::new();
        drop(pool.copy_of(&[1; 1000]));

        assert_eq!(pool.copy_of(&[2; 3]).bytes(), [2; 3]);
    }
}
