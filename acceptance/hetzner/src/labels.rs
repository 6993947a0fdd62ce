//! Labels: which keys and values there may be.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{ApiError, Outcome};

pub(crate) type Labels = BTreeMap<String, String>;

const LONGEST: usize = 63;
const LONGEST_PREFIX: usize = 253;

/// The labels of a request's body; none if it has none.
pub(crate) fn parse(value: &Value) -> Outcome<Labels> {
    let Value::Object(map) = value else {
        return if value.is_null() { Ok(Labels::new()) } else { Err(refused("must be an object")) };
    };
    map.iter()
        .map(|(key, value)| {
            let value = value.as_str().ok_or_else(|| refused("values must be strings"))?;
            if !is_key(key) {
                return Err(refused("invalid key"));
            }
            if !is_value(value) {
                return Err(refused("invalid value"));
            }
            Ok((key.clone(), value.to_owned()))
        })
        .collect()
}

fn refused(problem: &str) -> ApiError {
    ApiError::invalid("labels", problem)
}

/// `[prefix/]name`.
pub(crate) fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_prefix = |prefix: &str| {
        prefix.len() <= LONGEST_PREFIX && prefix != "hetzner.cloud" && prefix.split('.').all(is_dns_label)
    };
    prefix.is_none_or(is_prefix) && !name.is_empty() && is_value(name)
}

fn is_dns_label(label: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
}

/// Up to 63 letters, digits, `-`, `_` and `.`; a letter or a digit at both ends. Empty is a value too.
pub(crate) fn is_value(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let outer = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= LONGEST && value.bytes().all(inner) && outer(bytes.first()) && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_those_of_hetzner() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        for key in ["a", "hetznat-gateway", "example.com/name", "A_b.c", &longest] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "-a", "a-", "a b", "/a", "a/", "Ex.com/a", "hetzner.cloud/a", "a/b/c", &too_long] {
            assert!(!is_key(key), "{key}");
        }
        for value in ["", "home", "k.mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA.k", &longest] {
            assert!(is_value(value), "{value}");
        }
        for value in ["mBH3W0yK1c0nJ3W6dK0o5Oq0lEwq8n0q9dVZ0bG7vXA=", "a/b", "_a", &too_long] {
            assert!(!is_value(value), "{value}");
        }
    }
}
