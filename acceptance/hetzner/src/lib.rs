//! A stand-in of Hetzner's cloud API (`https://api.hetzner.cloud/v1`), as its OpenAPI document of 2026 describes it.
//!
//! [`Api`] is pure: a request and the time go in, an answer comes out, and what takes Hetzner time (a server that boots, an
//! action that runs) is over as soon as the time given says so. `main` puts it behind HTTP.
//!
//! What is there: servers, primary IPs, firewalls, actions, the catalogue that clients look names up in; labels and their
//! selectors, sorting, paging, tokens that may write or only read, the rate limit and its headers, Hetzner's error codes.
//! `datacenter` is not: the API dropped it on 2026-07-01. There are no ETags, because no client of Hetzner's uses any.

mod actions;
mod api;
mod catalogue;
mod controls;
mod error;
mod firewalls;
mod input;
mod labels;
mod limit;
mod page;
mod primary_ips;
mod project;
mod route;
mod selector;
mod servers;
mod servers_actions;
mod time;

pub use api::{Api, Request, Response, Settings};
