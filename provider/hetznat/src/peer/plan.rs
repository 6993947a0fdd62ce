//! What can be said of a peer before it is applied.

use cloud_init::Format;
use contract::PEER_LABEL;
use tfplugin5::{Diagnostic, PlanContext, Spelled};

use super::Peer;
use crate::attributes::Link;
use crate::first_boot::Wishes;

impl Peer {
    pub(super) fn complete_plan(&mut self, cx: &mut PlanContext<'_, Self>) {
        if cx.config.prefix.is_null() {
            self.prefix = self.endpoint.map(|endpoint| Spelled::from(endpoint.prefix()));
        }
        if self.endpoint.is_null() && !cx.config.prefix.is_null() {
            let summary =
                "prefix says who the server is, but no endpoint where; leave both out, and it is found by its labels";
            cx.diagnostics.push(Diagnostic::error(summary).at("prefix"));
        }
        if cx.config.render_format.is_null() && self.render_format.is_unknown() {
            self.render_format = Format::default().number().into();
        }
        self.name_it();
        let first_boot = self.wishes().problem(cloud_init::check);
        for diagnostic in Link::resolver_problem(&self.gateway, &self.dns).into_iter().chain(first_boot) {
            cx.diagnostics.push(diagnostic);
        }
    }

    /// Sets what follows from the gateway's name and the peer's own.
    pub(super) fn name_it(&mut self) {
        (self.id, self.labels) = Link::identify(&self.gateway, &self.name, PEER_LABEL);
    }

    /// What the author asks of the first boot.
    pub(super) fn wishes(&self) -> Wishes<'_> {
        let Self { render_format, extra_user_data, metadata_guard, docker, .. } = self;
        Wishes { render_format, extra_user_data, metadata_guard, docker }
    }
}

#[cfg(test)]
mod tests;
