//! DNS64 without sockets: scripted upstreams, whole messages in and out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod health;
mod requirements;
mod resolver;
mod rules;
mod text;
mod validation;
