//! Tests of the whole, on the lab. All of them need root: they fail without it rather than pretend.

mod hosts;
mod wireguard;
