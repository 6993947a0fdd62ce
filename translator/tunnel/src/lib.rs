//! WireGuard towards the peers: the gotatun noise core, our own UDP transport.
//!
//! [`Tunnels`] holds every peer's session and does no I/O: datagrams and packets go in by `handle_*`, datagrams come
//! out by [`Tunnels::poll_transmit`]. [`Socket`] moves datagrams in batches. The inner source of a packet *is* the
//! identity of its peer, so nothing leaves [`Tunnels::handle_datagram`] whose source another peer owns.

mod buffer;
mod drops;
mod inner;
mod peer;
mod redial;
mod routes;
mod socket;
mod tunnels;

pub use buffer::{Datagram, Pool};
pub use drops::{DropReason, Drops};
pub use peer::{PeerConfig, PeerStats};
pub use socket::{BindError, Offload, Received, Sent, Socket};
pub use tunnels::{Inside, Outcome, Towards, Transmit, Tunnels};
