//! The policy as JSON: the `dns64` object of the configuration.

use std::net::Ipv6Addr;

use contract::Pool6;
use serde_json::{Map, Value};

use super::acl::Family;
use super::prefix::suffix_bits;
use super::{AddressList, MOST_PREFIXES, Policy, Prefix};
use crate::name::{Name, Subtrees};

/// A value that no policy can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct PolicyError {
    /// The key, like `prefixes[1].mapped`; `dns64` for the object itself.
    pub place: String,
    /// What is wrong with its value, which it names.
    pub problem: String,
}

impl PolicyError {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// RFC 6147 §5.1.4: IPv4-mapped addresses are never good in an AAAA record.
const DEFAULT_EXCLUDE: &str = "::ffff:0:0/96";

impl Policy {
    /// Reads the JSON form. Keys that are absent or null have their defaults; others than the known ones are refused.
    ///
    /// # Errors
    /// The first value that is wrong, by its key.
    pub fn parse(value: &Value) -> Result<Self, PolicyError> {
        let mut keys = Keys::new(value, String::new())?;
        let defaults = Defaults {
            mapped: keys.addresses("mapped", Family::V4)?.unwrap_or_else(AddressList::any),
            clients: keys.addresses("clients", Family::Both)?.unwrap_or_else(AddressList::any),
            exclude: match keys.addresses("exclude", Family::V6)? {
                Some(list) => list,
                None => AddressList::parse([DEFAULT_EXCLUDE], Family::V6).expect("the default is a list"),
            },
            recursive_only: keys.flag("recursive_only")?.unwrap_or(false),
        };
        let prefixes = prefixes(keys.take("prefixes"), &defaults)?;
        let policy = Self {
            prefixes,
            translate_all: keys.flag("translate_all")?.unwrap_or(false),
            ignore_aaaa: keys.names("ignore_aaaa")?,
            no_synth: keys.names("no_synth")?,
            allow_ipv4: keys.flag("allow_ipv4")?.unwrap_or(true),
            // Unlike BIND's default: mail servers that look for TLSA records ask everything with DO, and validate nothing of
            // it by themselves.
            break_dnssec: keys.flag("break_dnssec")?.unwrap_or(true),
            validate: keys.flag("validate")?.unwrap_or(false),
            cache: keys.flag("cache")?.unwrap_or(true),
        };
        keys.finish()?;
        Ok(policy)
    }
}

/// What a prefix has that does not say otherwise.
struct Defaults {
    mapped: AddressList,
    clients: AddressList,
    exclude: AddressList,
    recursive_only: bool,
}

fn prefixes(value: Option<&Value>, defaults: &Defaults) -> Result<Vec<Prefix>, PolicyError> {
    let given: &[Value] = match value {
        None => &[],
        Some(Value::Array(values)) => values,
        Some(other) => return Err(PolicyError::new("prefixes", format!("must be a list, not {other}"))),
    };
    if given.len() > MOST_PREFIXES {
        return Err(PolicyError::new("prefixes", format!("{} are more than {MOST_PREFIXES}", given.len())));
    }
    // RFC 6147 §5.2: the well-known prefix serves if, and only if, there is no other.
    let well_known = [Value::String(Pool6::default().to_string())];
    let given = if given.is_empty() { &well_known } else { given };
    let mut prefixes: Vec<Prefix> = Vec::new();
    for (index, value) in given.iter().enumerate() {
        let prefix = prefix(value, format!("prefixes[{index}]"), defaults)?;
        if prefixes.iter().any(|other| {
            other.pool6 == prefix.pool6 && other.mapped == prefix.mapped && other.clients == prefix.clients
        }) {
            return Err(PolicyError::new(format!("prefixes[{index}]"), format!("{} is there twice", prefix.pool6)));
        }
        prefixes.push(prefix);
    }
    Ok(prefixes)
}

fn prefix(value: &Value, place: String, defaults: &Defaults) -> Result<Prefix, PolicyError> {
    if let Value::String(text) = value {
        let pool6 = pool6(text, &place)?;
        return Ok(Prefix {
            pool6,
            suffix: 0,
            mapped: defaults.mapped.clone(),
            clients: defaults.clients.clone(),
            exclude: defaults.exclude.clone(),
            recursive_only: defaults.recursive_only,
        });
    }
    let mut keys = Keys::new(value, place)?;
    let place = keys.place_of("prefix");
    let Some(text) = keys.take("prefix") else { return Err(PolicyError::new(place, "is missing")) };
    let text = text.as_str().ok_or_else(|| PolicyError::new(&place, format!("must be text, not {text}")))?;
    let pool6 = pool6(text, &place)?;
    let prefix = Prefix {
        pool6,
        suffix: suffix(&mut keys, pool6)?,
        mapped: keys.addresses("mapped", Family::V4)?.unwrap_or_else(|| defaults.mapped.clone()),
        clients: keys.addresses("clients", Family::Both)?.unwrap_or_else(|| defaults.clients.clone()),
        exclude: keys.addresses("exclude", Family::V6)?.unwrap_or_else(|| defaults.exclude.clone()),
        recursive_only: keys.flag("recursive_only")?.unwrap_or(defaults.recursive_only),
    };
    keys.finish()?;
    Ok(prefix)
}

fn pool6(text: &str, place: &str) -> Result<Pool6, PolicyError> {
    let parsed: Result<Pool6, _> = text.parse();
    parsed.map_err(|error| {
        let problem = error.to_string();
        // Not every one of these errors says what it is about.
        let problem = if problem.contains(text) { problem } else { format!("{text:?}: {problem}") };
        PolicyError::new(place, problem)
    })
}

fn suffix(keys: &mut Keys<'_>, pool6: Pool6) -> Result<u128, PolicyError> {
    let place = keys.place_of("suffix");
    let Some(value) = keys.take("suffix") else { return Ok(0) };
    let suffix: Option<Ipv6Addr> = value.as_str().and_then(|text| text.parse().ok());
    let Some(suffix) = suffix else {
        return Err(PolicyError::new(place, format!("{value} is not an IPv6 address; write it like ::5")));
    };
    let free = suffix_bits(pool6);
    if suffix.to_bits() >> free != 0 {
        let problem =
            format!("{suffix} reaches into the prefix or the IPv4 address: {pool6} leaves the last {free} bits");
        return Err(PolicyError::new(place, problem));
    }
    Ok(suffix.to_bits())
}

/// The keys of an object, each taken once.
struct Keys<'v> {
    left: Map<String, Value>,
    values: &'v Map<String, Value>,
    prefix: String,
}

impl<'v> Keys<'v> {
    fn new(value: &'v Value, place: String) -> Result<Self, PolicyError> {
        let Value::Object(values) = value else {
            let place = if place.is_empty() { "dns64".to_owned() } else { place };
            return Err(PolicyError::new(place, format!("must be an object, not {value}")));
        };
        Ok(Self { left: values.clone(), values, prefix: place })
    }

    fn place_of(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) }
    }

    fn take(&mut self, key: &str) -> Option<&'v Value> {
        self.left.remove(key);
        self.values.get(key).filter(|value| !value.is_null())
    }

    fn flag(&mut self, key: &str) -> Result<Option<bool>, PolicyError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let problem = || PolicyError::new(self.place_of(key), format!("must be true or false, not {value}"));
        value.as_bool().map(Some).ok_or_else(problem)
    }

    fn texts(&mut self, key: &str) -> Result<Option<Vec<&'v str>>, PolicyError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let texts = value.as_array().and_then(|values| values.iter().map(Value::as_str).collect());
        texts
            .map(Some)
            .ok_or_else(|| PolicyError::new(self.place_of(key), format!("must be a list of texts, not {value}")))
    }

    fn addresses(&mut self, key: &str, family: Family) -> Result<Option<AddressList>, PolicyError> {
        let Some(texts) = self.texts(key)? else { return Ok(None) };
        let list = AddressList::parse(texts, family);
        list.map(Some).map_err(|problem| PolicyError::new(self.place_of(key), problem))
    }

    fn names(&mut self, key: &str) -> Result<Subtrees, PolicyError> {
        let mut names = Subtrees::default();
        for text in self.texts(key)?.unwrap_or_default() {
            let name: Name =
                text.parse().map_err(|error| PolicyError::new(self.place_of(key), format!("{text:?}: {error}")))?;
            names.insert(name.as_ref());
        }
        Ok(names)
    }

    fn finish(self) -> Result<(), PolicyError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => Err(PolicyError::new(self.place_of(key), "is no key that this version knows")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_a_policy_is_refused_by_its_key_and_value() {
        let wrong = [
            json!([]),
            json!({ "prefixes": "64:ff9b::/96" }),
            json!({ "prefixes": [7] }),
            json!({ "prefixes": ["::/0"] }),
            json!({ "prefixes": ["2001:db8::/129"] }),
            json!({ "prefixes": ["2001:db8:1:2::/72"] }),
            json!({ "prefixes": ["2001:db8::"] }),
            json!({ "prefixes": ["8.8.8.0/24"] }),
            json!({ "prefixes": ["2001:db8:64::1/96"] }),
            json!({ "prefixes": ["2001:db8:0:0:ff00::/96"] }),
            json!({ "prefixes": ["garbage"] }),
            json!({ "prefixes": ["2001:db8::/96", "2001:db8::/96"] }),
            json!({ "prefixes": [{ "suffix": "::1" }] }),
            json!({ "prefixes": [{ "prefix": "2001:db8::/96", "suffix": "::1" }] }),
            json!({ "prefixes": [{ "prefix": "2001:db8::/64", "suffix": "::100:0" }] }),
            json!({ "prefixes": [{ "prefix": "2001:db8::/64", "suffix": "five" }] }),
            json!({ "prefixes": [{ "prefix": "2001:db8::/64", "maped": [] }] }),
            json!({ "mapped": ["2001:db8::/32"] }),
            json!({ "mapped": ["10.0.0.0/33"] }),
            json!({ "exclude": ["10.0.0.0/8"] }),
            json!({ "clients": "any" }),
            json!({ "clients": ["10.0.0.1/8"] }),
            json!({ "clients": ["localnets"] }),
            json!({ "ignore_aaaa": ["a..b"] }),
            json!({ "translate_all": "yes" }),
            json!({ "transalte_all": true }),
        ];

        let report = wrong.map(|value| format!("{value}\n  {}\n", Policy::parse(&value).unwrap_err())).concat();

        insta::assert_snapshot!(report);
    }

    #[test]
    fn without_a_prefix_it_is_the_well_known_one_and_with_one_it_is_not() {
        let prefixes =
            |value: Value| Policy::parse(&value).unwrap().prefixes().iter().map(Prefix::pool6).collect::<Vec<_>>();

        assert_eq!(prefixes(json!({})), [Pool6::default()]);
        assert_eq!(prefixes(json!({ "prefixes": null })), [Pool6::default()]);
        assert_eq!(prefixes(json!({ "prefixes": ["2001:db8::/32"] })), ["2001:db8::/32".parse().unwrap()]);
    }
}
