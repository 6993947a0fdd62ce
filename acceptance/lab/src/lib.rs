//! The whole, on one machine: a home with a translator, servers without IPv4, and the two internets between them.
//!
//! Every host is a set of namespaces without a name, held by one process that lives exactly as long as the lab: whatever
//! happens to the lab (a panic, Ctrl-C, SIGKILL), the kernel takes the hosts, their processes and their links down.
//! The lab drives the built binaries as processes and links none of them: what it sees is what a user sees.

pub mod bench;
pub mod binaries;
pub mod bind;
pub mod cloud_init;
pub mod container;
pub mod debian;
mod directory;
pub mod dns64;
pub mod hetzner;
pub mod host;
pub mod machine;
pub mod packages;
pub mod process;
pub mod router;
pub mod server;
pub mod site;
pub mod terraform;
pub mod topology;
pub mod translator;
pub mod vectors;
pub mod wait;
pub mod web;

pub use container::Container;
pub use host::Host;
pub use machine::Machine;
pub use process::Process;
pub use router::Router;
pub use server::Server;
pub use site::Site;
pub use terraform::Terraform;
pub use topology::Lab;
pub use translator::Translator;
