//! Tests of the whole, on the lab. All of them need root: they fail without it rather than pretend.

mod bench;
mod demo;
mod discovery;
mod dns64_cases;
mod dns64_health;
mod dns64_upstreams;
mod documents;
mod egress;
mod examples;
mod extra_user_data;
mod fences;
mod first_boot;
mod fleet;
mod groups;
mod hetzner;
mod hosts;
mod life;
mod membership;
mod mistakes;
mod names;
mod path_mtu;
mod small_links;
mod standalone;
mod traffic;
mod vectors;
mod wireguard;
