//! For a provider's own tests: its plans without Terraform, held to Terraform's rules.

use crate::diagnostic::Diagnostics;
use crate::model::Model;
pub use crate::resource::Planned;
use crate::resource::{PlanRequest, Resource, plan_of};
use crate::schema::Schema;
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
    Ok(())
}

/// An object with these attributes; the others are null.
pub fn object<const N: usize>(attributes: [(&str, Value); N]) -> Value {
    Value::Map(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
