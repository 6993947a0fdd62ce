//! What can be said of a peer before it is applied.

use cloud_init::RenderError;
use contract::{GATEWAY_LABEL, PEER_LABEL, Pool6};
use tfplugin5::{Attr, Diagnostic, PlanContext, Spelled};

use super::Peer;
use crate::attributes::Dns;
use crate::entry::full_name;

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
        self.name_it();
        if let Some(diagnostic) = self.resolver_problem() {
            cx.diagnostics.push(diagnostic);
        }
    }

    /// Sets what follows from the gateway's name and the peer's own.
    pub(super) fn name_it(&mut self) {
        let gateway = match &self.gateway {
            Attr::Known(link) => link.id.clone(),
            Attr::Unknown | Attr::Null => Attr::Unknown,
        };
        let (Attr::Known(gateway), Attr::Known(name)) = (gateway, &self.name) else {
            (self.id, self.labels) = (Attr::Unknown, Attr::Unknown);
            return;
        };
        self.id = full_name(&gateway, name).into();
        let labels = [(GATEWAY_LABEL, gateway.to_string()), (PEER_LABEL, name.to_string())];
        self.labels = Attr::Known(labels.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect());
    }

    /// Public resolvers work with one prefix only; better said before anything is made.
    fn resolver_problem(&self) -> Option<Diagnostic> {
        let pool6 = **self.gateway.known()?.pool6.known()?;
        let wrong = **self.dns.known()? == Dns::Public && pool6 != Pool6::default();
        wrong.then(|| Diagnostic::error(RenderError::PublicDnsNeedsWellKnownPrefix { pool6 }.to_string()).at("dns"))
    }
}

#[cfg(test)]
mod tests;
