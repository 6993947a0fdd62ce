//! What can be said of a gateway before it is applied: its link, the combinations that cannot work, and what will follow.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use contract::{Document, Egress, Name};
use ipnet::Ipv4Net;
use tfplugin5::{Attr, Diagnostic, Diagnostics, Model, Path, PlanContext, Spelled};

use super::{ADDRESS6, Gateway, IPV4_PREFIX, KEEPALIVE_SECS, MTU_BYTES, POOL6, dns64};
use crate::attributes::Link;
use crate::provider::diagnose;

impl Gateway {
    /// Checks the configuration as far as it is known, by the document's own rules.
    pub(super) fn check(&self, diagnostics: &mut Diagnostics) {
        if self.public_key.known().is_some() && self.rotate.known().is_some() {
            let summary = "rotate draws keys, but public_key says that they are made elsewhere; leave one of them out";
            diagnostics.push(Diagnostic::error(summary).at("rotate"));
        }
        match self.as_document() {
            Ok(Some(document)) => {
                if let Err(invalid) = document.validate() {
                    diagnostics.append(diagnose(&invalid));
                    return;
                }
                for gateway in document.gateways.values() {
                    let refused = gateway.dns64.as_ref().map(|entry| dns64::check_policy(entry, gateway.pool6));
                    diagnostics.keep(refused.transpose());
                }
            }
            Ok(None) => {}
            Err(problems) => diagnostics.append(problems),
        }
    }

    /// A document of this gateway alone. Where it says nothing yet, the default stands in, which is never wrong.
    fn as_document(&self) -> Result<Option<Document>, Diagnostics> {
        let egress = if self.knows_egress() { self.to_egress()? } else { Egress::default() };
        let dns64 = settled(&self.dns64).map(|dns64| dns64.to_entry(&Path::attribute("dns64"))).transpose()?;
        let policy = settled(&self.policy).map(|policy| policy.to_entry(&Path::attribute("policy"))).transpose()?;
        Ok(self.without_options().map(|mut document| {
            for gateway in document.gateways.values_mut() {
                (gateway.egress, gateway.dns64, gateway.policy) = (egress.clone(), dns64.clone(), policy.clone());
            }
            document
        }))
    }

    fn knows_egress(&self) -> bool {
        let pool4 = self.pool4.clone().into_value();
        !self.egress.is_unknown() && !self.egress_ports.is_unknown() && pool4.is_wholly_known()
    }

    fn without_options(&self) -> Option<Document> {
        let entry = contract::Gateway {
            public_key: ANY_KEY.parse().ok()?,
            private_key: None,
            pool6: known_or(&self.pool6, POOL6)?,
            address6: known_or(&self.address6, ADDRESS6)?,
            ipv4_prefix: known_or(&self.ipv4_prefix, IPV4_PREFIX)?,
            mtu: self.mtu.known().copied().unwrap_or(MTU_BYTES),
            keepalive_secs: self.keepalive_secs.known().copied().unwrap_or(KEEPALIVE_SECS),
            egress: Egress::default(),
            dns64: None,
            discovery: None,
            policy: None,
            owner: String::new(),
            groups: BTreeMap::new(),
            peers: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        let name: Name = known_or(&self.name, "gateway")?;
        Some(Document { gateways: BTreeMap::from([(name, entry)]), ..Document::default() })
    }

    pub(super) fn complete_plan(&mut self, cx: &mut PlanContext<'_, Self>) {
        self.plan_keys(cx);
        self.plan_ports(cx);
        // A replaced gateway takes its peers along: as long as it has any, it cannot be removed.
        self.id = if cx.replaces { Attr::Unknown } else { self.name.clone() };
        self.link = self.to_link();
        let Some(prior) = cx.prior else { return };
        if self.public_key != prior.public_key {
            let attribute = if cx.config.public_key.is_null() { "rotate" } else { "public_key" };
            cx.diagnostics.push(key_change().at(attribute));
        }
    }

    /// Keys that Terraform makes appear and go with the author's own.
    fn plan_keys(&mut self, cx: &PlanContext<'_, Self>) {
        match (&cx.config.public_key, cx.prior) {
            (Attr::Known(_), _) => self.private_key = Attr::Null,
            (Attr::Unknown, _) => self.private_key = Attr::Unknown,
            // The author's key is gone from the configuration: from now on they are ours.
            (Attr::Null, Some(prior)) if prior.private_key.is_null() => {
                (self.public_key, self.private_key) = (Attr::Unknown, Attr::Unknown);
            }
            (Attr::Null, _) => {}
        }
    }

    /// What peers have to know, as far as it is known; in one spelling, so that an author's other one changes nothing.
    pub(super) fn to_link(&self) -> Attr<Link> {
        Attr::Known(Link {
            id: self.id.clone(),
            public_key: self.public_key.map(|key| Spelled::from(**key)),
            pool6: self.pool6.map(|pool6| Spelled::from(**pool6)),
            address6: self.address6.map(|address| Spelled::from(**address)),
            address4: self.ipv4_prefix.map(|prefix| Spelled::from(address4(**prefix))),
        })
    }
}

/// A block that is there, and known in all its parts.
fn settled<M: Model>(block: &Attr<M>) -> Option<&M> {
    block.known().filter(|block| M::clone(block).encode().is_wholly_known())
}

/// A key for a document that is only checked.
const ANY_KEY: &str = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn known_or<T: FromStr + Clone>(given: &Attr<Spelled<T>>, default: &str) -> Option<T> {
    given.known().map_or_else(|| default.parse().ok(), |spelled| Some(T::clone(spelled)))
}

/// The gateway's own address: the first one that a host may have.
fn address4(prefix: Ipv4Net) -> Ipv4Addr {
    prefix.hosts().next().unwrap_or_else(|| prefix.network())
}

fn key_change() -> Diagnostic {
    Diagnostic::warning("the gateway's key changes, and with it the user_data of every one of its servers").detail(
        "Terraform replaces a hcloud_server whose user_data changes. To keep servers that run, give them \
         lifecycle { ignore_changes = [user_data] } and bring them the new wireguard_config yourself.",
    )
}

#[cfg(test)]
mod tests {
    use tfplugin5::Value;
    use tfplugin5::testing::{accepts, object, plan};

    use super::*;

    #[test]
    fn the_schema_is_sound() {
        assert_eq!(Gateway::schema().check(), Ok(()));
    }

    #[test]
    fn the_link_and_the_translator_agree_on_the_gateways_address() {
        let prefix: Ipv4Net = "10.64.0.0/12".parse().unwrap();

        let document = Gateway { ipv4_prefix: Spelled::from(prefix).into(), ..unset() }.as_document().unwrap().unwrap();

        assert_eq!(document.gateways.values().next().unwrap().address4(), address4(prefix));
    }

    #[test]
    fn defaults_are_a_valid_gateway() {
        let mut diagnostics = Diagnostics::default();

        unset().check(&mut diagnostics);

        assert_eq!(diagnostics, Diagnostics::default());
    }

    #[test]
    fn only_the_key_of_a_new_gateway_is_unknown_to_its_peers() {
        let planned = plan::<Gateway>(&Value::Null, &home(), b"").unwrap().value;

        let link = planned.attribute("link");
        assert_eq!(link.attribute("public_key"), &Value::Unknown);
        assert_eq!(link.attribute("id"), &Value::from("home"));
        assert_eq!(link.attribute("address4"), &Value::from("198.18.0.1"));
    }

    #[test]
    fn a_gateway_that_replaces_another_takes_the_peers_along() {
        let planned = plan::<Gateway>(&Value::Null, &home(), b"its predecessor's mark").unwrap().value;

        assert_eq!(planned.attribute("link").attribute("id"), &Value::Unknown);
    }

    #[test]
    fn tuning_the_tunnel_leaves_the_link_alone() {
        let config = object([("name", "home".into()), ("mtu", 1280.into()), ("keepalive_secs", 0.into())]);

        let planned = plan::<Gateway>(&made(KEY), &config, b"").unwrap();

        assert_eq!(planned.value.attribute("link"), made(KEY).attribute("link"));
        assert_eq!((planned.requires_replace, planned.diagnostics), (Vec::new(), Diagnostics::default()));
    }

    #[test]
    fn whatever_changes_the_key_warns_at_its_attribute() {
        let other = object([("name", "home".into()), ("public_key", ANY_KEY.into())]);
        let rotated = object([("name", "home".into()), ("rotate", object([("year", "2027".into())]))]);
        let warned_at = |config| {
            let planned = plan::<Gateway>(&made(KEY), &config, b"").unwrap();
            assert_eq!(accepts::<Gateway>(&made(KEY), &config, &planned.value), Ok(()));
            planned.diagnostics.0.first().and_then(|warning| warning.path.clone())
        };

        assert_eq!(warned_at(other), Some(Path::attribute("public_key")));
        assert_eq!(warned_at(rotated), Some(Path::attribute("rotate")));
        assert_eq!(warned_at(home()), None);
    }

    #[test]
    fn a_second_plan_is_empty() {
        assert_eq!(plan::<Gateway>(&made(KEY), &home(), b"").unwrap().value, made(KEY));
    }

    const KEY: &str = "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=";

    fn home() -> Value {
        object([("name", "home".into())])
    }

    /// The state of a gateway whose pair of keys Terraform made.
    fn made(key: &str) -> Value {
        let planned = plan::<Gateway>(&Value::Null, &home(), b"").unwrap().value;
        let Ok(mut gateway) = Gateway::decode(planned, &Path::default()) else { unreachable!("a plan decodes") };
        gateway.public_key = Spelled::from(key.parse::<contract::PublicKey>().unwrap()).into();
        gateway.private_key = tfplugin5::Secret::new("made at apply".to_owned()).into();
        gateway.link = gateway.to_link();
        gateway.encode()
    }

    fn unset() -> Gateway {
        Gateway::decode(object([]), &Path::default()).unwrap_or_else(|_| unreachable!("nothing is wrong yet"))
    }
}
