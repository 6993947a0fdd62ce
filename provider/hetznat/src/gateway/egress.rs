//! How translated packets leave a gateway: the attributes `egress`, `egress_ports` and `pool4`.

use contract::{Egress, EgressMode, PortRange};
use tfplugin5::{Attr, Diagnostic, Diagnostics, Path, PlanContext, Spelled};

use super::Gateway;
use crate::attributes::Net4;
use crate::list::{meanings, spelled};

impl Gateway {
    /// What the document says of it.
    ///
    /// # Errors
    /// An attribute of another mode, or elements that are null, at their place.
    pub(super) fn to_egress(&self) -> Result<Egress, Diagnostics> {
        let mode = self.egress.known().map_or(EgressMode::Masquerade, |mode| **mode);
        let refuse = |attribute: &str, mode| {
            let summary = format!("{attribute} belongs to egress = \"{mode}\"; leave it out");
            Err(Diagnostic::error(summary).at(attribute).into())
        };
        if mode != EgressMode::Shared && !self.egress_ports.is_null() {
            return refuse("egress_ports", EgressMode::Shared);
        }
        if mode != EgressMode::Routed && !self.pool4.is_null() {
            return refuse("pool4", EgressMode::Routed);
        }
        Ok(match mode {
            EgressMode::Masquerade => Egress::Masquerade,
            EgressMode::Shared => {
                Egress::Shared { ports: self.egress_ports.known().map_or_else(PortRange::default, |ports| **ports) }
            }
            EgressMode::Routed => {
                let pool4 = meanings(&self.pool4, &Path::attribute("pool4"))?;
                Egress::Routed { pool4: pool4.into_iter().map(|Net4(net)| net).collect() }
            }
        })
    }

    /// The ports that are planned where the author gives none.
    pub(super) fn plan_ports(&mut self, cx: &PlanContext<'_, Self>) {
        if !cx.config.egress_ports.is_null() {
            return;
        }
        self.egress_ports = match &self.egress {
            Attr::Known(mode) if **mode == EgressMode::Shared => Spelled::from(PortRange::default()).into(),
            Attr::Unknown => Attr::Unknown,
            Attr::Known(_) | Attr::Null => Attr::Null,
        };
    }

    /// What can only be chosen once the mode is known.
    pub(super) fn settle_ports(&mut self) {
        if self.egress_ports.is_unknown() {
            let shared = self.egress.known().is_some_and(|mode| **mode == EgressMode::Shared);
            self.egress_ports = if shared { Spelled::from(PortRange::default()).into() } else { Attr::Null };
        }
    }

    /// Takes over what the document says.
    pub(super) fn set_egress(&mut self, egress: &Egress) {
        self.egress = Spelled::from(egress.mode()).into();
        (self.egress_ports, self.pool4) = match egress {
            Egress::Masquerade => (Attr::Null, Attr::Null),
            Egress::Shared { ports } => (Spelled::from(*ports).into(), Attr::Null),
            Egress::Routed { pool4 } => (Attr::Null, spelled(pool4.iter().copied().map(Net4))),
        };
    }
}
