//! Values as JSON: how Terraform keeps them in its state file and shows them to `UpgradeResourceState`.
//!
//! The JSON may be of an older schema: attributes that are gone are dropped, attributes that are new are null.

use crate::ty::Type;
use crate::value::{Number, Value};

/// Why a JSON text is not a value of the type the schema names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("{path}: expected {expected}")]
    Mismatch { path: String, expected: &'static str },
}

/// Decodes the JSON of an older (or the same) schema into a value of today's.
pub(crate) fn from_bytes(bytes: &[u8], ty: &Type) -> Result<Value, DecodeError> {
    decode(serde_json::from_slice(bytes)?, ty, "state")
}

fn decode(json: serde_json::Value, ty: &Type, path: &str) -> Result<Value, DecodeError> {
    use serde_json::Value as Json;
    match (ty, json) {
        (_, Json::Null) => Ok(Value::Null),
        (Type::Bool, Json::Bool(value)) => Ok(Value::Bool(value)),
        (Type::String, Json::String(text)) => Ok(Value::String(text)),
        (Type::Number, Json::Number(number)) => Ok(Value::Number(exact(&number))),
        (Type::Number, Json::String(text)) => Ok(Value::Number(Number::from_decimal(text))),
        (Type::List(element) | Type::Set(element), Json::Array(elements)) => {
            elements.into_iter().map(|json| decode(json, element, path)).collect::<Result<_, _>>().map(Value::List)
        }
        (Type::Map(element), Json::Object(elements)) => elements
            .into_iter()
            .map(|(key, json)| Ok((key, decode(json, element, path)?)))
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (Type::Object(attributes), Json::Object(mut given)) => attributes
            .iter()
            .map(|(name, ty)| {
                let json = given.remove(name).unwrap_or(Json::Null);
                Ok((name.clone(), decode(json, ty, &format!("{path}.{name}"))?))
            })
            .collect::<Result<_, _>>()
            .map(Value::Map),
        (ty, _) => Err(DecodeError::Mismatch { path: path.to_owned(), expected: kind(ty) }),
    }
}

fn exact(number: &serde_json::Number) -> Number {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(int), _, _) => Number::Int(int),
        (None, Some(large), _) => Number::from_unsigned(large),
        (None, None, Some(float)) => Number::from_float(float),
        (None, None, None) => Number::Decimal(number.to_string()),
    }
}

fn kind(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "a bool",
        Type::Number => "a number",
        Type::String => "a string",
        Type::List(_) | Type::Set(_) => "a list",
        Type::Map(_) => "a map",
        Type::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn state_of_an_older_schema_loses_what_is_gone_and_gains_nulls() {
        let ty = Type::Object(BTreeMap::from([("mtu".to_owned(), Type::Number), ("new".to_owned(), Type::String)]));

        let value = from_bytes(br#"{"mtu": 1412, "gone": [1, {"a": true}]}"#, &ty).unwrap();

        let expected = BTreeMap::from([("mtu".to_owned(), Value::from(1412)), ("new".to_owned(), Value::Null)]);
        assert_eq!(value, Value::Map(expected));
    }

    #[test]
    fn a_value_of_another_type_is_named_by_its_path_and_never_shown() {
        let ty = Type::Object(BTreeMap::from([("mtu".to_owned(), Type::Number)]));

        let error = from_bytes(br#"{"mtu": {"secret": 1}}"#, &ty).unwrap_err();

        assert_eq!(error.to_string(), "state.mtu: expected a number");
    }
}
