//! What a peer's server is given: its keys, and what is rendered of them.

use tfplugin5::{Attr, Diagnostic, Diagnostics, Secret, Spelled};

use super::Peer;
use crate::entry::draw_key;

impl Peer {
    /// Draws the pair of keys if the plan left them open.
    pub(super) fn with_keys(mut self) -> Result<Self, Diagnostics> {
        if self.public_key.is_unknown() {
            let key = draw_key()?;
            self.public_key = Spelled::from(key.public_key()).into();
            self.private_key = Secret::new(key.to_base64()).into();
        }
        Ok(self)
    }

    /// Renders what the plan left open. Without the private key, which an imported peer lacks, there is nothing to render.
    pub(super) fn render(&mut self) -> Result<(), Diagnostics> {
        if !self.user_data.is_unknown() && !self.wireguard_config.is_unknown() {
            return Ok(());
        }
        let Attr::Known(private_key) = &self.private_key else {
            (self.user_data, self.wireguard_config) = (Attr::Null, Attr::Null);
            return Ok(());
        };
        let private_key = private_key.expose().parse().map_err(|error| {
            Diagnostic::error(format!(
                "private_key in Terraform's state is damaged: {error}; set rotate to draw new keys"
            ))
        })?;
        let link = self.gateway.get()?;
        let server = cloud_init::Server {
            name: self.name.get()?,
            gateway_name: link.id.get()?.as_ref(),
            private_key: &private_key,
            ipv4: **self.ipv4.get()?,
            gateway_public_key: **link.public_key.get()?,
            pool6: link.pool6.get()?,
            address6: **link.address6.get()?,
            address4: **link.address4.get()?,
            dns: (**self.dns.get()?).into(),
        };
        let user_data = cloud_init::user_data(&server, &self.wishes().first_boot()?)
            .map_err(|error| Diagnostic::error(error.to_string()))?;
        let wireguard_config = cloud_init::wireguard_config(&server);
        self.user_data = Secret::new(user_data).into();
        self.wireguard_config = Secret::new(wireguard_config).into();
        Ok(())
    }
}
