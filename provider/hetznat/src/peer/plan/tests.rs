//! Plans of a peer, without Terraform and held to its rules.

use proptest::prelude::*;
use tfplugin5::testing::{accepts, object, plan};
use tfplugin5::{Model as _, Path, Step, Value};

use super::super::Peer;

#[test]
fn the_schema_is_sound() {
    assert_eq!(Peer::schema().check(), Ok(()));
}

#[test]
fn a_new_peer_shows_what_can_be_known() {
    let planned = plan::<Peer>(&Value::Null, &config(), b"").unwrap().value;

    assert_eq!(planned.attribute("id"), &Value::from("home/web"));
    assert_eq!(planned.attribute("prefix"), &Value::from("2001:db8:1:2::/64"));
    assert_eq!(planned.attribute("published"), &Value::from(true));
    for unknown in ["ipv4", "public_key", "private_key", "user_data", "wireguard_config"] {
        assert_eq!(planned.attribute(unknown), &Value::Unknown, "{unknown}");
    }
}

#[test]
fn an_unknown_endpoint_leaves_the_prefix_open() {
    let planned = plan::<Peer>(&Value::Null, &with(config(), "endpoint", Value::Unknown), b"").unwrap().value;

    assert_eq!(planned.attribute("prefix"), &Value::Unknown);
    assert_eq!(planned.attribute("id"), &Value::from("home/web"));
}

#[test]
fn only_keys_addresses_and_dns_change_the_user_data() {
    let renews = |attribute: &str, value: Value| {
        let planned = plan::<Peer>(&state(), &with(config(), attribute, value), b"").unwrap();
        assert_eq!(planned.requires_replace, []);
        *planned.value.attribute("user_data") == Value::Unknown
    };

    assert!(!renews("endpoint", "2001:db8:1:7::/64".into()));
    assert!(!renews("prefix", "2001:db8:1:7::/64".into()));
    assert!(renews("ipv4", "198.18.0.9".into()));
    assert!(renews("dns", "gateway".into()));
    assert!(renews("rotate", object([("quarter", "2026-Q4".into())])));
    assert!(renews("gateway", link("home", Value::Unknown)));
    assert!(renews("extra_user_data", "#!/bin/sh\n".into()));
    assert!(renews("render_format", 1.into()));
    assert!(renews("metadata_guard", true.into()));
    assert!(renews("docker", true.into()));
}

#[test]
fn only_another_gateway_replaces_not_the_same_with_another_key() {
    let replaced_by =
        |gateway| plan::<Peer>(&state(), &with(config(), "gateway", gateway), b"").unwrap().requires_replace;

    assert_eq!(replaced_by(link("home", OTHER_KEY.into())), []);
    let id = || [Path::attribute("gateway").then(Step::Attribute("id".to_owned()))];
    assert_eq!(replaced_by(link("cabin", KEY.into())), id());
    assert_eq!(replaced_by(Value::Unknown), id());
}

#[test]
fn an_imported_peer_has_no_key_and_that_is_no_difference() {
    let imported = ["private_key", "user_data", "wireguard_config"]
        .into_iter()
        .fold(state(), |state, attribute| with(state, attribute, Value::Null));

    assert_eq!(plan::<Peer>(&imported, &config(), b"").unwrap().value, imported);
}

#[test]
fn public_resolvers_and_a_prefix_of_ones_own_do_not_go_together() {
    let gateway = with(link("home", KEY.into()), "pool6", "2001:db8:64::/96".into());

    let planned = plan::<Peer>(&Value::Null, &with(config(), "gateway", gateway), b"").unwrap();

    assert_eq!(planned.diagnostics.0[0].path, Some(Path::attribute("dns")));
}

#[test]
fn a_peer_keeps_the_format_it_was_made_with_until_it_is_told_otherwise() {
    let planned = |prior: &Value, config: &Value| plan::<Peer>(prior, config, b"").unwrap().value;
    let format = |value: &Value| value.attribute("render_format").clone();
    assert_eq!(format(&planned(&Value::Null, &config())), 2.into(), "a new peer gets the newest");

    for old in [Value::Null, 1.into()] {
        let before = with(state(), "render_format", old);
        assert_eq!(planned(&before, &config()), before, "nothing changes by itself");
        let opted_in = planned(&before, &with(config(), "render_format", 2.into()));
        assert_eq!(*opted_in.attribute("user_data"), Value::Unknown);
    }
}

#[test]
fn a_first_boot_that_cannot_be_is_an_error_at_its_attribute() {
    let complaint = |attribute: &str, config: Value| {
        let planned = plan::<Peer>(&Value::Null, &config, b"").unwrap();
        assert_eq!(planned.diagnostics.0[0].path, Some(Path::attribute(attribute)));
        planned.diagnostics.0[0].summary.clone()
    };

    let error = complaint("render_format", with(config(), "render_format", 7.into()));
    assert_eq!(error, "render_format must be 1 or 2 (got 7)");
    let error = complaint("extra_user_data", with(config(), "extra_user_data", "packages: []\n".into()));
    assert!(error.starts_with("extra_user_data begins with \"packages: []\", which cloud-init ignores"), "{error}");
    let script = with(config(), "extra_user_data", "#!/bin/sh\n".into());
    let error = complaint("extra_user_data", with(script, "render_format", 1.into()));
    assert!(error.contains("needs render_format = 2"), "{error}");
    let guarded = with(config(), "metadata_guard", true.into());
    let error = complaint("metadata_guard", with(guarded, "render_format", 1.into()));
    assert!(error.starts_with("metadata_guard needs render_format = 2"), "{error}");
}

proptest! {
    #[test]
    fn terraform_accepts_every_plan_and_a_second_one_is_empty(config in configs(), prior in prop_oneof![Just(Value::Null), Just(state())]) {
        let planned = plan::<Peer>(&prior, &config, b"").unwrap().value;
        prop_assert_eq!(accepts::<Peer>(&prior, &config, &planned), Ok(()));

        let applied = settle(planned);
        prop_assert_eq!(plan::<Peer>(&applied, &config, b"").unwrap().value, applied);
    }
}

const KEY: &str = "mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=";
const OTHER_KEY: &str = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn link(id: &str, public_key: Value) -> Value {
    object([
        ("id", id.into()),
        ("public_key", public_key),
        ("pool6", "64:ff9b::/96".into()),
        ("address6", "fd64:ff9b::1".into()),
        ("address4", "198.18.0.1".into()),
    ])
}

fn config() -> Value {
    object([("name", "web".into()), ("gateway", link("home", KEY.into())), ("endpoint", "2001:DB8:1:2::/64".into())])
}

/// What is in Terraform's state after `config` was applied.
fn state() -> Value {
    settle(plan::<Peer>(&Value::Null, &config(), b"").unwrap().value)
}

/// Gives what is computed the values that apply would.
fn settle(planned: Value) -> Value {
    let Value::Map(attributes) = planned else { return planned };
    let fill = |(name, value): (String, Value)| {
        let settled = match (name.as_str(), value) {
            ("ipv4", Value::Unknown) => "198.18.0.2".into(),
            ("public_key", Value::Unknown) => OTHER_KEY.into(),
            (_, Value::Unknown) => "made at apply".into(),
            (_, known) => known,
        };
        (name, settled)
    };
    Value::Map(attributes.into_iter().map(fill).collect())
}

fn with(object: Value, attribute: &str, value: Value) -> Value {
    let Value::Map(mut attributes) = object else { return object };
    attributes.insert(attribute.to_owned(), value);
    Value::Map(attributes)
}

/// Wholly known configurations, in several spellings.
fn configs() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["web", "db"]);
    let gateways =
        prop::sample::select(vec![link("home", KEY.into()), link("home", OTHER_KEY.into()), link("cabin", KEY.into())]);
    let endpoints = prop::sample::select(vec!["2001:db8:1:2::1", "2001:DB8:1:2::/64", "[2001:db8:1:3::5]:4000"]);
    let prefixes = prop::option::of(prop::sample::select(vec!["2001:db8:1:2::/64", "2001:db8:9::/64"]));
    let addresses = prop::option::of(prop::sample::select(vec!["198.18.0.2", "198.18.0.3"]));
    let dns = prop::option::of(prop::sample::select(vec!["public", "gateway"]));
    let extras = prop::option::of(Just("#!/bin/sh\n"));
    let strategies = (names, gateways, endpoints, prefixes, addresses, dns, extras);
    strategies.prop_map(|(name, gateway, endpoint, prefix, ipv4, dns, extra)| {
        let or_null = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        object([
            ("name", name.into()),
            ("gateway", gateway),
            ("endpoint", endpoint.into()),
            ("prefix", or_null(prefix)),
            ("ipv4", or_null(ipv4)),
            ("dns", or_null(dns)),
            ("extra_user_data", or_null(extra)),
        ])
    })
}
