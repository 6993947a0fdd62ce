//! The generated messages and services, and the two messages whose `Debug` must tell nothing.

use std::fmt;

#[allow(
    dead_code,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated"
)]
mod generated {
    pub(crate) mod tfplugin5 {
        tonic::include_proto!("tfplugin5");
    }

    pub(crate) mod plugin {
        tonic::include_proto!("plugin");
    }
}

pub(crate) use generated::{plugin, tfplugin5};

impl fmt::Debug for tfplugin5::DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynamicValue")
    }
}

impl fmt::Debug for tfplugin5::RawState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawState")
    }
}
