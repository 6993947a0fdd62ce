//! `hetznat_peer`: one IPv6-only server. Its keys live in Terraform's state; the document holds the public half.

mod entry;
mod plan;
mod server;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use contract::{Document, Name, PublicKey};
use tfplugin5::{
    Attr, Context, Diagnostic, Diagnostics, PlanContext, Resource, Secret, Spelled, computed, model, optional, required,
};

use crate::attributes::{Dns, Endpoint, Link, Prefix, Rotate};
use crate::entry::Owner;
use crate::provider::Client;

/// What is in `user_data`.
const FIRST_BOOT: [&str; 8] =
    ["rotate", "gateway", "ipv4", "dns", "extra_user_data", "metadata_guard", "docker", "render_format"];

model! {
    /// One IPv6-only server that reaches IPv4 through a gateway.
    pub(crate) struct Peer {
        /// Its name: letters, digits and hyphens.
        name: Spelled<Name> = required().replace(),
        /// The gateway to use: `hetznat_gateway.home.link`.
        gateway: Link = required().replace_on("id"),
        /// Where the gateway finds the server: an IPv6 address, its /64 (then it is `::1` of it), or `[address]:port`. If left
        /// out, the gateway, which needs `discovery` for it, looks for the server that has these `labels`.
        endpoint: Spelled<Endpoint> = optional(),
        /// The server's own /64, by which the gateway knows it. Default: the endpoint's; the server's, if that is found.
        prefix: Spelled<Prefix> = optional().or_computed(),
        /// The server's IPv4 address inside the tunnel, one of the gateway's `ipv4_prefix`. Default: the lowest that is free,
        /// for the peer's whole life.
        ipv4: Spelled<Ipv4Addr> = optional().or_computed(),
        /// Who resolves names for the server: `public` DNS64 over native IPv6, or the `gateway`.
        dns: Spelled<Dns> = optional().default("public"),
        /// The server's own user data, of any kind that cloud-init takes: text, MIME, gzip, base64. `user_data` carries both.
        extra_user_data: String = optional(),
        /// Whether only root on the server may ask Hetzner's metadata service, which tells `user_data` and with it the key.
        metadata_guard: bool = optional(),
        /// Whether Docker on the server is configured, unless it is already: containers prefer native IPv6.
        docker: bool = optional(),
        /// How `user_data` is rendered: 1 is plain text without `extra_user_data`, 2 is compressed. Default: the newest, which
        /// stays for the peer's whole life.
        render_format: u16 = optional().or_computed(),
        /// Any values. A change draws new keys, which changes `user_data`.
        rotate: Rotate = optional(),
        /// The gateway's id and the name: `home/web`.
        id: String = computed(),
        /// What the gateway knows the server by.
        public_key: Spelled<PublicKey> = computed().renew_on(&["rotate"]),
        /// The server's own key.
        private_key: Secret = computed().sensitive().renew_on(&["rotate"]),
        /// What makes a server reach IPv4 at its first boot: `user_data = hetznat_peer.web.user_data`. It changes only if the
        /// keys, the addresses, `dns`, `render_format` or what is asked of the first boot do: a `hcloud_server` is replaced then.
        user_data: Secret = computed().sensitive().renew_on(&FIRST_BOOT),
        /// The same for a server that runs already: a configuration for `wg-quick`.
        wireguard_config: Secret = computed().sensitive().renew_on(&["rotate", "gateway", "ipv4", "dns"]),
        /// Labels for the server, by which it is found: `labels = hetznat_peer.web.labels`.
        labels: BTreeMap<String, Attr<String>> = computed(),
        /// Whether the state document says what this resource says. If not, the next apply writes it again.
        published: bool = computed().default(true),
    }
}

impl Resource for Peer {
    const TYPE_NAME: &'static str = "hetznat_peer";
    type Client = Client;

    fn plan(planned: &mut Self, cx: &mut PlanContext<'_, Self>) {
        planned.complete_plan(cx);
    }

    async fn create(planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let planned = planned.with_keys()?;
        let owner = Owner::draw()?;
        let (client, mark) = (cx.client.clone(), owner.clone());
        // Before the entry can exist: a second peer of this name may be created in the same moment, in the same write.
        client.remember(owner.clone());
        let publish = move |document: &mut Document| {
            let predecessor = planned.supersede(document, |owner| client.created(owner))?;
            let state = planned.clone().publish(document, &mark, predecessor.as_ref())?;
            Ok((state, predecessor.is_some()))
        };
        let (state, supersedes) = cx.client.edit(publish).await?;
        if supersedes {
            cx.diagnostics.push(entry::superseded(state.id.get()?));
        }
        cx.private = owner.to_private();
        state.warn_without_resolver(cx).await?;
        Ok(state)
    }

    async fn read(prior: Self, cx: &mut Context<Client>) -> Result<Option<Self>, Diagnostics> {
        let document = cx.client.document().await?;
        let owner = Owner::of_private(&cx.private);
        let Some(found) = prior.find(&document)?.filter(|found| prior.is(found, &owner)) else {
            // Never gone: the key lives in Terraform's state, and a new one would change the server.
            return Ok(Some(Self { published: false.into(), ..prior }));
        };
        let prefix = found.prefix.map_or(Attr::Null, |prefix| Spelled::from(Prefix(prefix)).into());
        let endpoint = found.endpoint.map_or(Attr::Null, |endpoint| Spelled::from(Endpoint(endpoint)).into());
        Ok(Some(Self {
            prefix: if prior.prefix == prefix { prior.prefix } else { prefix },
            endpoint: if prior.endpoint == endpoint { prior.endpoint } else { endpoint },
            published: true.into(),
            ..prior
        }))
    }

    async fn update(_: Self, planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let planned = planned.with_keys()?;
        let owner = Owner::of_private(&cx.private);
        let state = cx.client.edit(move |document| planned.clone().publish(document, &owner, None)).await?;
        state.warn_without_resolver(cx).await?;
        Ok(state)
    }

    async fn delete(prior: Self, cx: &mut Context<Client>) -> Result<(), Diagnostics> {
        let owner = Owner::of_private(&cx.private);
        cx.client.edit(move |document| prior.unpublish(document, &owner)).await
    }

    async fn import(id: String, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let document = cx.client.document().await?;
        let (state, owner) = Self::from_document(&document, &id)?;
        cx.private = owner.to_private();
        Ok(state)
    }
}

impl Peer {
    fn name(&self) -> Result<&Name, Diagnostics> {
        Ok(self.name.get()?)
    }

    fn gateway_id(&self) -> Result<&Name, Diagnostics> {
        Ok(self.gateway.get()?.id.get()?)
    }

    fn find<'a>(&self, document: &'a Document) -> Result<Option<&'a contract::Peer>, Diagnostics> {
        let (gateway, name) = (document.gateways.get(self.gateway_id()?), self.name()?);
        Ok(gateway.and_then(|gateway| gateway.peers.get(name)))
    }

    /// A server that asks its gateway for names needs one that answers. Whether it does is in the document and not in the
    /// link: what is in the link changes every server's `user_data`.
    async fn warn_without_resolver(&self, cx: &mut Context<Client>) -> Result<(), Diagnostics> {
        let document = cx.client.document().await?;
        let gateway = self.gateway_id()?;
        let is_silent = document.gateways.get(gateway).is_some_and(|gateway| gateway.dns64.is_none());
        if is_silent && **self.dns.get()? == Dns::Gateway {
            let summary = format!("gateway {gateway} resolves no names; give its hetznat_gateway a block dns64");
            cx.diagnostics.push(Diagnostic::warning(summary).at("dns"));
        }
        Ok(())
    }

    /// Whether an entry is this peer's in everything that cannot be changed back in place.
    fn is(&self, found: &contract::Peer, owner: &Owner) -> bool {
        let key = self.public_key.known().is_some_and(|key| **key == found.public_key);
        let ipv4 = self.ipv4.known().is_some_and(|ipv4| **ipv4 == found.ipv4);
        key && ipv4 && found.owner == owner.as_str()
    }
}

fn error_at(attribute: &str, summary: String) -> Diagnostics {
    Diagnostic::error(summary).at(attribute).into()
}
