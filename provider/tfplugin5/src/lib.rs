//! Terraform's plugin protocol 5 for a provider written in Rust: handshake, mutual TLS, values, schema and plan rules.
//!
//! A provider declares its resources with [`model!`], says what they do with [`Resource`] and [`Provider`], and hands itself
//! to [`run`]. What Terraform may then expect of a plan follows from the declarations alone (`plan.rs`). Nothing here knows
//! what the resources are about.

mod attr;
mod control;
mod diagnostic;
mod handshake;
mod json;
mod log;
mod model;
mod msgpack;
mod plan;
mod proto;
mod resource;
mod schema;
mod serve;
mod server;
pub mod testing;
mod tls;
mod ty;
mod value;

pub use attr::{Attr, Field, NotKnown, Secret, Spelled};
pub use diagnostic::{Diagnostic, Diagnostics, Path, Severity, Step};
pub use model::Model;
pub use resource::{Context, PlanContext, Provider, Resource, Resources};
pub use schema::{
    Attribute, Behaviour, Block, Declaration, Many, Nesting, One, Schema, SchemaError, block, blocks, computed,
    optional, required,
};
pub use serve::{About, run};
pub use ty::Type;
pub use value::{Number, Value};
