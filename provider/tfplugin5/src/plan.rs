//! From configuration and prior state to a plan, by the attributes' declarations alone.
//!
//! Invariants, each a rule of Terraform's core: what the author gave is planned as given (or as it already is, if that
//! means the same); what is computed is unknown at creation and keeps its value afterwards, unless something it renews on
//! changed; so a plan on top of an applied plan is that state again. The same holds inside every block.

use std::collections::BTreeMap;

use crate::diagnostic::Path;
use crate::schema::{Attribute, Block, Change, Schema, Shape};
use crate::value::Value;

/// The planned object. `prior` is null when it is to be created: the resource, or a block in it.
pub(crate) fn plan(schema: &Schema, prior: &Value, config: &Value) -> Value {
    if *config == Value::Unknown {
        return Value::Unknown;
    }
    let attributes = schema
        .attributes
        .iter()
        .map(|attribute| (attribute.name.to_owned(), settle(attribute, prior, config.attribute(attribute.name))));
    let blocks = schema.blocks.iter().map(|block| {
        let (before, given) = (prior.attribute(block.name), config.attribute(block.name));
        (block.name.to_owned(), plan_block(block, before, given))
    });
    let mut planned: BTreeMap<String, Value> = attributes.chain(blocks).collect();
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

/// As many blocks as the author wrote, each planned on top of the one that it was.
fn plan_block(block: &Block, before: &Value, config: &Value) -> Value {
    match (block.nesting.shape, config) {
        (_, Value::Unknown) => Value::Unknown,
        (Shape::Single, Value::Null) => Value::Null,
        (Shape::Single, given) => plan(&block.content, before, given),
        (Shape::List, given) => {
            let planned = given.elements().iter().enumerate();
            let was = |index| before.elements().get(index).unwrap_or(&Value::Null);
            Value::List(planned.map(|(index, given)| plan(&block.content, was(index), given)).collect())
        }
        (Shape::Set, given) => {
            let planned = given.elements().iter();
            Value::List(
                planned.map(|given| plan(&block.content, predecessor(&block.content, before, given), given)).collect(),
            )
        }
    }
}

/// The element of a set that an author's block was before: the one in which all that the author gives is the same, and
/// of several the one in which the author gave nothing else. Core compares elements of a set without their history, so
/// another spelling makes another element.
fn predecessor<'v>(content: &Schema, before: &'v Value, config: &Value) -> &'v Value {
    let is_given = |name: &str| *config.attribute(name) != Value::Null;
    let is_same = |element: &&Value| {
        let mut given = content.names().filter(|name| is_given(name));
        given.all(|name| element.attribute(name) == config.attribute(name))
    };
    let has_no_more = |element: &&Value| {
        let mut others = content.attributes.iter().filter(|attribute| !is_given(attribute.name));
        others.all(|other| settle(other, element, &Value::Null) == *element.attribute(other.name))
    };
    let elements = || before.elements().iter().filter(is_same);
    elements().find(has_no_more).or_else(|| elements().next()).unwrap_or(&Value::Null)
}

/// The attributes whose change makes a new resource.
pub(crate) fn requires_replace(schema: &Schema, prior: &Value, planned: &Value) -> Vec<Path> {
    if *prior == Value::Null { Vec::new() } else { replacing(schema, prior, planned, &Path::default()) }
}

fn replacing(schema: &Schema, prior: &Value, planned: &Value, path: &Path) -> Vec<Path> {
    let replaced = |attribute: &Attribute| {
        let (before, after) = (prior.attribute(attribute.name), planned.attribute(attribute.name));
        let path = path.attribute_of(attribute.name);
        match attribute.behaviour.change {
            Change::InPlace => None,
            Change::Replaces => (before != after).then_some(path),
            Change::ReplacesOn(name) => {
                (before.attribute(name) != after.attribute(name)).then(|| path.attribute_of(name))
            }
        }
    };
    let of_blocks = schema.blocks.iter().flat_map(|block| {
        let (before, after) = (prior.attribute(block.name), planned.attribute(block.name));
        replacing_in_block(block, before, after, &path.attribute_of(block.name))
    });
    schema.attributes.iter().filter_map(replaced).chain(of_blocks).collect()
}

/// A path must lead somewhere before or after: where a block comes or goes, or has no place of its own, it ends there.
fn replacing_in_block(block: &Block, before: &Value, after: &Value, path: &Path) -> Vec<Path> {
    let replaces = |before: &Value, after: &Value| !replacing(&block.content, before, after, path).is_empty();
    match (block.nesting.shape, before, after) {
        (Shape::Single, Value::Map(_), Value::Map(_)) => replacing(&block.content, before, after, path),
        (Shape::List, Value::List(befores), Value::List(afters)) if befores.len() == afters.len() => {
            let pairs = befores.iter().zip(afters).enumerate();
            pairs
                .flat_map(|(index, (before, after))| replacing(&block.content, before, after, &path.index(index)))
                .collect()
        }
        (Shape::List | Shape::Set, Value::List(befores), Value::List(afters)) => {
            let lasts = |one: &Value, others: &[Value]| {
                // What has nothing that replaces may come and go.
                !replaces(one, &Value::Null) || others.iter().any(|other| !replaces(one, other))
            };
            let all_last = befores.iter().all(|one| lasts(one, afters)) && afters.iter().all(|one| lasts(one, befores));
            if all_last { Vec::new() } else { vec![path.clone()] }
        }
        (Shape::Single | Shape::List | Shape::Set, before, after) => {
            if replaces(before, after) {
                vec![path.clone()]
            } else {
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::attr::Spelled;
    use crate::schema::{block, blocks, computed, optional, required};
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
        let one =
            [("lock", block().nesting()), ("bell", blocks().nesting()), ("key_ring", blocks().unordered().nesting())];
        let blocks = one.map(|(name, nesting)| Block { name, description: "A part.", nesting, content: part() });
        Schema { description: "", attributes, blocks: blocks.into() }
    }

    fn part() -> Schema {
        let attributes = vec![
            Attribute::of::<Spelled<std::net::Ipv6Addr>>("address", "Address.", optional()),
            Attribute::of::<String>("maker", "Name.", optional().replace()),
            Attribute::of::<u16>("height", "Size.", optional().default(100)),
            Attribute::of::<String>("serial", "Text.", computed().renew_on(&["maker"])),
        ];
        let pin = Schema {
            description: "",
            attributes: vec![Attribute::of::<String>("shape", "Text.", required())],
            blocks: Vec::new(),
        };
        let pin = Block { name: "pin", description: "A pin.", nesting: blocks().nesting(), content: pin };
        Schema { description: "", attributes, blocks: vec![pin] }
    }

    fn list(elements: impl Into<Vec<Value>>) -> Value {
        Value::List(elements.into())
    }

    /// A part as it is after an apply.
    fn made(maker: &str) -> Value {
        let (maker, serial) = (Value::from(maker), Value::from("made at apply"));
        object([
            ("address", Value::Null),
            ("maker", maker),
            ("height", 100.into()),
            ("serial", serial),
            ("pin", list([])),
        ])
    }

    /// A part as an author writes it.
    fn wanted(maker: &str) -> Value {
        object([("maker", Value::from(maker)), ("pin", list([]))])
    }

    /// A plan for a door with `config` as its block `name`, on top of one that has `prior`.
    fn planned_with(name: &str, prior: Value, config: Value) -> Value {
        plan(
            &door(),
            &door_with(applied(), name, prior),
            &door_with(object([("name", Value::from("web"))]), name, config),
        )
    }

    fn door_with(door: Value, name: &str, part: Value) -> Value {
        let Value::Map(mut fields) = door else { unreachable!("a door is an object") };
        fields.extend([("bell".to_owned(), list([])), ("key_ring".to_owned(), list([]))]);
        fields.insert(name.to_owned(), part);
        Value::Map(fields)
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
            ("lock", Value::Null),
            ("bell", list([])),
            ("key_ring", list([])),
        ])
    }

    #[test]
    fn a_new_block_computes_and_defaults_like_a_new_resource() {
        let planned = planned_with("lock", Value::Null, wanted("acme"));

        let lock = planned.attribute("lock");
        assert_eq!(lock.attribute("serial"), &Value::Unknown);
        assert_eq!(lock.attribute("height"), &Value::from(100));
        assert_eq!(lock.attribute("maker"), &Value::from("acme"));
        assert_eq!(lock.attribute("pin"), &list([]));
        assert_eq!(planned.attribute("key"), &Value::from("abc"), "the rest stays");
    }

    #[test]
    fn an_empty_block_is_not_an_absent_one() {
        let empty = object([("pin", list([]))]);

        let planned = planned_with("lock", Value::Null, empty);

        assert_eq!(planned.attribute("lock").attribute("height"), &Value::from(100));
        assert_eq!(planned_with("lock", made("acme"), Value::Null).attribute("lock"), &Value::Null);
    }

    #[test]
    fn a_block_that_stays_keeps_what_was_computed_in_it() {
        assert_eq!(planned_with("lock", made("acme"), wanted("acme")).attribute("lock"), &made("acme"));
        let two = list([made("acme"), made("apex")]);
        assert_eq!(planned_with("bell", two.clone(), list([wanted("acme"), wanted("apex")])).attribute("bell"), &two);
        let ring = planned_with("key_ring", two, list([wanted("apex")]));
        assert_eq!(ring.attribute("key_ring"), &list([made("apex")]), "an element of a set is found by what is given");
    }

    #[test]
    fn a_block_of_a_set_without_attributes_is_not_taken_for_one_that_has_some() {
        let empty = object([("pin", list([]))]);
        let applied = planned_with("key_ring", list([]), list([wanted("acme"), empty.clone()]));
        let before = fill_unknowns(applied.attribute("key_ring").clone());

        let planned = planned_with("key_ring", before.clone(), list([wanted("acme"), empty]));

        assert_eq!(planned.attribute("key_ring"), &before);
    }

    #[test]
    fn what_is_computed_in_a_block_renews_on_its_neighbours() {
        let planned = planned_with("lock", made("acme"), wanted("apex"));

        assert_eq!(planned.attribute("lock").attribute("serial"), &Value::Unknown);
    }

    #[test]
    fn a_block_may_be_unknown_as_a_whole_or_in_part() {
        assert_eq!(planned_with("lock", Value::Null, Value::Unknown).attribute("lock"), &Value::Unknown);
        assert_eq!(planned_with("bell", list([]), Value::Unknown).attribute("bell"), &Value::Unknown);
        let maker_unknown = object([("maker", Value::Unknown), ("pin", list([]))]);
        let planned = planned_with("lock", made("acme"), maker_unknown);
        assert_eq!(planned.attribute("lock").attribute("maker"), &Value::Unknown);
        assert_eq!(planned.attribute("lock").attribute("serial"), &Value::Unknown);
    }

    #[test]
    fn a_path_that_replaces_leads_into_a_block_as_far_as_it_is_there() {
        let paths = |name: &str, prior: Value, config: Value| {
            let planned = planned_with(name, prior.clone(), config);
            let paths = requires_replace(&door(), &door_with(applied(), name, prior), &planned);
            paths.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let two = list([made("acme"), made("apex")]);

        assert_eq!(paths("lock", made("acme"), wanted("apex")), ["lock.maker"]);
        assert_eq!(paths("lock", made("acme"), Value::Null), ["lock"]);
        assert_eq!(paths("lock", Value::Null, wanted("acme")), ["lock"]);
        assert_eq!(paths("lock", Value::Null, object([])), [""; 0], "nothing that replaces is in it");
        assert_eq!(paths("bell", two.clone(), list([wanted("acme"), wanted("alto")])), ["bell[1].maker"]);
        assert_eq!(paths("bell", two.clone(), list([wanted("acme")])), ["bell"]);
        assert_eq!(paths("bell", list([]), list([object([("pin", list([]))])])), [""; 0]);
        assert_eq!(paths("key_ring", two.clone(), list([wanted("apex"), wanted("acme")])), [""; 0]);
        assert_eq!(paths("key_ring", two, list([wanted("apex"), wanted("alto")])), ["key_ring"]);
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
        let schema = Schema { description: "", attributes: vec![attribute], blocks: Vec::new() };
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

    /// Any configuration an author could write: values where the schema lets them, and blocks that are never null in a list.
    fn configs() -> BoxedStrategy<Value> {
        fields(&door(), Written::Config)
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Written {
        Config,
        State,
    }

    fn fields(schema: &Schema, written: Written) -> BoxedStrategy<Value> {
        let attribute = |attribute: &Attribute| {
            let authored = !matches!(attribute.name, "key" | "config" | "published" | "serial");
            let value = values(&attribute.ty);
            let value = if authored || written == Written::State { value } else { Just(Value::Null).boxed() };
            (Just(attribute.name.to_owned()), value).boxed()
        };
        let block = |block: &Block| {
            let one = fields(&block.content, written);
            let value = match block.nesting.shape {
                Shape::Single => prop_oneof![3 => one, 1 => Just(Value::Null), 1 => Just(Value::Unknown)].boxed(),
                Shape::List | Shape::Set => {
                    let many = prop::collection::vec(one, 0..3).prop_map(Value::List);
                    prop_oneof![4 => many, 1 => Just(Value::Unknown)].boxed()
                }
            };
            (Just(block.name.to_owned()), value).boxed()
        };
        let all: Vec<_> = schema.attributes.iter().map(attribute).chain(schema.blocks.iter().map(block)).collect();
        all.prop_map(|fields| Value::Map(fields.into_iter().collect())).boxed()
    }

    fn states() -> impl Strategy<Value = Value> {
        let door = fields(&door(), Written::State).prop_map(known);
        prop_oneof![9 => door, 1 => Just(Value::Null)]
    }

    /// The value without what is unknown in it.
    fn known(value: Value) -> Value {
        match value {
            Value::Unknown => Value::Null,
            Value::List(elements) => Value::List(elements.into_iter().map(known).collect()),
            Value::Map(fields) => Value::Map(fields.into_iter().map(|(name, value)| (name, known(value))).collect()),
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => leaf,
        }
    }

    proptest! {
        #[test]
        fn terraform_accepts_every_plan(prior in states(), config in configs()) {
            let planned = plan(&door(), &prior, &config);

            prop_assert_eq!(accepts_schema(&door(), &prior, &config, &planned), Ok(()));
        }

        #[test]
        fn a_second_plan_is_empty(prior in states(), config in configs()) {
            let config = door().complete(known(config));
            let applied = fill_unknowns(plan(&door(), &prior, &config));

            prop_assert_eq!(plan(&door(), &applied, &config), applied);
        }
    }

    fn fill_unknowns(planned: Value) -> Value {
        match planned {
            Value::Unknown => Value::from("made at apply"),
            Value::List(elements) => Value::List(elements.into_iter().map(fill_unknowns).collect()),
            Value::Map(fields) => {
                Value::Map(fields.into_iter().map(|(name, value)| (name, fill_unknowns(value))).collect())
            }
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => leaf,
        }
    }
}
