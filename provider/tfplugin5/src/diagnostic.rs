//! What the author of a configuration reads: a summary, and the attribute it is about, which Terraform then underlines.

use std::fmt;

use crate::proto::tfplugin5 as wire;

/// Where in a resource's configuration something is: `gateway.id`, `rotate["quarter"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An attribute of an object.
    Attribute(String),
    /// An element of a map.
    Key(String),
    /// An element of a list.
    Index(i64),
}

impl Path {
    /// The path of a top-level attribute.
    pub fn attribute(name: &str) -> Self {
        Self::default().attribute_of(name)
    }

    /// This path, one step further.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// This path and the name of an attribute.
    #[must_use]
    pub fn attribute_of(&self, name: &str) -> Self {
        self.then(Step::Attribute(name.to_owned()))
    }

    /// This path and the position of an element of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)))
    }

    pub(crate) fn to_wire(&self) -> wire::AttributePath {
        use wire::attribute_path::step::Selector;
        let steps = self.0.iter().map(|step| {
            let selector = match step {
                Step::Attribute(name) => Selector::AttributeName(name.clone()),
                Step::Key(key) => Selector::ElementKeyString(key.clone()),
                Step::Index(index) => Selector::ElementKeyInt(*index),
            };
            wire::attribute_path::Step { selector: Some(selector) }
        });
        wire::AttributePath { steps: steps.collect() }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Attribute(name) if position == 0 => write!(f, "{name}")?,
                Step::Attribute(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Whether Terraform goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The operation did not happen.
    Error,
    /// It did, and the author should know.
    Warning,
}

/// One message to the author. Never holds a secret: Terraform prints it and CI systems keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// One line: what is wrong and what to do.
    pub summary: String,
    /// More, if one line is not enough.
    pub detail: String,
    /// The attribute it is about.
    pub path: Option<Path>,
}

impl Diagnostic {
    /// Something that must be put right.
    pub fn error(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), detail: String::new(), path: None }
    }

    /// Something the author should know.
    pub fn warning(summary: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(summary) }
    }

    /// Adds what one line cannot say.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// Names the attribute it is about.
    #[must_use]
    pub fn at(self, attribute: &str) -> Self {
        self.at_path(Path::attribute(attribute))
    }

    /// Names the nested attribute it is about.
    #[must_use]
    pub fn at_path(self, path: Path) -> Self {
        Self { path: Some(path), ..self }
    }
}

/// Everything there is to say about one request, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one message.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all messages of another request.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// The value, or null's stand-in `None` with its errors kept here.
    pub fn keep<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|diagnostics| self.append(diagnostics)).ok()
    }

    pub(crate) fn into_wire(self) -> Vec<wire::Diagnostic> {
        self.0.into_iter().map(Diagnostic::into_wire).collect()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Diagnostic {
    fn into_wire(self) -> wire::Diagnostic {
        use wire::diagnostic::Severity as Wire;
        let severity = match self.severity {
            Severity::Error => Wire::Error,
            Severity::Warning => Wire::Warning,
        };
        wire::Diagnostic {
            severity: severity.into(),
            summary: self.summary,
            detail: self.detail,
            attribute: self.path.map(|path| path.to_wire()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_the_configuration() {
        let path = Path::attribute("gateway").then(Step::Attribute("id".to_owned()));
        let element = Path::attribute("upstreams").then(Step::Index(1)).then(Step::Key("a b".to_owned()));

        assert_eq!(path.to_string(), "gateway.id");
        assert_eq!(element.to_string(), r#"upstreams[1]["a b"]"#);
    }
}
