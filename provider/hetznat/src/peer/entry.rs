//! A peer's entry in the document: written, superseded, removed, found again.

use cloud_init::Format;
use contract::{Document, Name};
use ipnet::Ipv6Net;
use tfplugin5::{Attr, Diagnostic, Diagnostics, Spelled};

use super::{Peer, error_at};
use crate::attributes::{Dns, Endpoint, Link, Prefix};
use crate::entry::{Owner, full_name, list, no_gateway, parse_id};

impl Peer {
    /// Before a creation: takes an entry of the same name for the same server out; any other of that name is a clash.
    ///
    /// Under `create_before_destroy` the successor is created while its predecessor is still there, and Terraform tells the
    /// successor nothing about it (not even the private data of the plan). A peer's identity is its server's own /64, so
    /// that decides. The predecessor's removal then finds another mark in the entry, and leaves it alone.
    pub(super) fn supersede(
        &self,
        document: &mut Document,
        created_here: impl Fn(&str) -> bool,
    ) -> Result<Option<contract::Peer>, Diagnostics> {
        let Some(found) = self.find(document)? else { return Ok(None) };
        let (name, gateway) = (self.name()?, self.gateway_id()?);
        if created_here(&found.owner) {
            let summary = format!("two peers of gateway {gateway} are named {name}; give each its own name");
            return Err(error_at("name", summary));
        }
        if found.prefix.is_none() || found.prefix != self.known_prefix() {
            return Err(clash(gateway, name));
        }
        Ok(document.gateways.get_mut(gateway).and_then(|gateway| gateway.peers.remove(name)))
    }

    /// Writes the entry, again if it is gone, and completes what depends on it. A predecessor leaves its IPv4 address.
    pub(super) fn publish(
        mut self,
        document: &mut Document,
        owner: &Owner,
        predecessor: Option<&contract::Peer>,
    ) -> Result<Self, Diagnostics> {
        let (id, name) = (self.gateway_id()?.clone(), self.name()?.clone());
        let gateway = document.gateways.get_mut(&id).ok_or_else(|| no_gateway(&id))?;
        let other = match gateway.peers.get(&name).or(predecessor) {
            Some(found) if predecessor.is_none() && found.owner != owner.as_str() => return Err(clash(&id, &name)),
            Some(found) => found.other.clone(),
            None => Default::default(),
        };
        if self.ipv4.is_unknown() {
            let free = predecessor.map(|found| found.ipv4).or_else(|| gateway.lowest_free_ipv4());
            self.ipv4 = Spelled::from(free.ok_or_else(|| no_ipv4(&id, gateway))?).into();
        }
        let entry = contract::Peer {
            public_key: **self.public_key.get()?,
            prefix: self.known_prefix(),
            ipv4: **self.ipv4.get()?,
            endpoint: self.endpoint.known().map(|endpoint| endpoint.0),
            owner: owner.as_str().to_owned(),
            other,
        };
        gateway.peers.insert(name, entry);
        self.name_it();
        self.render()?;
        Ok(self)
    }

    /// `None` if it is to be found.
    fn known_prefix(&self) -> Option<Ipv6Net> {
        self.prefix.known().map(|prefix| prefix.0)
    }

    /// Removes the entry if it is this peer's own. What is gone, or is a successor's by now, needs nothing.
    pub(super) fn unpublish(&self, document: &mut Document, owner: &Owner) -> Result<(), Diagnostics> {
        let name = self.name()?;
        if let Some(gateway) = document.gateways.get_mut(self.gateway_id()?)
            && gateway.peers.get(name).is_some_and(|found| found.owner == owner.as_str())
        {
            gateway.peers.remove(name);
        }
        Ok(())
    }

    /// The peer that an import names, and its mark. The private key is not in the document.
    pub(super) fn from_document(document: &Document, id: &str) -> Result<(Self, Owner), Diagnostics> {
        let (gateway, name) = parse_id("peer", id)?;
        let entry = document.gateways.get(&gateway).ok_or_else(|| no_gateway(&gateway))?;
        let missing = || {
            let known = list(entry.peers.keys());
            Diagnostic::error(format!("there is no peer {name} in gateway {gateway}; it has {known}"))
        };
        let found = entry.peers.get(&name).ok_or_else(missing)?;
        let mut state = Self {
            name: Spelled::from(name).into(),
            gateway: Link::of_entry(&gateway, entry).into(),
            endpoint: found.endpoint.map_or(Attr::Null, |endpoint| Spelled::from(Endpoint(endpoint)).into()),
            prefix: found.prefix.map_or(Attr::Null, |prefix| Spelled::from(Prefix(prefix)).into()),
            ipv4: Spelled::from(found.ipv4).into(),
            dns: Spelled::from(Dns::Public).into(),
            extra_user_data: Attr::Null,
            metadata_guard: Attr::Null,
            docker: Attr::Null,
            render_format: Format::default().number().into(),
            rotate: Attr::Null,
            id: Attr::Null,
            public_key: Spelled::from(found.public_key).into(),
            private_key: Attr::Null,
            user_data: Attr::Null,
            wireguard_config: Attr::Null,
            labels: Attr::Null,
            published: true.into(),
        };
        state.name_it();
        Ok((state, Owner::of_private(found.owner.as_bytes())))
    }
}

fn clash(gateway: &Name, name: &Name) -> Diagnostics {
    let id = full_name(gateway, name);
    Diagnostic::error(format!("peer {name} already exists in gateway {gateway}; import it, or choose another name"))
        .detail(format!("To manage the existing one here: terraform import hetznat_peer.<resource> {id}"))
        .at("name")
        .into()
}

/// What a creation that superseded an entry says.
pub(super) fn superseded(id: &str) -> Diagnostic {
    Diagnostic::warning(format!("peer {id} existed already for the same server, and has new keys now")).detail(
        "This is what replacing a peer with create_before_destroy means. To keep the keys of a peer that exists, import it.",
    )
}

fn no_ipv4(id: &Name, gateway: &contract::Gateway) -> Diagnostics {
    let summary =
        format!("every address of ipv4_prefix {} of gateway {id} is taken; destroy a peer", gateway.ipv4_prefix);
    error_at("ipv4", summary)
}
