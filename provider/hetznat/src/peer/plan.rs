//! What can be said of a peer before it is applied.

use cloud_init::{FirstBoot, Format, RenderError};
use contract::PEER_LABEL;
use tfplugin5::{Attr, Diagnostic, PlanContext, Spelled};

use super::Peer;
use crate::attributes::Link;

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
        for diagnostic in Link::resolver_problem(&self.gateway, &self.dns).into_iter().chain(self.first_boot_problem())
        {
            cx.diagnostics.push(diagnostic);
        }
    }

    /// Sets what follows from the gateway's name and the peer's own.
    pub(super) fn name_it(&mut self) {
        (self.id, self.labels) = Link::identify(&self.gateway, &self.name, PEER_LABEL);
    }

    /// A server that cannot be told what its author wants had better not be made.
    fn first_boot_problem(&self) -> Option<Diagnostic> {
        if self.extra_user_data.is_unknown() || self.render_format.is_unknown() {
            return None;
        }
        let boot = match self.first_boot() {
            Ok(boot) => boot,
            Err(diagnostic) => return Some(diagnostic),
        };
        let error = cloud_init::check(&boot).err()?;
        let attribute =
            if let RenderError::NeedsNewerFormat { attribute } = error { attribute } else { "extra_user_data" };
        Some(Diagnostic::error(error.to_string()).at(attribute))
    }

    /// What the author asks of the first boot. A peer without a format is older than formats are.
    pub(super) fn first_boot(&self) -> Result<FirstBoot<'_>, Diagnostic> {
        let unknown = |number: &u16| {
            let known = Format::ALL.map(|format| format.number().to_string()).join(" or ");
            Diagnostic::error(format!("render_format must be {known} (got {number})")).at("render_format")
        };
        let format = match self.render_format.known() {
            Some(number) => Format::from_number(*number).ok_or_else(|| unknown(number))?,
            None => Format::V1,
        };
        let is_set = |flag: &Attr<bool>| flag.known().copied().unwrap_or_default();
        Ok(FirstBoot {
            format,
            extra: self.extra_user_data.known().map(String::as_str),
            metadata_guard: is_set(&self.metadata_guard),
            docker: is_set(&self.docker),
        })
    }
}

#[cfg(test)]
mod tests;
