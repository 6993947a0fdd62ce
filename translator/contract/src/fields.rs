//! Takes typed fields out of one JSON object and says, when a field is wrong, which one and where.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::parse::{Invalid, Place};
use crate::text::quote;

/// One JSON object on its way to becoming a struct. What is not taken is unknown and kept by [`Fields::rest`].
pub(crate) struct Fields {
    map: Map<String, Value>,
    place: Place,
}

impl Fields {
    pub(crate) fn new(value: Value, place: Place) -> Result<Self, Invalid> {
        let kind = kind(&value);
        let Value::Object(map) = value else { return Err(place.invalid(format!("must be an object, not {kind}"))) };
        Ok(Self { map, place })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Result<u64, Invalid> {
        let value = self.required(key)?;
        let fits = value.as_u64().filter(|number| (least..=most).contains(number));
        fits.ok_or_else(|| {
            let found = if value.is_number() { value.to_string() } else { kind(&value).to_owned() };
            self.place.key(key).invalid(format!("must be a whole number from {least} to {most}, not {found}"))
        })
    }

    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Result<T, Invalid> {
        let value = self.required(key)?;
        self.parse(key, value)
    }

    pub(crate) fn parsed_if_present<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, Invalid> {
        match self.map.remove(key) {
            Some(value) => self.parse(key, value).map(Some),
            None => Ok(None),
        }
    }

    /// The members of the object `key`, their names checked.
    pub(crate) fn members<T: FromStr<Err: Display> + Ord>(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<T, Value>, Invalid> {
        let place = self.place.key(key);
        let Self { map, .. } = Self::new(self.required(key)?, place.clone())?;
        map.into_iter()
            .map(|(name, value)| match name.parse() {
                Ok(parsed) => Ok((parsed, value)),
                Err(error) => Err(place.invalid(error)),
            })
            .collect()
    }

    /// What nobody asked for.
    pub(crate) fn rest(self) -> BTreeMap<String, Value> {
        self.map.into_iter().collect()
    }

    fn required(&mut self, key: &'static str) -> Result<Value, Invalid> {
        self.map.remove(key).ok_or_else(|| self.place.key(key).invalid("is missing"))
    }

    fn parse<T: FromStr<Err: Display>>(&self, key: &'static str, value: Value) -> Result<T, Invalid> {
        let place = self.place.key(key);
        let kind = kind(&value);
        let Value::String(text) = value else { return Err(place.invalid(format!("must be text, not {kind}"))) };
        // Any text may be a private key.
        Zeroizing::new(text).parse().map_err(|error: T::Err| place.invalid(error))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Text that parses to `T` by a function instead of `FromStr`, for the types of other crates whose errors say too
/// little.
pub(crate) struct By<T>(pub(crate) T);

impl FromStr for By<ipnet::Ipv4Net> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{} is not an IPv4 prefix; write it like 198.18.0.0/16", quote(text)))
    }
}

impl FromStr for By<ipnet::Ipv6Net> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{} is not an IPv6 prefix; write it like 2001:db8:1:2::/64", quote(text)))
    }
}

impl FromStr for By<std::net::Ipv4Addr> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{} is not an IPv4 address; write it like 198.18.0.7", quote(text)))
    }
}

impl FromStr for By<std::net::Ipv6Addr> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{} is not an IPv6 address; write it like fd64:ff9b::1", quote(text)))
    }
}

impl FromStr for By<std::net::SocketAddrV6> {
    type Err = crate::EndpointError;

    fn from_str(text: &str) -> Result<Self, crate::EndpointError> {
        crate::parse_endpoint(text).map(Self)
    }
}
