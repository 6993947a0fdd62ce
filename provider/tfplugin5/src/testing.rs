//! For a provider's own tests: its plans without Terraform, held to Terraform's rules.

use crate::diagnostic::Diagnostics;
use crate::model::Model;
pub use crate::resource::Planned;
use crate::resource::{PlanRequest, Resource, plan_of};
use crate::schema::{Block, Schema, Shape};
use crate::value::Value;

/// What Terraform would be told of a change from `prior` (null: a creation) to `config`. `private` is the resource's own
/// data; with it, a creation is one that replaces.
///
/// # Errors
/// What is wrong with the values.
pub fn plan<R: Resource>(prior: &Value, config: &Value, private: &[u8]) -> Result<Planned, Diagnostics> {
    plan_of::<R>(&PlanRequest { prior, config, private })
}

/// Whether Terraform's core would accept the plan: what the author gave is planned as given, or as it already is; only what
/// is computed and not given is the provider's to choose.
///
/// # Errors
/// The attribute that breaks the rule.
pub fn accepts<M: Model>(prior: &Value, config: &Value, planned: &Value) -> Result<(), String> {
    accepts_schema(&M::schema(), prior, config, planned)
}

pub(crate) fn accepts_schema(schema: &Schema, prior: &Value, config: &Value, planned: &Value) -> Result<(), String> {
    for attribute in &schema.attributes {
        let name = attribute.name;
        let (before, given, after) = (prior.attribute(name), config.attribute(name), planned.attribute(name));
        let as_given = after == given;
        let as_it_was = after == before && *before != Value::Null && *given != Value::Null;
        let computed = attribute.behaviour.is_computed() && *given == Value::Null;
        if !(as_given || as_it_was || computed) {
            return Err(format!("{name}: planned {after:?} where the configuration has {given:?}"));
        }
    }
    schema.blocks.iter().try_for_each(|block| {
        let of = |value: &Value| value.attribute(block.name).clone();
        accepts_block(block, &of(prior), &of(config), &of(planned))
            .map_err(|problem| format!("{}.{problem}", block.name))
    })
}

/// As many blocks as the author wrote, each as its own schema has it. Elements of a set have no history.
fn accepts_block(block: &Block, prior: &Value, config: &Value, planned: &Value) -> Result<(), String> {
    let accepts = |prior: &Value, config: &Value, planned: &Value| match (config, planned) {
        (Value::Unknown, Value::Unknown) | (Value::Null, Value::Null) => Ok(()),
        (Value::Map(_), Value::Map(_)) => accepts_schema(&block.content, prior, config, planned),
        _ => Err(format!("planned {planned:?} where the configuration has {config:?}")),
    };
    match (block.nesting.shape, config, planned) {
        (Shape::List | Shape::Set, Value::List(given), Value::List(after)) if given.len() == after.len() => {
            let was = |index| match block.nesting.shape {
                Shape::List => prior.elements().get(index).unwrap_or(&Value::Null),
                Shape::Single | Shape::Set => &Value::Null,
            };
            let mut pairs = given.iter().zip(after).enumerate();
            pairs.try_for_each(|(index, (given, after))| accepts(was(index), given, after))
        }
        (Shape::List | Shape::Set, Value::Null | Value::List(_), _) => {
            Err(format!("planned {planned:?} where the configuration has {config:?}"))
        }
        _ => accepts(prior, config, planned),
    }
}

/// An object with these attributes; the others are null.
pub fn object<const N: usize>(attributes: [(&str, Value); N]) -> Value {
    Value::Map(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
