//! Fields of a request's body.

use serde_json::Value;

use crate::error::{ApiError, Outcome};

/// The body of a request: an object, or nothing.
pub(crate) struct Input(Value);

impl Input {
    pub(crate) fn parse(body: &[u8]) -> Outcome<Self> {
        if body.is_empty() {
            return Ok(Self(Value::Null));
        }
        match serde_json::from_slice(body) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            Ok(_) | Err(_) => Err(ApiError::new(400, "json_error", "invalid JSON in request body")),
        }
    }

    pub(crate) fn get(&self, name: &str) -> &Value {
        &self.0[name]
    }

    pub(crate) fn text(&self, name: &str) -> Outcome<Option<&str>> {
        match self.get(name) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                Err(ApiError::invalid(name, "must be a string"))
            }
        }
    }

    pub(crate) fn required_text(&self, name: &str) -> Outcome<&str> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or_else(|| ApiError::invalid(name, "is required"))
    }

    pub(crate) fn number(&self, name: &str) -> Outcome<Option<u64>> {
        optional(self.get(name), name, Value::as_u64, "must be a positive integer")
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Outcome<bool> {
        Ok(optional(self.get(name), name, Value::as_bool, "must be a boolean")?.unwrap_or(default))
    }

    /// A part of it that is an object itself, or nothing.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self(self.get(name).clone())
    }

    pub(crate) fn list(&self, name: &str) -> Outcome<Vec<Value>> {
        let list = optional(self.get(name), name, |value| value.as_array().cloned(), "must be an array")?;
        Ok(list.unwrap_or_default())
    }
}

fn optional<T>(value: &Value, name: &str, read: impl Fn(&Value) -> Option<T>, problem: &str) -> Outcome<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    read(value).map(Some).ok_or_else(|| ApiError::invalid(name, problem))
}

/// A server's name is a host name (RFC 1123 §2.1).
pub(crate) fn host_name(text: &str) -> Outcome<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let ends = |c: char| c.is_ascii_alphanumeric();
    let good = text.len() <= 253 && text.bytes().all(legal) && text.starts_with(ends) && text.ends_with(ends);
    if good { Ok(text.to_owned()) } else { Err(ApiError::invalid("name", "must be a valid hostname")) }
}
