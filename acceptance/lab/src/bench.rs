//! Measuring gateways against each other: three hosts in a row, contenders that take turns on the one in the middle, and
//! what is put through them.
//!
//! Only ratios of one run mean anything: generator, gateway and receiver share the machine's cores, and a figure alone
//! says as much about them as about the gateway.

mod case;
mod contender;
mod gateway;
mod hosts;
mod load;
mod tunnels;

pub use case::{Case, Direction, Load, Train, Way};
pub use contender::Contender;
pub use gateway::Gateway;
pub use hosts::{Hosts, Programs};
pub use load::{Figures, Quantity, measure};
