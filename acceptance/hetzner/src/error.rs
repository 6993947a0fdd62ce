//! Hetzner's errors: `{"error": {"code", "message", "details"}}` with the status that belongs to the code.

use serde_json::{Value, json};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

pub(crate) type Outcome<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Value::Null }
    }

    pub(crate) fn not_found(what: &str, id: u64) -> Self {
        Self::new(404, "not_found", format!("{what} with ID '{id}' not found"))
    }

    /// A field of the body or the query that cannot be accepted.
    pub(crate) fn invalid(field: &str, problem: &str) -> Self {
        let details = json!({ "fields": [{ "name": field, "messages": [problem] }] });
        let message = format!("invalid input in field '{field}'");
        Self { details, ..Self::new(422, "invalid_input", message) }
    }

    pub(crate) fn not_unique(field: &str) -> Self {
        let details = json!({ "fields": [{ "name": field }] });
        Self { details, ..Self::new(409, "uniqueness_error", format!("{field} is already used")) }
    }

    pub(crate) fn locked(what: &str) -> Self {
        Self::new(423, "locked", format!("{what} is locked: another action runs"))
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message, "details": self.details } })
    }
}
