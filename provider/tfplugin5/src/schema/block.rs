//! Blocks inside a resource's own: `dns64 { … }`. Protocol 5 nests configuration with these; attributes hold whole values.
//!
//! Invariant: a block that may be there several times is a list and never null; one that may be there once is an object or
//! null.

use super::{Attribute, Behaviour, Schema};
use crate::attr::{Attr, Field};
use crate::model::Model;
use crate::proto::tfplugin5 as wire;
use crate::ty::Type;
use crate::value::Value;

/// A kind of nested block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it means, in Markdown.
    pub description: &'static str,
    /// How many there may be, and whether their order counts.
    pub nesting: Nesting,
    /// What is in each.
    pub content: Schema,
}

/// How many blocks of a kind there may be. Begins with [`block`] or [`blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nesting {
    pub(crate) shape: Shape,
    least: u16,
    /// 0 is no bound.
    most: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Single,
    List,
    Set,
}

/// A [`Nesting`] for a field that is one block: `Model`.
#[derive(Clone, Copy, Debug)]
pub struct One(Nesting);

/// A [`Nesting`] for a field that is any number of blocks: `Vec<Attr<Model>>`.
#[derive(Clone, Copy, Debug)]
pub struct Many(Nesting);

/// There may be one; without it the field is null.
pub fn block() -> One {
    One(Nesting { shape: Shape::Single, least: 0, most: 0 })
}

/// There may be any number, in the author's order; without one the field is an empty list.
pub fn blocks() -> Many {
    Many(Nesting { shape: Shape::List, least: 0, most: 0 })
}

impl One {
    #[cfg(test)]
    pub(crate) fn nesting(self) -> Nesting {
        self.0
    }

    /// There must be one.
    #[must_use]
    pub fn required(self) -> Self {
        Self(Nesting { least: 1, most: 1, ..self.0 })
    }
}

impl Many {
    #[cfg(test)]
    pub(crate) fn nesting(self) -> Nesting {
        self.0
    }

    /// Their order means nothing. Paths end at the block then: elements of a set have no place.
    #[must_use]
    pub fn unordered(self) -> Self {
        Self(Nesting { shape: Shape::Set, ..self.0 })
    }

    /// There must be so many.
    #[must_use]
    pub fn at_least(self, least: u16) -> Self {
        Self(Nesting { least, ..self.0 })
    }

    /// There may be no more.
    #[must_use]
    pub fn at_most(self, most: u16) -> Self {
        Self(Nesting { most, ..self.0 })
    }
}

/// What stands behind a field of [`model!`](crate::model!): it says whether the field is an attribute or a block.
pub trait Declaration<T> {
    /// Adds the field to a schema.
    fn declare(self, name: &'static str, description: &'static str, schema: &mut Schema);
}

impl<T: Field> Declaration<T> for Behaviour {
    fn declare(self, name: &'static str, description: &'static str, schema: &mut Schema) {
        schema.attributes.push(Attribute::of::<T>(name, description, self));
    }
}

impl<M: Model> Declaration<M> for One {
    fn declare(self, name: &'static str, description: &'static str, schema: &mut Schema) {
        schema.blocks.push(Block { name, description, nesting: self.0, content: M::schema() });
    }
}

impl<M: Model> Declaration<Vec<Attr<M>>> for Many {
    fn declare(self, name: &'static str, description: &'static str, schema: &mut Schema) {
        schema.blocks.push(Block { name, description, nesting: self.0, content: M::schema() });
    }
}

impl Block {
    pub(super) fn ty(&self) -> Type {
        let content = self.content.ty();
        match self.nesting.shape {
            Shape::Single => content,
            Shape::List => Type::List(Box::new(content)),
            Shape::Set => Type::Set(Box::new(content)),
        }
    }

    /// The rules of Terraform for the block itself (`configschema/internal_validate.go`).
    pub(super) fn problem(&self) -> Option<&'static str> {
        let Nesting { least, most, .. } = self.nesting;
        let problems = [
            (self.description.trim().is_empty(), "has no description"),
            (most != 0 && least > most, "more are needed than there may be"),
        ];
        problems.into_iter().find_map(|(broken, problem)| broken.then_some(problem))
    }

    /// A value of this block, with the empty lists that Terraform insists on.
    pub(super) fn complete(&self, value: Value) -> Value {
        match (self.nesting.shape, value) {
            (Shape::Single, value) => self.content.complete(value),
            (Shape::List | Shape::Set, Value::Null) => Value::List(Vec::new()),
            (Shape::List | Shape::Set, Value::List(elements)) => {
                Value::List(elements.into_iter().map(|element| self.content.complete(element)).collect())
            }
            (
                Shape::List | Shape::Set,
                other @ (Value::Unknown | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Map(_)),
            ) => other,
        }
    }

    pub(super) fn to_wire(&self) -> wire::schema::NestedBlock {
        use wire::schema::nested_block::NestingMode;
        let mode = match self.nesting.shape {
            Shape::Single => NestingMode::Single,
            Shape::List => NestingMode::List,
            Shape::Set => NestingMode::Set,
        };
        let content =
            wire::schema::Block { description: self.description.trim().to_owned(), ..self.content.to_wire_block() };
        wire::schema::NestedBlock {
            type_name: self.name.to_owned(),
            block: Some(content),
            nesting: mode.into(),
            min_items: self.nesting.least.into(),
            max_items: self.nesting.most.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::required;

    fn inner() -> Schema {
        let attributes = vec![Attribute::of::<String>("name", "Text.", required())];
        Schema { description: "", attributes, blocks: Vec::new() }
    }

    fn with(name: &'static str, nesting: Nesting) -> Schema {
        let block = Block { name, description: "A block.", nesting, content: inner() };
        Schema { description: "", attributes: Vec::new(), blocks: vec![block] }
    }

    #[test]
    fn one_block_is_an_object_and_many_are_a_list_or_a_set() {
        let wire = |nesting| {
            let schema = with("inner", nesting);
            let nested = schema.blocks[0].to_wire();
            (schema.blocks[0].ty().to_json().to_string(), nested.nesting, nested.min_items, nested.max_items)
        };
        let object = r#"["object",{"name":"string"}]"#;

        assert_eq!(wire(block().0), (object.to_owned(), 1, 0, 0));
        assert_eq!(wire(block().required().0), (object.to_owned(), 1, 1, 1));
        assert_eq!(wire(blocks().at_most(3).0), (format!(r#"["list",{object}]"#), 2, 0, 3));
        assert_eq!(wire(blocks().unordered().at_least(1).0), (format!(r#"["set",{object}]"#), 3, 1, 0));
    }

    #[test]
    fn blocks_terraform_would_refuse_are_refused_here() {
        let problem = |schema: Schema| schema.check().err().map(|error| error.to_string());
        let mut twice = with("name", blocks().0);
        twice.attributes = inner().attributes;
        let mut inside = with("inner", blocks().0);
        inside.blocks[0].content.attributes.extend(inner().attributes);

        assert_eq!(problem(with("inner", block().0)), None);
        assert_eq!(problem(with("lifecycle", block().0)).unwrap(), "lifecycle: the name is reserved by Terraform");
        assert_eq!(problem(twice).unwrap(), "name: declared twice");
        assert_eq!(problem(inside).unwrap(), "inner.name: declared twice");
        assert_eq!(
            problem(with("inner", blocks().at_least(2).at_most(1).0)).unwrap(),
            "inner: more are needed than there may be"
        );
    }

    #[test]
    fn what_an_older_state_lacks_becomes_an_empty_list_or_null() {
        let mut schema = with("many", blocks().0);
        schema.blocks.push(Block { name: "one", nesting: block().0, ..schema.blocks[0].clone() });
        let old = Value::Map([("many".to_owned(), Value::Null), ("one".to_owned(), Value::Null)].into());

        let completed = schema.complete(old);

        assert!(completed.attribute("many") == &Value::List(Vec::new()));
        assert!(completed.attribute("one") == &Value::Null);
    }
}
