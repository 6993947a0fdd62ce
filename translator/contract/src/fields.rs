//! Takes typed fields out of one JSON object and says, when a field is wrong, which one and where.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::place::{Invalid, Place};
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
        parse(value, &self.place.key(key))
    }

    pub(crate) fn parsed_if_present<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, Invalid> {
        match self.map.remove(key) {
            Some(value) => parse(value, &self.place.key(key)).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn integer_if_present(
        &mut self,
        key: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Invalid> {
        self.map.contains_key(key).then(|| self.integer(key, least, most)).transpose()
    }

    pub(crate) fn flag_if_present(&mut self, key: &'static str) -> Result<Option<bool>, Invalid> {
        let wrong = |value: &Value| self.place.key(key).invalid(format!("must be true or false, not {}", kind(value)));
        self.map.remove(key).map(|value| value.as_bool().ok_or_else(|| wrong(&value))).transpose()
    }

    pub(crate) fn object_if_present(&mut self, key: &'static str) -> Result<Option<Self>, Invalid> {
        self.map.remove(key).map(|value| Self::new(value, self.place.key(key))).transpose()
    }

    /// The elements of the list `key`, if there is one; `most` bounds what a hostile document makes of us.
    pub(crate) fn list_if_present<T: FromStr<Err: Display>>(
        &mut self,
        key: &'static str,
        most: usize,
    ) -> Result<Option<Vec<T>>, Invalid> {
        let elements = self.elements(key, most)?;
        elements.map(|elements| elements.into_iter().map(|(value, place)| parse(value, &place)).collect()).transpose()
    }

    /// The elements of the list `key`; none if it is not there.
    pub(crate) fn list<T: FromStr<Err: Display>>(&mut self, key: &'static str, most: usize) -> Result<Vec<T>, Invalid> {
        Ok(self.list_if_present(key, most)?.unwrap_or_default())
    }

    /// The elements of the list `key`, all of them objects; none if it is not there.
    pub(crate) fn objects(&mut self, key: &'static str, most: usize) -> Result<Vec<Self>, Invalid> {
        let elements = self.elements(key, most)?.unwrap_or_default();
        elements.into_iter().map(|(value, place)| Self::new(value, place)).collect()
    }

    fn elements(&mut self, key: &'static str, most: usize) -> Result<Option<Vec<(Value, Place)>>, Invalid> {
        let Some(value) = self.map.remove(key) else { return Ok(None) };
        let place = self.place.key(key);
        let kind = kind(&value);
        let Value::Array(elements) = value else { return Err(place.invalid(format!("must be a list, not {kind}"))) };
        if elements.len() > most {
            return Err(place.invalid(format!("has {} elements; {most} are the most", elements.len())));
        }
        Ok(Some(elements.into_iter().enumerate().map(|(index, value)| (value, place.index(index))).collect()))
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

    /// As [`Fields::members`]; none if the object is not there.
    pub(crate) fn members_if_present<T: FromStr<Err: Display> + Ord>(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<T, Value>, Invalid> {
        if self.map.contains_key(key) { self.members(key) } else { Ok(BTreeMap::new()) }
    }

    /// What nobody asked for.
    pub(crate) fn rest(self) -> BTreeMap<String, Value> {
        self.map.into_iter().collect()
    }

    fn required(&mut self, key: &'static str) -> Result<Value, Invalid> {
        self.map.remove(key).ok_or_else(|| self.place.key(key).invalid("is missing"))
    }
}

fn parse<T: FromStr<Err: Display>>(value: Value, place: &Place) -> Result<T, Invalid> {
    let kind = kind(&value);
    let Value::String(text) = value else { return Err(place.invalid(format!("must be text, not {kind}"))) };
    // Any text may be a private key.
    Zeroizing::new(text).parse().map_err(|error: T::Err| place.invalid(error))
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

impl FromStr for By<ipnet::IpNet> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{} is not a prefix; write it like 192.168.1.0/24 or fd00::/64", quote(text)))
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
