//! [`model!`](crate::model!): one declaration that is a struct, its schema, its documentation and its behaviour in a plan.

use crate::diagnostic::{Diagnostics, Path};
use crate::schema::Schema;
use crate::value::Value;

/// A struct declared with [`model!`](crate::model!): every field is an [`Attr`](crate::Attr).
///
/// Models have no `Debug`: they hold keys.
pub trait Model: Clone + PartialEq + Send + Sync + Sized + 'static {
    /// What Terraform is told about it.
    fn schema() -> Schema;

    /// Parses an object of the schema's type.
    ///
    /// # Errors
    /// Everything that is wrong with it, each at its attribute.
    fn decode(object: Value, path: &Path) -> Result<Self, Diagnostics>;

    /// The object Terraform keeps.
    fn encode(self) -> Value;
}

/// Declares a [`Model`]. Doc comments become the descriptions Terraform shows; an attribute of a nested object needs no
/// behaviour. A field that begins with [`block`](crate::block) or [`blocks`](crate::blocks) is a nested block.
///
/// ```
/// use tfplugin5::{Attr, block, blocks, computed, model, optional, required};
///
/// model! {
///     /// A lock.
///     pub struct Lock {
///         /// Where it is.
///         height: u16 = optional().default(100),
///     }
/// }
///
/// model! {
///     /// A door.
///     pub struct Door {
///         /// What is written on it.
///         name: String = required().replace(),
///         /// Who may pass; a new name draws a new one.
///         code: String = computed().renew_on(&["name"]),
///         /// The main lock: `lock { … }`, once or not at all.
///         lock: Lock = block(),
///         /// More of them: `other { … }`, from the top to the bottom.
///         other: Vec<Attr<Lock>> = blocks().at_most(3),
///     }
/// }
/// ```
#[macro_export]
macro_rules! model {
    (
        $(#[doc = $about:literal])*
        $visibility:vis struct $model:ident {
            $($(#[doc = $help:literal])+ $field:ident: $ty:ty $(= $behaviour:expr)?),+ $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, PartialEq)]
        $visibility struct $model {
            $($(#[doc = $help])+ pub $field: $crate::Attr<$ty>,)+
        }

        impl $crate::Model for $model {
            fn schema() -> $crate::Schema {
                let description = concat!($($about, "\n"),*);
                let mut schema = $crate::Schema { description, attributes: Vec::new(), blocks: Vec::new() };
                $($crate::Declaration::<$ty>::declare(
                    $crate::model!(@behaviour $($behaviour)?),
                    stringify!($field),
                    concat!($($help, "\n"),+),
                    &mut schema,
                );)+
                schema
            }

            fn decode(object: $crate::Value, path: &$crate::Path) -> Result<Self, $crate::Diagnostics> {
                let mut diagnostics = $crate::Diagnostics::default();
                $(
                    let value = object.attribute(stringify!($field)).clone();
                    let path_here = path.attribute_of(stringify!($field));
                    let $field = diagnostics.keep($crate::Attr::from_value(value, &path_here));
                )+
                match ($($field,)+) {
                    ($(Some($field),)+) => Ok(Self { $($field),+ }),
                    _ => Err(diagnostics),
                }
            }

            fn encode(self) -> $crate::Value {
                $crate::Value::Map([$((stringify!($field).to_owned(), self.$field.into_value())),+].into())
            }
        }

        impl $crate::Field for $model {
            fn ty() -> $crate::Type {
                <Self as $crate::Model>::schema().ty()
            }

            fn from_value(value: $crate::Value, path: &$crate::Path) -> Result<Self, $crate::Diagnostics> {
                <Self as $crate::Model>::decode(value, path)
            }

            fn into_value(self) -> $crate::Value {
                <Self as $crate::Model>::encode(self)
            }
        }
    };
    (@behaviour $behaviour:expr) => { $behaviour };
    (@behaviour) => { $crate::optional() };
}
