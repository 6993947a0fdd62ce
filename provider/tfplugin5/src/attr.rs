//! Attributes as Rust values: [`Attr`] says whether there is one, [`Field`] what it may be.
//!
//! A field parses when it is decoded, so an error names its attribute and code behind it never checks again. The author's
//! spelling survives ([`Spelled`]): Terraform refuses a provider that answers `2001:db8::1` to `2001:DB8::1`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::diagnostic::{Diagnostic, Diagnostics, Path, Step};
use crate::ty::Type;
use crate::value::{Number, Value};

/// What Rust type an attribute has, and which Terraform type that is.
pub trait Field: Sized {
    /// The type in the schema.
    fn ty() -> Type;

    /// Parses a value that is neither null nor unknown.
    ///
    /// # Errors
    /// What is wrong with it, at `path` or below.
    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics>;

    /// The value Terraform keeps.
    fn into_value(self) -> Value;

    /// Whether two values mean the same although they are spelled differently.
    fn same(one: &Value, other: &Value) -> bool {
        one == other
    }
}

/// An attribute's value, if there is one and it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attr<T> {
    /// Absent.
    Null,
    /// Known only after apply.
    Unknown,
    /// Here it is.
    Known(T),
}

/// A value was needed that is null or unknown. While applying, that is a bug of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value that is needed here is null or not yet known; please report this as a bug of the provider")]
pub struct NotKnown;

impl<T> Attr<T> {
    /// The value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Null | Self::Unknown => None,
        }
    }

    /// The value, where it cannot be missing.
    ///
    /// # Errors
    /// It is.
    pub fn get(&self) -> Result<&T, NotKnown> {
        self.known().ok_or(NotKnown)
    }

    /// Whether it is known only after apply.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// Whether it is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Another attribute made of this one: null and unknown stay what they are.
    pub fn map<U>(&self, f: impl FnOnce(&T) -> U) -> Attr<U> {
        match self {
            Self::Known(value) => Attr::Known(f(value)),
            Self::Null => Attr::Null,
            Self::Unknown => Attr::Unknown,
        }
    }
}

impl<T: Field> Attr<T> {
    /// Parses an attribute's value.
    ///
    /// # Errors
    /// What is wrong with it, at `path` or below.
    pub fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        match value {
            Value::Null => Ok(Self::Null),
            Value::Unknown => Ok(Self::Unknown),
            known @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) | Value::Map(_)) => {
                T::from_value(known, path).map(Self::Known)
            }
        }
    }

    /// The value Terraform keeps.
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Unknown => Value::Unknown,
            Self::Known(value) => value.into_value(),
        }
    }
}

impl<T> From<T> for Attr<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl From<NotKnown> for Diagnostics {
    fn from(error: NotKnown) -> Self {
        Diagnostic::error(error.to_string()).into()
    }
}

fn wrong(path: &Path, problem: impl Into<String>) -> Diagnostics {
    Diagnostic::error(problem).at_path(path.clone()).into()
}

impl Field for String {
    fn ty() -> Type {
        Type::String
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        let Value::String(text) = value else { return Err(wrong(path, format!("{path} must be a string"))) };
        Ok(text)
    }

    fn into_value(self) -> Value {
        Value::String(self)
    }
}

impl Field for bool {
    fn ty() -> Type {
        Type::Bool
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        let Value::Bool(value) = value else { return Err(wrong(path, format!("{path} must be a bool"))) };
        Ok(value)
    }

    fn into_value(self) -> Value {
        Value::Bool(self)
    }
}

macro_rules! whole_number {
    ($number:ty) => {
        impl Field for $number {
            fn ty() -> Type {
                Type::Number
            }

            fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
                let number = if let Value::Number(Number::Int(int)) = value { Self::try_from(int).ok() } else { None };
                number.ok_or_else(|| wrong(path, format!("{path} must be a whole number between 0 and {}", Self::MAX)))
            }

            fn into_value(self) -> Value {
                Value::from(i64::from(self))
            }
        }
    };
}

whole_number!(u16);
whole_number!(u32);

impl<T: Field> Field for Vec<Attr<T>> {
    fn ty() -> Type {
        Type::List(Box::new(T::ty()))
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        let Value::List(elements) = value else { return Err(wrong(path, format!("{path} must be a list"))) };
        let mut diagnostics = Diagnostics::default();
        let element = |(index, value)| diagnostics.keep(Attr::from_value(value, &path.index(index)));
        let list = elements.into_iter().enumerate().filter_map(element).collect();
        if diagnostics.0.is_empty() { Ok(list) } else { Err(diagnostics) }
    }

    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(Attr::into_value).collect())
    }

    fn same(one: &Value, other: &Value) -> bool {
        let (Value::List(one), Value::List(other)) = (one, other) else { return one == other };
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| T::same(one, other))
    }
}

impl<T: Field> Field for BTreeMap<String, Attr<T>> {
    fn ty() -> Type {
        Type::Map(Box::new(T::ty()))
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        let Value::Map(elements) = value else { return Err(wrong(path, format!("{path} must be a map"))) };
        let element = |(key, value): (String, Value)| {
            let value = Attr::from_value(value, &path.then(Step::Key(key.clone())))?;
            Ok((key, value))
        };
        elements.into_iter().map(element).collect()
    }

    fn into_value(self) -> Value {
        Value::Map(self.into_iter().map(|(key, value)| (key, value.into_value())).collect())
    }
}

/// A string attribute that means a `T`, with the author's spelling of it. Equal means meaning the same.
#[derive(Clone)]
pub struct Spelled<T> {
    text: String,
    meaning: T,
}

impl<T> Spelled<T> {
    /// The text as the author wrote it.
    pub fn spelling(&self) -> &str {
        &self.text
    }
}

impl<T: PartialEq> PartialEq for Spelled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl<T> Deref for Spelled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.meaning
    }
}

impl<T: fmt::Display> From<T> for Spelled<T> {
    fn from(meaning: T) -> Self {
        Self { text: meaning.to_string(), meaning }
    }
}

impl<T: FromStr<Err: fmt::Display> + PartialEq> Field for Spelled<T> {
    fn ty() -> Type {
        Type::String
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        let text = String::from_value(value, path)?;
        match text.parse() {
            Ok(meaning) => Ok(Self { text, meaning }),
            Err(problem) => Err(wrong(path, format!("{path}: {problem}"))),
        }
    }

    fn into_value(self) -> Value {
        Value::String(self.text)
    }

    fn same(one: &Value, other: &Value) -> bool {
        let (Value::String(text), Value::String(other_text)) = (one, other) else { return one == other };
        text == other_text || matches!((text.parse::<T>(), other_text.parse::<T>()), (Ok(a), Ok(b)) if a == b)
    }
}

/// Text that must not be printed and is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<Zeroizing<String>>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Field for Secret {
    fn ty() -> Type {
        Type::String
    }

    fn from_value(value: Value, path: &Path) -> Result<Self, Diagnostics> {
        String::from_value(value, path).map(Self::new)
    }

    fn into_value(self) -> Value {
        Value::String(self.0.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_spelling_survives_and_equality_ignores_it() {
        let typed = Value::from("2001:DB8:0::1");

        let address = Spelled::<Ipv6Addr>::from_value(typed.clone(), &Path::attribute("endpoint")).unwrap();

        assert!(address == Spelled::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
        assert!(Spelled::<Ipv6Addr>::same(&typed, &Value::from("2001:db8::1")));
        assert!(address.into_value() == typed);
    }

    #[test]
    fn what_does_not_parse_is_an_error_at_its_attribute() {
        let error = Spelled::<Ipv6Addr>::from_value(Value::from("::g"), &Path::attribute("endpoint")).err().unwrap();

        assert_eq!(error.0[0].summary, "endpoint: invalid IPv6 address syntax");
        assert_eq!(error.0[0].path, Some(Path::attribute("endpoint")));
    }

    #[test]
    fn numbers_out_of_range_say_the_range() {
        let mtu = |value| u16::from_value(value, &Path::attribute("mtu")).map_err(|error| error.0[0].summary.clone());

        assert_eq!(mtu(Value::from(1412)), Ok(1412));
        assert_eq!(mtu(Value::from(70_000)), Err("mtu must be a whole number between 0 and 65535".to_owned()));
        assert!(mtu(Value::Number(Number::Float(0.5))).is_err());
    }

    #[test]
    fn an_element_that_does_not_parse_is_named_by_its_place_and_the_others_are_read_on() {
        let list = Value::List(vec![Value::from("::1"), Value::from("::g"), Value::Unknown, Value::from("::h")]);

        let parsed = Vec::<Attr<Spelled<Ipv6Addr>>>::from_value(list, &Path::attribute("clients"));

        let summaries: Vec<_> = parsed.err().unwrap().0.into_iter().map(|error| error.summary).collect();
        assert_eq!(summaries, ["clients[1]: invalid IPv6 address syntax", "clients[3]: invalid IPv6 address syntax"]);
    }

    #[test]
    fn lists_mean_the_same_if_their_elements_do() {
        type List = Vec<Attr<Spelled<Ipv6Addr>>>;
        let list = |texts: &[&str]| Value::List(texts.iter().map(|text| Value::from(*text)).collect());

        assert!(List::same(&list(&["2001:DB8::1"]), &list(&["2001:db8:0::1"])));
        assert!(!List::same(&list(&["::1", "::2"]), &list(&["::2", "::1"])));
        assert!(!List::same(&list(&["::1"]), &list(&["::1", "::1"])));
    }

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Attr::Known(Secret::new("c2VjcmV0".to_owned()))), "Known(Secret(…))");
    }
}
