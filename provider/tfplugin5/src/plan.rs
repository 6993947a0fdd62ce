//! From configuration and prior state to a plan, by the attributes' declarations alone.
//!
//! Invariants, each a rule of Terraform's core: what the author gave is planned as given (or as it already is, if that
//! means the same); what is computed is unknown at creation and keeps its value afterwards, unless something it renews on
//! changed; so a plan on top of an applied plan is that state again.

use crate::diagnostic::{Path, Step};
use crate::schema::{Attribute, Change, Schema};
use crate::value::Value;

/// The planned object. `prior` is null when the resource is to be created.
pub(crate) fn plan(schema: &Schema, prior: &Value, config: &Value) -> Value {
    let mut planned = schema
        .attributes
        .iter()
        .map(|attribute| (attribute.name.to_owned(), settle(attribute, prior, config.attribute(attribute.name))))
        .collect();
    if *prior == Value::Null {
        return Value::Map(planned);
    }
    for attribute in schema.attributes.iter().filter(|attribute| *config.attribute(attribute.name) == Value::Null) {
        let changed = |name: &&str| planned.get(*name).is_some_and(|value| value != prior.attribute(name));
        if attribute.behaviour.renew_on.iter().any(changed) {
            planned.insert(attribute.name.to_owned(), Value::Unknown);
        }
    }
    Value::Map(planned)
}

fn settle(attribute: &Attribute, prior: &Value, config: &Value) -> Value {
    let before = prior.attribute(attribute.name);
    if *config != Value::Null {
        let keep = *before != Value::Null && (attribute.same)(before, config);
        return if keep { before.clone() } else { config.clone() };
    }
    match &attribute.behaviour.default {
        Some(default) => default.clone(),
        None if !attribute.behaviour.is_computed() => Value::Null,
        None if *prior == Value::Null => Value::Unknown,
        None => before.clone(),
    }
}

/// The attributes whose change makes a new resource.
pub(crate) fn requires_replace(schema: &Schema, prior: &Value, planned: &Value) -> Vec<Path> {
    if *prior == Value::Null {
        return Vec::new();
    }
    let replaced = |attribute: &Attribute| {
        let (before, after) = (prior.attribute(attribute.name), planned.attribute(attribute.name));
        let path = Path::attribute(attribute.name);
        match attribute.behaviour.change {
            Change::InPlace => None,
            Change::Replaces => (before != after).then_some(path),
            Change::ReplacesOn(name) => {
                (before.attribute(name) != after.attribute(name)).then(|| path.then(Step::Attribute(name.to_owned())))
            }
        }
    };
    schema.attributes.iter().filter_map(replaced).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::attr::Spelled;
    use crate::schema::{computed, optional, required};
    use crate::testing::{accepts_schema, object};
    use crate::value::tests_support::values;

    type Link = BTreeMap<String, crate::Attr<String>>;

    fn door() -> Schema {
        let attributes = vec![
            Attribute::of::<String>("name", "Name.", required().replace()),
            Attribute::of::<Spelled<std::net::Ipv6Addr>>("endpoint", "Address.", optional()),
            Attribute::of::<u16>("mtu", "Size.", optional().default(1412)),
            Attribute::of::<Link>("rotate", "Any.", optional()),
            Attribute::of::<String>("key", "Key.", computed().renew_on(&["rotate"])),
            Attribute::of::<String>("config", "Text.", computed().sensitive().renew_on(&["key"])),
            Attribute::of::<bool>("published", "Whether.", computed().default(true)),
        ];
        Schema { description: "", attributes }
    }

    fn applied() -> Value {
        object([
            ("name", Value::from("web")),
            ("endpoint", Value::from("2001:DB8::1")),
            ("mtu", Value::from(1412)),
            ("rotate", Value::Null),
            ("key", Value::from("abc")),
            ("config", Value::from("key = abc")),
            ("published", Value::from(true)),
        ])
    }

    #[test]
    fn what_is_computed_is_unknown_at_creation_and_what_has_a_default_is_not() {
        let planned = plan(&door(), &Value::Null, &object([("name", Value::from("web"))]));

        assert_eq!(planned.attribute("key"), &Value::Unknown);
        assert_eq!(planned.attribute("mtu"), &Value::from(1412));
        assert_eq!(planned.attribute("published"), &Value::from(true));
        assert_eq!(planned.attribute("endpoint"), &Value::Null);
    }

    #[test]
    fn an_update_keeps_what_was_computed() {
        let config = object([("name", Value::from("web")), ("mtu", Value::from(1380))]);

        let planned = plan(&door(), &applied(), &config);

        assert_eq!(planned.attribute("key"), &Value::from("abc"));
        assert_eq!(planned.attribute("mtu"), &Value::from(1380));
        assert_eq!(requires_replace(&door(), &applied(), &planned), []);
    }

    #[test]
    fn renewal_reaches_what_depends_on_the_renewed() {
        let rotate = object([("quarter", Value::from("2026-Q4"))]);
        let config = object([("name", Value::from("web")), ("rotate", rotate)]);

        let planned = plan(&door(), &applied(), &config);

        assert_eq!(planned.attribute("key"), &Value::Unknown);
        assert_eq!(planned.attribute("config"), &Value::Unknown);
    }

    #[test]
    fn another_spelling_of_the_same_address_is_no_change() {
        let config = object([("name", Value::from("web")), ("endpoint", Value::from("2001:db8::1"))]);

        assert_eq!(plan(&door(), &applied(), &config), applied());
    }

    #[test]
    fn a_new_name_makes_a_new_resource() {
        let planned = plan(&door(), &applied(), &object([("name", Value::from("db"))]));

        assert_eq!(requires_replace(&door(), &applied(), &planned), [Path::attribute("name")]);
    }

    #[test]
    fn an_object_replaces_only_by_the_attribute_that_says_so() {
        let attribute =
            Attribute { ty: object_type(), ..Attribute::of::<Link>("gateway", "Link.", required().replace_on("id")) };
        let schema = Schema { description: "", attributes: vec![attribute] };
        let link = |id: Value, key: &str| object([("gateway", object([("id", id), ("key", Value::from(key))]))]);
        let prior = link(Value::from("home"), "a");

        let replaced = |config: Value| requires_replace(&schema, &prior, &plan(&schema, &prior, &config)).len();

        assert_eq!(replaced(link(Value::from("home"), "b")), 0);
        assert_eq!(replaced(link(Value::from("cabin"), "a")), 1);
        assert_eq!(replaced(link(Value::Unknown, "a")), 1);
        assert_eq!(replaced(object([("gateway", Value::Unknown)])), 1);
    }

    fn object_type() -> crate::Type {
        crate::Type::Object(["id", "key"].into_iter().map(|name| (name.to_owned(), crate::Type::String)).collect())
    }

    /// Any configuration an author could write: values where the schema lets them.
    fn configs() -> impl Strategy<Value = Value> {
        let given: Vec<_> = door()
            .attributes
            .into_iter()
            .map(|attribute| {
                let authored = !matches!(attribute.name, "key" | "config" | "published");
                let value = if authored { values(&attribute.ty) } else { Just(Value::Null).boxed() };
                value.prop_map(move |value| (attribute.name.to_owned(), value))
            })
            .collect();
        given.prop_map(|attributes| Value::Map(attributes.into_iter().collect()))
    }

    fn states() -> impl Strategy<Value = Value> {
        values(&door().ty()).prop_filter("state is wholly known", Value::is_wholly_known)
    }

    proptest! {
        #[test]
        fn terraform_accepts_every_plan(prior in states(), config in configs()) {
            let planned = plan(&door(), &prior, &config);

            prop_assert_eq!(accepts_schema(&door(), &prior, &config, &planned), Ok(()));
        }

        #[test]
        fn a_second_plan_is_empty(prior in states(), config in configs().prop_filter("known", Value::is_wholly_known)) {
            let applied = fill_unknowns(plan(&door(), &prior, &config));

            prop_assert_eq!(plan(&door(), &applied, &config), applied);
        }
    }

    fn fill_unknowns(planned: Value) -> Value {
        let Value::Map(attributes) = planned else { return planned };
        let fill = |value| if value == Value::Unknown { Value::from("made at apply") } else { value };
        Value::Map(attributes.into_iter().map(|(name, value)| (name, fill(value))).collect())
    }
}
