//! Terraform's types, as a schema names them on the wire (`object-wire-format.md`).

use std::collections::BTreeMap;

use serde_json::json;

/// A type constraint. `dynamic` and tuples are left out: a schema that needs them is a schema that cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `number`: an integer, a float or a decimal of any size.
    Number,
    /// `string`
    String,
    /// `list(T)`
    List(Box<Self>),
    /// `set(T)`
    Set(Box<Self>),
    /// `map(T)`
    Map(Box<Self>),
    /// `object({…})`: every attribute is always present.
    Object(BTreeMap<String, Self>),
}

impl Type {
    /// The JSON that goes into `Schema.Attribute.type`. Terraform panics on anything malformed, so it is built, never written.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool => json!("bool"),
            Self::Number => json!("number"),
            Self::String => json!("string"),
            Self::List(element) => json!(["list", element.to_json()]),
            Self::Set(element) => json!(["set", element.to_json()]),
            Self::Map(element) => json!(["map", element.to_json()]),
            Self::Object(attributes) => {
                let attributes: serde_json::Map<_, _> =
                    attributes.iter().map(|(name, ty)| (name.clone(), ty.to_json())).collect();
                json!(["object", attributes])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_terraform_names_them() {
        let link = BTreeMap::from([
            ("id".to_owned(), Type::String),
            ("tags".to_owned(), Type::Map(Box::new(Type::List(Box::new(Type::Number))))),
        ]);

        let json = Type::Object(link).to_json().to_string();

        assert_eq!(json, r#"["object",{"id":"string","tags":["map",["list","number"]]}]"#);
    }
}
