//! Lists of texts that mean something: what an author gives, what it means, and back.

use std::fmt;

use tfplugin5::{Attr, Diagnostic, Diagnostics, Field, Path, Spelled};

/// Texts that each mean a `T`, as the author spelled them.
pub(crate) type List<T> = Vec<Attr<Spelled<T>>>;

/// What the elements of a list mean; none if there is no list.
///
/// # Errors
/// Elements that are null, each at its place; elements that are unknown, which is a bug by then.
pub(crate) fn meanings<T: Clone>(list: &Attr<List<T>>, path: &Path) -> Result<Vec<T>, Diagnostics> {
    Ok(meanings_if_given(list, path)?.unwrap_or_default())
}

/// As [`meanings`]; `None` if there is no list.
///
/// # Errors
/// As [`meanings`].
pub(crate) fn meanings_if_given<T: Clone>(list: &Attr<List<T>>, path: &Path) -> Result<Option<Vec<T>>, Diagnostics> {
    let elements = match list {
        Attr::Null => return Ok(None),
        Attr::Unknown | Attr::Known(_) => list.get()?,
    };
    let meaning = |(index, element): (usize, &Attr<Spelled<T>>)| {
        if element.is_null() {
            let path = path.index(index);
            return Err(Diagnostic::error(format!("{path} is null; leave it out")).at_path(path).into());
        }
        Ok(T::clone(element.get()?))
    };
    elements.iter().enumerate().map(meaning).collect::<Result<_, _>>().map(Some)
}

/// A list in the written form; null if it is empty.
pub(crate) fn spelled<T: fmt::Display>(meanings: impl Iterator<Item = T>) -> Attr<List<T>> {
    let list: List<T> = meanings.map(|meaning| Spelled::from(meaning).into()).collect();
    if list.is_empty() { Attr::Null } else { Attr::Known(list) }
}

/// A list in the written form, however long it is; null if there is none.
pub(crate) fn spelled_if_given<T: fmt::Display + Clone>(meanings: Option<&Vec<T>>) -> Attr<List<T>> {
    meanings.map_or(Attr::Null, |list| {
        Attr::Known(list.iter().map(|meaning| Spelled::from(meaning.clone()).into()).collect())
    })
}

/// A value in the written form; null if there is none.
pub(crate) fn given<T>(value: Option<T>) -> Attr<T>
where
    T: Field,
{
    value.map_or(Attr::Null, Attr::Known)
}
