//! The real binary: what its commands print, how it fails, and that nothing of it stays behind.
//!
//! Tests that touch a network do so in namespaces of their own and need root; without it they say so and pass.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it, and says where")]

mod commands;
mod dns64;
mod lifecycle;
mod namespace;
mod reload;
mod standalone;
mod state;
mod translator;
mod undone;
mod unit;
