//! The block `discovery` of a gateway: which servers it looks at.

use contract::{GATEWAY_LABEL, LabelSelector, Name};
use tfplugin5::{Spelled, model, optional};

model! {
    /// How servers are found by their labels. The gateway needs a read-only token of Hetzner's API for it, which is no
    /// business of Terraform's.
    pub(crate) struct Discovery {
        /// Which servers of the project to look at, as Hetzner's API takes it. Default: those with the `labels` of a
        /// `hetznat_peer` of this gateway, `hetznat-gateway==home`.
        label_selector: Spelled<LabelSelector> = optional(),
    }
}

impl Discovery {
    /// What the document says of it.
    pub(super) fn to_entry(&self, gateway: &Name) -> contract::Discovery {
        let own = self.label_selector.known().map(|selector| LabelSelector::clone(selector));
        let label_selector = own.unwrap_or_else(|| LabelSelector::equals(GATEWAY_LABEL, gateway));
        contract::Discovery { label_selector, other: Default::default() }
    }

    pub(super) fn from_entry(entry: &contract::Discovery) -> Self {
        Self { label_selector: Spelled::from(entry.label_selector.clone()).into() }
    }
}
