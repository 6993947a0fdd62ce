//! `hetznat_peer_group`: any number of servers with the same user data. Each makes its own key of the group's secret and of
//! its instance id, and the gateway makes the same for every server that it finds by the group's labels.

mod plan;

use std::collections::BTreeMap;

use cloud_init::Format;
use contract::{Document, GroupSecret, LabelSelector, MemberAddresses, Name};
use tfplugin5::{
    Attr, Context, Diagnostic, Diagnostics, PlanContext, Resource, Secret, Spelled, computed, model, optional, required,
};

use crate::attributes::{Dns, Link, Rotate};
use crate::entry::{Owner, draw_secret, full_name, list, no_gateway, parse_id};
use crate::provider::Client;

/// What is in `user_data`.
const FIRST_BOOT: [&str; 7] =
    ["rotate", "gateway", "dns", "extra_user_data", "metadata_guard", "docker", "render_format"];

model! {
    /// Any number of servers with the same user data, as an autoscaler makes them.
    pub(crate) struct PeerGroup {
        /// Its name: letters, digits and hyphens, at most 46.
        name: Spelled<Name> = required().replace(),
        /// The gateway to use: `hetznat_gateway.home.link`.
        gateway: Link = required().replace_on("id"),
        /// Which servers of the project are members, as Hetzner's API takes it. Default: those with the group's `labels`.
        label_selector: Spelled<LabelSelector> = optional(),
        /// Who resolves names for the servers: `public` DNS64 over native IPv6, or the `gateway`.
        dns: Spelled<Dns> = optional().default("public"),
        /// The servers' own user data, of any kind that cloud-init takes: text, MIME, gzip, base64. `user_data` carries both.
        extra_user_data: String = optional(),
        /// Whether only root on the servers may ask Hetzner's metadata service, which tells `user_data` and with it the secret.
        metadata_guard: bool = optional(),
        /// Whether Docker on the servers is configured, unless it is already: containers prefer native IPv6.
        docker: bool = optional(),
        /// How `user_data` is rendered: 1 is plain text without `extra_user_data`, 2 is compressed. Default: the newest, which
        /// stays for the group's whole life.
        render_format: u16 = optional().or_computed(),
        /// Any values. A change draws a new secret, which changes `user_data`.
        rotate: Rotate = optional(),
        /// Whether servers that were created before the last rotation stay members. Set it to `false` once they are replaced.
        accept_previous: bool = optional().default(true),
        /// The gateway's id and the name: `home/workers`.
        id: String = computed(),
        /// What members make their keys of.
        secret: Secret = computed().sensitive().renew_on(&["rotate"]),
        /// What those make their keys of that were created before the last rotation.
        previous_secret: Secret = computed().sensitive().renew_on(&["rotate", "accept_previous"]),
        /// What makes any server a member at its first boot.
        user_data: Secret = computed().sensitive().renew_on(&FIRST_BOOT),
        /// Labels for the servers, by which they are found.
        labels: BTreeMap<String, Attr<String>> = computed(),
        /// Whether the state document says what this resource says. If not, the next apply writes it again.
        published: bool = computed().default(true),
    }
}

impl Resource for PeerGroup {
    const TYPE_NAME: &'static str = "hetznat_peer_group";
    type Client = Client;

    fn plan(planned: &mut Self, cx: &mut PlanContext<'_, Self>) {
        planned.complete_plan(cx);
    }

    async fn create(planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let (state, owner) = (planned.with_secrets(None)?, Owner::draw()?);
        let mark = owner.clone();
        let publish = move |document: &mut Document| {
            if state.find(document)?.is_some() {
                return Err(clash(state.gateway_id()?, state.name.get()?));
            }
            state.clone().publish(document, &mark)
        };
        let state = cx.client.edit(publish).await?;
        cx.private = owner.to_private();
        Ok(state)
    }

    async fn read(prior: Self, cx: &mut Context<Client>) -> Result<Option<Self>, Diagnostics> {
        let document = cx.client.document().await?;
        let wanted = prior.to_entry(&Owner::of_private(&cx.private))?;
        let same = |found: &&contract::Group| {
            found.owner == wanted.owner
                && found.secret == wanted.secret
                && found.previous_secret == wanted.previous_secret
        };
        // Never gone: the secret lives in Terraform's state, and a new one would shut every member out.
        let Some(found) = prior.find(&document)?.filter(same) else {
            return Ok(Some(Self { published: false.into(), ..prior }));
        };
        let is_as_wanted = found.label_selector == wanted.label_selector;
        let selector = Spelled::from(found.label_selector.clone()).into();
        let label_selector = if is_as_wanted { prior.label_selector } else { selector };
        Ok(Some(Self { label_selector, published: true.into(), ..prior }))
    }

    async fn update(prior: Self, planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let state = planned.with_secrets(Some(&prior))?;
        let owner = Owner::of_private(&cx.private);
        let publish = move |document: &mut Document| {
            let foreign = state.find(document)?.is_some_and(|found| found.owner != owner.as_str());
            if foreign {
                Err(clash(state.gateway_id()?, state.name.get()?))
            } else {
                state.clone().publish(document, &owner)
            }
        };
        cx.client.edit(publish).await
    }

    async fn delete(prior: Self, cx: &mut Context<Client>) -> Result<(), Diagnostics> {
        let owner = Owner::of_private(&cx.private);
        let remove = move |document: &mut Document| {
            if prior.find(document)?.is_some_and(|found| found.owner == owner.as_str())
                && let Some(gateway) = document.gateways.get_mut(prior.gateway_id()?)
            {
                gateway.groups.remove(&**prior.name.get()?);
            }
            Ok(())
        };
        cx.client.edit(remove).await
    }

    async fn import(id: String, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let document = cx.client.document().await?;
        let (gateway, name) = parse_id("group", &id)?;
        let entry = document.gateways.get(&gateway).ok_or_else(|| no_gateway(&gateway))?;
        let missing = || {
            let known = list(entry.groups.keys());
            Diagnostic::error(format!("there is no group {name} in gateway {gateway}; it has {known}"))
        };
        let found = entry.groups.get(&name).ok_or_else(missing)?;
        cx.private = found.owner.clone().into_bytes();
        Ok(Self::from_entry(name, Link::of_entry(&gateway, entry), found))
    }
}

impl PeerGroup {
    fn gateway_id(&self) -> Result<&Name, Diagnostics> {
        Ok(self.gateway.get()?.id.get()?)
    }

    fn find<'a>(&self, document: &'a Document) -> Result<Option<&'a contract::Group>, Diagnostics> {
        let (gateway, name) = (document.gateways.get(self.gateway_id()?), self.name.get()?);
        Ok(gateway.and_then(|gateway| gateway.groups.get(&**name)))
    }

    /// Draws the secret if the plan left it open; what there was before becomes the previous one, if that is wanted.
    fn with_secrets(mut self, prior: Option<&Self>) -> Result<Self, Diagnostics> {
        let rotated = self.secret.is_unknown();
        if rotated {
            self.secret = Secret::new(draw_secret()?.to_base64()).into();
        }
        if self.previous_secret.is_unknown() {
            let before = prior.map(|prior| if rotated { &prior.secret } else { &prior.previous_secret });
            let wanted = before.filter(|_| *self.accept_previous.known().unwrap_or(&true));
            self.previous_secret = wanted.cloned().unwrap_or(Attr::Null);
        }
        Ok(self)
    }

    /// Writes the entry, again if it is gone, and renders what follows from it.
    fn publish(mut self, document: &mut Document, owner: &Owner) -> Result<Self, Diagnostics> {
        let (id, name) = (self.gateway_id()?.clone(), Name::clone(self.name.get()?));
        let gateway = document.gateways.get_mut(&id).ok_or_else(|| no_gateway(&id))?;
        let other = gateway.groups.remove(&name).map(|found| found.other).unwrap_or_default();
        let addresses = MemberAddresses::of(gateway.ipv4_prefix);
        gateway.groups.insert(name, contract::Group { other, ..self.to_entry(owner)? });
        self.name_it();
        self.render(addresses)?;
        Ok(self)
    }

    fn render(&mut self, addresses: MemberAddresses) -> Result<(), Diagnostics> {
        if !self.user_data.is_unknown() {
            return Ok(());
        }
        let (link, secret) = (self.gateway.get()?, parse_secret(self.secret.get()?)?);
        let members = cloud_init::Members {
            group: self.name.get()?,
            gateway_name: link.id.get()?.as_ref(),
            secret: &secret,
            addresses,
            gateway_public_key: **link.public_key.get()?,
            pool6: link.pool6.get()?,
            address6: **link.address6.get()?,
            address4: **link.address4.get()?,
            dns: (**self.dns.get()?).into(),
        };
        let user_data = cloud_init::member_user_data(&members, &self.wishes().first_boot()?)
            .map_err(|error| Diagnostic::error(error.to_string()))?;
        self.user_data = Secret::new(user_data).into();
        Ok(())
    }

    /// What the document says of it.
    fn to_entry(&self, owner: &Owner) -> Result<contract::Group, Diagnostics> {
        let own = self.label_selector.known().map(|selector| LabelSelector::clone(selector));
        Ok(contract::Group {
            secret: parse_secret(self.secret.get()?)?,
            previous_secret: self.previous_secret.known().map(parse_secret).transpose()?,
            label_selector: match own {
                Some(selector) => selector,
                None => plan::own_selector(self.gateway_id()?, self.name.get()?),
            },
            owner: owner.as_str().to_owned(),
            other: Default::default(),
        })
    }

    /// The group that an import names; the document has its secrets.
    fn from_entry(name: Name, link: Link, found: &contract::Group) -> Self {
        let mut state = Self {
            name: Spelled::from(name).into(),
            gateway: link.into(),
            label_selector: Spelled::from(found.label_selector.clone()).into(),
            dns: Spelled::from(Dns::Public).into(),
            extra_user_data: Attr::Null,
            metadata_guard: Attr::Null,
            docker: Attr::Null,
            render_format: Format::default().number().into(),
            rotate: Attr::Null,
            accept_previous: true.into(),
            id: Attr::Null,
            secret: Secret::new(found.secret.to_base64()).into(),
            previous_secret: found
                .previous_secret
                .as_ref()
                .map_or(Attr::Null, |secret| Secret::new(secret.to_base64()).into()),
            user_data: Attr::Null,
            labels: Attr::Null,
            published: true.into(),
        };
        state.name_it();
        state
    }
}

fn parse_secret(text: &Secret) -> Result<GroupSecret, Diagnostics> {
    text.expose().parse().map_err(|error| {
        let summary = format!("the secret in Terraform's state is damaged: {error}; set rotate to draw a new one");
        Diagnostic::error(summary).at("secret").into()
    })
}

fn clash(gateway: &Name, name: &Name) -> Diagnostics {
    let id = full_name(gateway, name);
    Diagnostic::error(format!("group {name} already exists in gateway {gateway}; import it, or choose another name"))
        .detail(format!("To manage the existing one here: terraform import hetznat_peer_group.<resource> {id}"))
        .at("name")
        .into()
}
