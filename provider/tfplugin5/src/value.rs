//! Terraform's values: null, not yet known, or something. Whoever reads one holds its [`Type`](crate::Type) beside it.
//!
//! Invariant: a `Value` never prints what it holds. Values carry private keys, and `{:?}` ends up in logs.

use std::collections::BTreeMap;
use std::fmt;

/// A value of some [`Type`](crate::Type). Lists and sets are both `List`; maps and objects are both `Map`.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// Known only after apply.
    Unknown,
    /// A `bool`.
    Bool(bool),
    /// A `number`.
    Number(Number),
    /// A `string`.
    String(String),
    /// The elements of a `list` or a `set`.
    List(Vec<Self>),
    /// The elements of a `map`, or every attribute of an `object`.
    Map(BTreeMap<String, Self>),
}

/// A number as exact as it came: what fits `i64` is always `Int`, so equal numbers of usual size are equal values.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// Fits 64 bits.
    Int(i64),
    /// Has a fraction, or is an infinity.
    Float(f64),
    /// Neither fits: decimal text, as Terraform sends it.
    Decimal(String),
}

impl Value {
    /// Whether this value and everything in it is known.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown => false,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => true,
            Self::List(elements) => elements.iter().all(Self::is_wholly_known),
            Self::Map(elements) => elements.values().all(Self::is_wholly_known),
        }
    }

    /// The elements of a list or a set; none if it is neither.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            Self::Null | Self::Unknown | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Map(_) => &[],
        }
    }

    /// The attribute of an object. An attribute of something unknown is unknown, one of null is null.
    pub fn attribute(&self, name: &str) -> &Self {
        match self {
            Self::Map(attributes) => attributes.get(name).unwrap_or(&Self::Null),
            Self::Unknown => &Self::Unknown,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::List(_) => &Self::Null,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Null => "null",
            Self::Unknown => "unknown",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::List(elements) => return f.debug_list().entries(elements).finish(),
            Self::Map(elements) => return f.debug_map().entries(elements).finish(),
        };
        f.write_str(kind)
    }
}

impl Number {
    /// The number a float stands for: an integer if it is one.
    pub fn from_float(float: f64) -> Self {
        // Beyond 2^53 a float no longer tells integers apart; it stays what it is.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if float.fract() == 0.0 && float.abs() <= EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "an integer of at most 53 bits")]
            return Self::Int(float as i64);
        }
        Self::Float(float)
    }

    /// The number an unsigned integer stands for.
    pub fn from_unsigned(int: u64) -> Self {
        i64::try_from(int).map_or_else(|_| Self::Decimal(int.to_string()), Self::Int)
    }

    /// The number a decimal text stands for.
    pub fn from_decimal(text: String) -> Self {
        text.parse().map_or(Self::Decimal(text), Self::Int)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::Int(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_the_shape_and_nothing_else() {
        let value = Value::Map(BTreeMap::from([
            ("private_key".to_owned(), Value::from("c2VjcmV0")),
            ("rotate".to_owned(), Value::Unknown),
        ]));

        assert_eq!(format!("{value:?}"), r#"{"private_key": string, "rotate": unknown}"#);
    }

    #[test]
    fn equal_numbers_are_equal_values_however_they_came() {
        assert_eq!(Number::from_float(1412.0), Number::Int(1412));
        assert_eq!(Number::from_decimal("1412".to_owned()), Number::Int(1412));
        assert_eq!(Number::from_float(0.5), Number::Float(0.5));
    }

    #[test]
    fn one_unknown_leaf_makes_the_whole_unknown() {
        let list = Value::List(vec![Value::Null, Value::Map(BTreeMap::from([("a".to_owned(), Value::Unknown)]))]);

        assert!(!list.is_wholly_known());
        assert!(Value::Null.is_wholly_known());
    }
}

/// Random types and values of them, for the codec's and the planner's laws.
#[cfg(test)]
pub(crate) mod tests_support {
    use proptest::prelude::*;

    use super::*;
    use crate::ty::Type;

    pub(crate) fn types() -> impl Strategy<Value = Type> {
        let leaf = prop_oneof![Just(Type::Bool), Just(Type::Number), Just(Type::String)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|element| Type::List(Box::new(element))),
                inner.clone().prop_map(|element| Type::Map(Box::new(element))),
                prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(Type::Object),
            ]
        })
    }

    pub(crate) fn values(ty: &Type) -> BoxedStrategy<Value> {
        let known = match ty {
            Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
            Type::Number => prop_oneof![
                any::<i64>().prop_map(|int| Value::Number(Number::Int(int))),
                (-1e300..1e300).prop_map(|float| Value::Number(Number::from_float(float))),
                "[1-9][0-9]{20,30}".prop_map(|text| Value::Number(Number::from_decimal(text))),
            ]
            .boxed(),
            Type::String => "\\PC{0,40}".prop_map(Value::String).boxed(),
            Type::List(element) | Type::Set(element) => {
                prop::collection::vec(values(element), 0..4).prop_map(Value::List).boxed()
            }
            Type::Map(element) => {
                prop::collection::btree_map("[a-c]", values(element), 0..3).prop_map(Value::Map).boxed()
            }
            Type::Object(attributes) => {
                let attributes: Vec<_> = attributes.iter().map(|(name, ty)| (Just(name.clone()), values(ty))).collect();
                attributes.prop_map(|attributes| Value::Map(attributes.into_iter().collect())).boxed()
            }
        };
        prop_oneof![8 => known, 1 => Just(Value::Null), 1 => Just(Value::Unknown)].boxed()
    }

    pub(crate) fn type_and_value() -> impl Strategy<Value = (Type, Value)> {
        types().prop_flat_map(|ty| values(&ty).prop_map(move |value| (ty.clone(), value)))
    }
}
