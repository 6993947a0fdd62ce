//! Label selectors: requirements with commas between them, all of which must be met.
//!
//! `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`, as in Kubernetes; there, too,
//! what has no such key differs from every value.

use crate::error::{ApiError, Outcome};
use crate::labels::{Labels, is_key, is_value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    demand: Demand,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Demand {
    Present,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
}

impl Selector {
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let refused = || ApiError::invalid("label_selector", "invalid label selector");
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let requirements = split(text).into_iter().map(requirement).collect::<Option<_>>();
        requirements.map(Self).ok_or_else(refused)
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|Requirement { key, demand }| {
            let value = labels.get(key);
            match demand {
                Demand::Present => value.is_some(),
                Demand::Absent => value.is_none(),
                Demand::In(values) => value.is_some_and(|value| values.contains(value)),
                Demand::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            }
        })
    }
}

/// At the commas that stand in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(text: &str) -> Option<Requirement> {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return with(key, Demand::Absent);
    }
    if let Some((key, value)) = text.split_once("!=") {
        return with(key, Demand::NotIn(vec![one(value)?]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return with(key, Demand::In(vec![one(value)?]));
    }
    let Some((key, rest)) = text.split_once(char::is_whitespace) else { return with(text, Demand::Present) };
    let rest = rest.trim();
    let (is_in, list) = match (rest.strip_prefix("notin"), rest.strip_prefix("in")) {
        (Some(list), _) => (false, list),
        (None, Some(list)) => (true, list),
        (None, None) => return None,
    };
    let list = list.trim().strip_prefix('(')?.strip_suffix(')')?;
    let values = list.split(',').map(one).collect::<Option<_>>()?;
    with(key, if is_in { Demand::In(values) } else { Demand::NotIn(values) })
}

fn with(key: &str, demand: Demand) -> Option<Requirement> {
    let key = key.trim();
    is_key(key).then(|| Requirement { key: key.to_owned(), demand })
}

fn one(value: &str) -> Option<String> {
    let value = value.trim();
    is_value(value).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("env", "prod"), ("tier", "db"), ("example.com/x", "")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_kind_of_requirement_selects() {
        for selector in [
            "",
            "env",
            "!missing",
            "env=prod",
            "env==prod",
            "env != test",
            "missing!=x",
            "env in (test, prod)",
            "env in(prod)",
            "env notin (test)",
            "missing notin (a,b)",
            "env==prod,tier in (web,db),!missing",
            "example.com/x",
            "example.com/x=",
        ] {
            assert!(matches(selector), "{selector}");
        }
        for selector in
            ["missing", "!env", "env=test", "env!=prod", "env in (a)", "env notin (prod,b)", "env==prod,tier==web"]
        {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for selector in [",", "env,", "=x", "env===x", "env in", "env in prod", "env in (a", "a b", "env=a b", "!", "é"]
        {
            assert!(Selector::parse(selector).is_err(), "{selector}");
        }
    }
}
