//! `hetznat_gateway`: the translator at home, as an entry of the document that servers' entries hang on.

mod discovery;
mod dns64;
mod egress;
mod keep;
mod plan;
mod policy;

use std::net::Ipv6Addr;

use contract::{Document, EgressMode, Name, Pool6, PortRange, PrivateKey, PublicKey};
use ipnet::Ipv4Net;
use tfplugin5::{
    Attr, Context, Diagnostic, Diagnostics, Path, PlanContext, Resource, Secret, Spelled, block, computed, model,
    optional, required,
};

use crate::attributes::{Link, Net4, Rotate};
use crate::entry::{Owner, draw_key, list};
use crate::list::{List, given};
use crate::provider::Client;

use self::discovery::Discovery;
use self::dns64::Dns64;
pub(crate) use self::dns64::attribute;
use policy::Policy;

const POOL6: &str = "64:ff9b::/96";
const ADDRESS6: &str = "fd64:ff9b::1";
/// Benchmarking space (RFC 2544): in no home network, and not Tailscale's either.
const IPV4_PREFIX: &str = "198.18.0.0/16";
/// 1500, less IPv6, UDP, WireGuard and PPPoE.
const MTU_BYTES: u16 = 1412;
/// WireGuard's own advice for a peer behind a NAT.
const KEEPALIVE_SECS: u16 = 25;

model! {
    /// The translator at home, usually a Raspberry Pi.
    pub(crate) struct Gateway {
        /// Its name: letters, digits and hyphens.
        name: Spelled<Name> = required().replace(),
        /// The key that `hetznat-translator keygen` printed on the gateway: then no secret of it enters Terraform. If left
        /// out, Terraform makes the pair and the state document holds the private half.
        public_key: Spelled<PublicKey> = optional().or_computed().renew_on(&["rotate"]),
        /// The private half, if Terraform made the pair.
        private_key: Secret = computed().sensitive().renew_on(&["rotate"]),
        /// The prefix that stands for IPv4 (RFC 6052).
        pool6: Spelled<Pool6> = optional().default(POOL6).replace(),
        /// The gateway's IPv6 address inside the tunnel.
        address6: Spelled<Ipv6Addr> = optional().default(ADDRESS6).replace(),
        /// Where the servers' IPv4 addresses inside the tunnel come from.
        ipv4_prefix: Spelled<Ipv4Net> = optional().default(IPV4_PREFIX).replace(),
        /// The MTU of the tunnel on the gateway, in bytes.
        mtu: u16 = optional().default(i64::from(MTU_BYTES)),
        /// How often the gateway shows a silent server that it is there, in seconds; 0 is never.
        keepalive_secs: u16 = optional().default(i64::from(KEEPALIVE_SECS)),
        /// How translated packets leave: `masquerade` behind the kernel's own NAT, `shared` from the uplink's address and
        /// `egress_ports` of it, `routed` from `pool4`. With the latter two no second NAT stands behind the gateway's.
        egress: Spelled<EgressMode> = optional().default("masquerade"),
        /// The ports of the uplink's address that belong to the peers, with `egress = "shared"`. The machine's own programs
        /// leave them alone. Default: `49152-65535`.
        egress_ports: Spelled<PortRange> = optional().or_computed(),
        /// The IPv4 prefixes that are routed to the gateway, with `egress = "routed"`.
        pool4: List<Net4> = optional(),
        /// Any values. A change draws a new pair of keys, which changes the `user_data` of every server.
        rotate: Rotate = optional(),
        /// The name.
        id: Spelled<Name> = computed(),
        /// What a `hetznat_peer` has to know of its gateway: `gateway = hetznat_gateway.home.link`.
        link: Link = computed(),
        /// Whether the state document says what this resource says. If not, the next apply writes it again.
        published: bool = computed().default(true),
        /// What peers may reach. Without it nothing private, and no mail.
        policy: Policy = block(),
        /// How the gateway finds servers by their labels: those whose `hetznat_peer` has no endpoint.
        discovery: Discovery = block(),
        /// Names for servers with `dns = "gateway"`, and for the LAN. Without it the gateway resolves none.
        dns64: Dns64 = block(),
    }
}

impl Resource for Gateway {
    const TYPE_NAME: &'static str = "hetznat_gateway";
    type Client = Client;

    fn validate(config: &Self, diagnostics: &mut Diagnostics) {
        config.check(diagnostics);
    }

    fn plan(planned: &mut Self, cx: &mut PlanContext<'_, Self>) {
        planned.complete_plan(cx);
    }

    async fn create(planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let state = planned.with_keys()?;
        let owner = Owner::draw()?;
        let (name, entry) = (state.name()?.clone(), state.to_entry(&owner)?);
        cx.client.edit(move |document| insert(document, &name, &entry)).await?;
        cx.private = owner.to_private();
        Ok(state)
    }

    async fn read(prior: Self, cx: &mut Context<Client>) -> Result<Option<Self>, Diagnostics> {
        let document = cx.client.document().await?;
        let owner = Owner::of_private(&cx.private);
        let wanted = prior.to_entry(&owner)?;
        let found = document.gateways.get(prior.name()?).filter(|found| same_gateway(found, &wanted));
        // Never gone: the keys live in Terraform's state, and making the gateway anew would change every server.
        Ok(Some(match found {
            Some(found) => prior.read_back(found, &wanted),
            None => Self { published: false.into(), ..prior },
        }))
    }

    async fn update(_: Self, planned: Self, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let state = planned.with_keys()?;
        let owner = Owner::of_private(&cx.private);
        let (name, entry) = (state.name()?.clone(), state.to_entry(&owner)?);
        cx.client.edit(move |document| replace(document, &name, &entry)).await?;
        Ok(state)
    }

    async fn delete(prior: Self, cx: &mut Context<Client>) -> Result<(), Diagnostics> {
        let (name, owner) = (prior.name()?.clone(), Owner::of_private(&cx.private));
        cx.client.edit(move |document| remove(document, &name, &owner)).await
    }

    async fn import(id: String, cx: &mut Context<Client>) -> Result<Self, Diagnostics> {
        let name: Name = id.parse().map_err(|error| {
            Diagnostic::error(format!(
                "the id of a gateway is its name, and \"{}\" is none: {error}",
                id.escape_debug()
            ))
        })?;
        let document = cx.client.document().await?;
        let missing = || {
            let known = list(document.gateways.keys());
            Diagnostic::error(format!("there is no gateway {name} in the state document; it has {known}"))
        };
        let entry = document.gateways.get(&name).ok_or_else(missing)?;
        cx.private = entry.owner.clone().into_bytes();
        Ok(Self::from_entry(&name, entry))
    }
}

impl Gateway {
    fn name(&self) -> Result<&Name, Diagnostics> {
        Ok(self.name.get()?)
    }

    /// Draws the pair of keys if the plan left them open.
    fn with_keys(mut self) -> Result<Self, Diagnostics> {
        if self.public_key.is_unknown() {
            let key = draw_key()?;
            self.public_key = Spelled::from(key.public_key()).into();
            self.private_key = Secret::new(key.to_base64()).into();
        } else if self.private_key.is_unknown() {
            self.private_key = Attr::Null;
        }
        self.settle_ports();
        self.id = self.name.clone();
        self.link = self.to_link();
        Ok(self)
    }

    /// This gateway as the document has it, in everything that can change in place. What means the same keeps its spelling.
    fn read_back(mut self, found: &contract::Gateway, wanted: &contract::Gateway) -> Self {
        self.mtu = found.mtu.into();
        self.keepalive_secs = found.keepalive_secs.into();
        self.published = true.into();
        if found.egress != wanted.egress {
            self.set_egress(&found.egress);
        }
        if keep::known_policy(found.policy.as_ref()) != wanted.policy {
            self.policy = given(found.policy.as_ref().map(Policy::from_entry));
        }
        if keep::known_discovery(found.discovery.as_ref()) != wanted.discovery {
            self.discovery = given(found.discovery.as_ref().map(Discovery::from_entry));
        }
        if keep::known_dns64(found.dns64.as_ref()) != wanted.dns64 {
            self.dns64 = given(found.dns64.as_ref().map(Dns64::from_entry));
        }
        self
    }

    /// What the document says of this gateway; without peers, which have resources of their own.
    fn to_entry(&self, owner: &Owner) -> Result<contract::Gateway, Diagnostics> {
        let name = self.name()?;
        Ok(contract::Gateway {
            public_key: **self.public_key.get()?,
            private_key: self.private_key.known().map(parse_key).transpose()?,
            pool6: **self.pool6.get()?,
            mtu: *self.mtu.get()?,
            keepalive_secs: *self.keepalive_secs.get()?,
            address6: **self.address6.get()?,
            ipv4_prefix: **self.ipv4_prefix.get()?,
            egress: self.to_egress()?,
            dns64: self.dns64.known().map(|dns64| dns64.to_entry(&Path::attribute("dns64"))).transpose()?,
            discovery: self.discovery.known().map(|discovery| discovery.to_entry(name)),
            policy: self.policy.known().map(|policy| policy.to_entry(&Path::attribute("policy"))).transpose()?,
            owner: owner.as_str().to_owned(),
            groups: Default::default(),
            peers: Default::default(),
            other: Default::default(),
        })
    }

    fn from_entry(name: &Name, entry: &contract::Gateway) -> Self {
        let mut gateway = Self {
            name: Spelled::from(name.clone()).into(),
            public_key: Spelled::from(entry.public_key).into(),
            private_key: entry.private_key.as_ref().map_or(Attr::Null, |key| Secret::new(key.to_base64()).into()),
            pool6: Spelled::from(entry.pool6).into(),
            address6: Spelled::from(entry.address6).into(),
            ipv4_prefix: Spelled::from(entry.ipv4_prefix).into(),
            mtu: entry.mtu.into(),
            keepalive_secs: entry.keepalive_secs.into(),
            egress: Attr::Null,
            egress_ports: Attr::Null,
            pool4: Attr::Null,
            rotate: Attr::Null,
            id: Spelled::from(name.clone()).into(),
            link: Link::of_entry(name, entry).into(),
            published: true.into(),
            discovery: given(entry.discovery.as_ref().map(Discovery::from_entry)),
            policy: given(entry.policy.as_ref().map(Policy::from_entry)),
            dns64: given(entry.dns64.as_ref().map(Dns64::from_entry)),
        };
        gateway.set_egress(&entry.egress);
        gateway
    }
}

/// Whether the document's entry is this gateway in everything that cannot change in place. What can change is read back
/// instead, and shows as an ordinary difference.
fn same_gateway(found: &contract::Gateway, wanted: &contract::Gateway) -> bool {
    found.owner == wanted.owner
        && found.public_key == wanted.public_key
        && found.private_key == wanted.private_key
        && found.pool6 == wanted.pool6
        && found.address6 == wanted.address6
        && found.ipv4_prefix == wanted.ipv4_prefix
}

fn insert(document: &mut Document, name: &Name, entry: &contract::Gateway) -> Result<(), Diagnostics> {
    if document.gateways.contains_key(name) {
        return Err(clash(name));
    }
    document.gateways.insert(name.clone(), entry.clone());
    Ok(())
}

/// Writes the entry, again if it is gone; its peers, and keys of later versions, stay.
fn replace(document: &mut Document, name: &Name, entry: &contract::Gateway) -> Result<(), Diagnostics> {
    let entry = match document.gateways.remove(name) {
        Some(found) if found.owner != entry.owner => return Err(clash(name)),
        Some(found) => keep::with_what_is_not_ours(entry.clone(), found),
        None => entry.clone(),
    };
    document.gateways.insert(name.clone(), entry);
    Ok(())
}

fn remove(document: &mut Document, name: &Name, owner: &Owner) -> Result<(), Diagnostics> {
    let Some(found) = document.gateways.get(name).filter(|found| found.owner == owner.as_str()) else { return Ok(()) };
    if !found.peers.is_empty() || !found.groups.is_empty() {
        let peers = list(found.peers.keys().chain(found.groups.keys()));
        let summary = format!("gateway {name} still has peers: {peers}; destroy them first, where they are declared");
        return Err(Diagnostic::error(summary).into());
    }
    document.gateways.remove(name);
    Ok(())
}

fn clash(name: &Name) -> Diagnostics {
    Diagnostic::error(format!("gateway {name} already exists in the state document; import it, or choose another name"))
        .detail(format!(
            "To manage the existing one here: terraform import hetznat_gateway.<resource> {name}\n\
             A gateway cannot be replaced with create_before_destroy under the same name."
        ))
        .at("name")
        .into()
}

fn parse_key(text: &Secret) -> Result<PrivateKey, Diagnostics> {
    text.expose().parse().map_err(|error| {
        Diagnostic::error(format!("private_key in Terraform's state is damaged: {error}")).at("private_key").into()
    })
}
