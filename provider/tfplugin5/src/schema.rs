//! What a resource's attributes are and how each behaves in a plan: one declaration, read by Terraform and by `plan.rs`.

mod block;

use crate::attr::Field;
use crate::diagnostic::Path;
use crate::proto::tfplugin5 as wire;
use crate::ty::Type;
use crate::value::Value;

pub(crate) use block::Shape;
pub use block::{Block, Declaration, Many, Nesting, One, block, blocks};

/// The attributes of a resource, of a provider's configuration or of an object.
#[derive(Clone, Debug)]
pub struct Schema {
    /// What it is, in Markdown.
    pub description: &'static str,
    /// In the order of their declaration: an attribute may renew because of one before it.
    pub attributes: Vec<Attribute>,
    /// The blocks it may hold.
    pub blocks: Vec<Block>,
}

/// One attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// What it means, in Markdown.
    pub description: &'static str,
    /// Where its value comes from and what a change does.
    pub behaviour: Behaviour,
    /// Whether two values mean the same.
    pub same: fn(&Value, &Value) -> bool,
}

impl Attribute {
    /// An attribute of the Rust type `T`.
    pub fn of<T: Field>(name: &'static str, description: &'static str, behaviour: Behaviour) -> Self {
        Self { name, ty: T::ty(), description, behaviour, same: T::same }
    }
}

/// Who gives an attribute its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Author,
    AuthorOrNobody,
    AuthorOrProvider,
    Provider,
}

/// What happens to the resource when an attribute changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    InPlace,
    Replaces,
    /// Only a change of this attribute of the object replaces.
    ReplacesOn(&'static str),
}

/// How an attribute behaves. Begins with [`required`], [`optional`] or [`computed`].
#[derive(Clone, Debug)]
pub struct Behaviour {
    source: Source,
    sensitive: bool,
    pub(crate) default: Option<Value>,
    pub(crate) change: Change,
    pub(crate) renew_on: &'static [&'static str],
}

/// The author gives it.
pub fn required() -> Behaviour {
    Behaviour { source: Source::Author, sensitive: false, default: None, change: Change::InPlace, renew_on: &[] }
}

/// The author may give it; otherwise it is null.
pub fn optional() -> Behaviour {
    Behaviour { source: Source::AuthorOrNobody, ..required() }
}

/// The provider gives it, when it creates the resource; updates keep it.
pub fn computed() -> Behaviour {
    Behaviour { source: Source::Provider, ..required() }
}

impl Behaviour {
    /// What the author does not give, the provider does.
    #[must_use]
    pub fn or_computed(self) -> Self {
        Self { source: Source::AuthorOrProvider, ..self }
    }

    /// The value planned whenever the author gives none.
    #[must_use]
    pub fn default(self, value: impl Into<Value>) -> Self {
        let source = if self.source == Source::AuthorOrNobody { Source::AuthorOrProvider } else { self.source };
        Self { source, default: Some(value.into()), ..self }
    }

    /// Never shown.
    #[must_use]
    pub fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    /// A change makes a new resource.
    #[must_use]
    pub fn replace(self) -> Self {
        Self { change: Change::Replaces, ..self }
    }

    /// A change of this attribute of the object makes a new resource; any other change does not.
    #[must_use]
    pub fn replace_on(self, attribute: &'static str) -> Self {
        Self { change: Change::ReplacesOn(attribute), ..self }
    }

    /// Computed anew when one of these attributes changes.
    #[must_use]
    pub fn renew_on(self, attributes: &'static [&'static str]) -> Self {
        Self { renew_on: attributes, ..self }
    }

    pub(crate) fn is_computed(&self) -> bool {
        matches!(self.source, Source::AuthorOrProvider | Source::Provider)
    }

    fn is_optional(&self) -> bool {
        matches!(self.source, Source::AuthorOrNobody | Source::AuthorOrProvider)
    }
}

/// Why Terraform would refuse a schema, or a plan could never work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SchemaError {
    path: Path,
    problem: &'static str,
}

/// Names Terraform keeps for itself in resource and provider blocks, but not in those nested in them.
const RESERVED: [&str; 9] =
    ["alias", "connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioner", "version"];

impl Schema {
    /// The type of an object with these attributes and blocks.
    pub fn ty(&self) -> Type {
        let attributes = self.attributes.iter().map(|attribute| (attribute.name.to_owned(), attribute.ty.clone()));
        let blocks = self.blocks.iter().map(|block| (block.name.to_owned(), block.ty()));
        Type::Object(attributes.chain(blocks).collect())
    }

    /// The rules Terraform checks when it loads a schema, and those `plan.rs` relies on. Call it in a test.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), SchemaError> {
        match self.names().find(|name| RESERVED.contains(name)) {
            Some(name) => {
                Err(SchemaError { path: Path::attribute(name), problem: "the name is reserved by Terraform" })
            }
            None => self.check_at(&Path::default()),
        }
    }

    fn check_at(&self, path: &Path) -> Result<(), SchemaError> {
        let error = |name: &str, problem| {
            let path = path.attribute_of(name);
            Err(SchemaError { path, problem })
        };
        for (position, name) in self.names().enumerate() {
            if let Some(problem) = name_problem(name, self.names().take(position)) {
                return error(name, problem);
            }
        }
        for attribute in &self.attributes {
            if let Some(problem) = attribute.problem(|name| self.names().any(|other| other == name)) {
                return error(attribute.name, problem);
            }
        }
        self.blocks.iter().try_for_each(|block| match block.problem() {
            Some(problem) => error(block.name, problem),
            None => block.content.check_at(&path.attribute_of(block.name)),
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.attributes.iter().map(|attribute| attribute.name).chain(self.blocks.iter().map(|block| block.name))
    }

    /// A value of this schema's type, with the empty lists that Terraform insists on where there is no block: an older
    /// state has none, and a resource may not care.
    pub(crate) fn complete(&self, value: Value) -> Value {
        let Value::Map(mut fields) = value else { return value };
        for block in &self.blocks {
            let value = fields.remove(block.name).unwrap_or(Value::Null);
            fields.insert(block.name.to_owned(), block.complete(value));
        }
        Value::Map(fields)
    }

    pub(crate) fn to_wire(&self) -> wire::Schema {
        let block = wire::schema::Block { description: self.description.trim().to_owned(), ..self.to_wire_block() };
        wire::Schema { version: 0, block: Some(block) }
    }

    fn to_wire_block(&self) -> wire::schema::Block {
        wire::schema::Block {
            attributes: self.attributes.iter().map(Attribute::to_wire).collect(),
            block_types: self.blocks.iter().map(Block::to_wire).collect(),
            description_kind: wire::StringKind::Markdown.into(),
            ..Default::default()
        }
    }
}

fn name_problem(name: &str, mut earlier: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let legal = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !legal {
        return Some("a name has lower-case letters, digits and underscores");
    }
    earlier.any(|other| other == name).then_some("declared twice")
}

impl Attribute {
    fn problem(&self, exists: impl Fn(&str) -> bool) -> Option<&'static str> {
        let behaviour = &self.behaviour;
        let problems = [
            (self.description.trim().is_empty(), "has no description"),
            (behaviour.source == Source::Author && behaviour.default.is_some(), "a required attribute has no default"),
            (!behaviour.renew_on.is_empty() && !behaviour.is_computed(), "only what is computed can be computed anew"),
            (behaviour.renew_on.iter().any(|name| !exists(name)), "renewed by an attribute that does not exist"),
            (!self.replaces_on_own_attribute(), "replaced by an attribute its object does not have"),
        ];
        problems.into_iter().find_map(|(broken, problem)| broken.then_some(problem))
    }

    fn replaces_on_own_attribute(&self) -> bool {
        let Change::ReplacesOn(name) = self.behaviour.change else { return true };
        matches!(&self.ty, Type::Object(attributes) if attributes.contains_key(name))
    }

    fn to_wire(&self) -> wire::schema::Attribute {
        wire::schema::Attribute {
            name: self.name.to_owned(),
            r#type: self.ty.to_json().to_string().into_bytes(),
            description: self.description.trim().to_owned(),
            description_kind: wire::StringKind::Markdown.into(),
            required: self.behaviour.source == Source::Author,
            optional: self.behaviour.is_optional(),
            computed: self.behaviour.is_computed(),
            sensitive: self.behaviour.sensitive,
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(attributes: Vec<Attribute>) -> Option<String> {
        Schema { description: "", attributes, blocks: Vec::new() }.check().err().map(|error| error.to_string())
    }

    fn text(name: &'static str, behaviour: Behaviour) -> Attribute {
        Attribute::of::<String>(name, "Text.", behaviour)
    }

    #[test]
    fn a_sound_schema_passes() {
        let sound = vec![text("name", required().replace()), text("key", computed().renew_on(&["name"]))];

        assert_eq!(problem_of(sound), None);
    }

    #[test]
    fn schemas_terraform_would_refuse_are_refused_here() {
        let twice = vec![text("name", required()), text("name", optional())];

        assert_eq!(
            problem_of(vec![text("Name", required())]).unwrap(),
            "Name: a name has lower-case letters, digits and underscores"
        );
        assert_eq!(problem_of(vec![text("count", required())]).unwrap(), "count: the name is reserved by Terraform");
        assert_eq!(problem_of(twice).unwrap(), "name: declared twice");
        assert_eq!(
            problem_of(vec![text("key", computed().renew_on(&["rotate"]))]).unwrap(),
            "key: renewed by an attribute that does not exist"
        );
        assert_eq!(
            problem_of(vec![text("gateway", required().replace_on("id"))]).unwrap(),
            "gateway: replaced by an attribute its object does not have"
        );
    }

    #[test]
    fn a_default_makes_an_optional_attribute_computed_too() {
        let wire = text("mtu", optional().default(1412)).to_wire();

        assert!(wire.optional && wire.computed && !wire.required);
    }
}
