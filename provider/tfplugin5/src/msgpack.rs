//! Values as MessagePack, the encoding Terraform prefers (`object-wire-format.md`). The schema's type drives the decoder.
//!
//! null is nil. Unknown is any extension value: we send `d4 00 00`, and read refined unknowns (extension 12) as unknown
//! without looking inside. Numbers come as integer, float or decimal text. Sets are arrays, objects are maps with every
//! attribute present.

use std::collections::BTreeMap;
use std::io;

use rmp::{Marker, decode, encode};

use crate::ty::Type;
use crate::value::{Number, Value};

/// Why bytes are not a value of the type the schema names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the value ends too early")]
    Truncated,
    #[error("the value goes on after its end")]
    TrailingBytes,
    #[error("expected {expected}, found {found:?}")]
    Unexpected { expected: &'static str, found: Marker },
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("an attribute the schema does not have")]
    UnknownAttribute,
}

/// Encodes a value. Its type need not be known: objects already hold all their attributes.
pub(crate) fn to_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value).expect("writing to memory cannot fail");
    out
}

/// Decodes one value of type `ty` that fills `bytes`.
pub(crate) fn from_bytes(bytes: &[u8], ty: &Type) -> Result<Value, DecodeError> {
    let mut rest = bytes;
    let value = read(&mut rest, ty)?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes) }
}

fn write(out: &mut Vec<u8>, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => encode::write_nil(out)?,
        Value::Unknown => out.extend_from_slice(&[0xd4, 0x00, 0x00]),
        Value::Bool(value) => encode::write_bool(out, *value)?,
        Value::Number(Number::Int(int)) => drop(encode::write_sint(out, *int)?),
        Value::Number(Number::Float(float)) => encode::write_f64(out, *float)?,
        Value::Number(Number::Decimal(text)) | Value::String(text) => encode::write_str(out, text)?,
        Value::List(elements) => {
            encode::write_array_len(out, length(elements.len()))?;
            elements.iter().try_for_each(|element| write(out, element))?;
        }
        Value::Map(elements) => {
            encode::write_map_len(out, length(elements.len()))?;
            for (key, element) in elements {
                encode::write_str(out, key)?;
                write(out, element)?;
            }
        }
    }
    Ok(())
}

fn length(count: usize) -> u32 {
    u32::try_from(count).expect("a message holds at most 256 MiB")
}

fn read(rest: &mut &[u8], ty: &Type) -> Result<Value, DecodeError> {
    let marker = peek(rest)?;
    if marker == Marker::Null {
        take(rest, 1)?;
        return Ok(Value::Null);
    }
    if is_extension(marker) {
        let extension = decode::read_ext_meta(rest).map_err(|_| DecodeError::Truncated)?;
        take(rest, extension.size)?;
        return Ok(Value::Unknown);
    }
    read_known(rest, marker, ty)
}

fn peek(rest: &[u8]) -> Result<Marker, DecodeError> {
    rest.first().map(|byte| Marker::from_u8(*byte)).ok_or(DecodeError::Truncated)
}

fn is_extension(marker: Marker) -> bool {
    let fixed =
        matches!(marker, Marker::FixExt1 | Marker::FixExt2 | Marker::FixExt4 | Marker::FixExt8 | Marker::FixExt16);
    fixed || matches!(marker, Marker::Ext8 | Marker::Ext16 | Marker::Ext32)
}

fn read_known(rest: &mut &[u8], marker: Marker, ty: &Type) -> Result<Value, DecodeError> {
    let unexpected = |expected| DecodeError::Unexpected { expected, found: marker };
    match ty {
        Type::Bool => decode::read_bool(rest).map(Value::Bool).map_err(|_| unexpected("a bool")),
        Type::Number => read_number(rest, marker).map(Value::Number),
        Type::String => read_text(rest, marker).map(Value::String),
        Type::List(element) | Type::Set(element) => {
            let count = decode::read_array_len(rest).map_err(|_| unexpected("a list"))?;
            (0..count).map(|_| read(rest, element)).collect::<Result<_, _>>().map(Value::List)
        }
        Type::Map(element) => {
            let count = decode::read_map_len(rest).map_err(|_| unexpected("a map"))?;
            (0..count).map(|_| Ok((read_key(rest)?, read(rest, element)?))).collect::<Result<_, _>>().map(Value::Map)
        }
        Type::Object(attributes) => {
            let count = decode::read_map_len(rest).map_err(|_| unexpected("an object"))?;
            read_object(rest, count, attributes)
        }
    }
}

fn read_object(rest: &mut &[u8], count: u32, attributes: &BTreeMap<String, Type>) -> Result<Value, DecodeError> {
    let mut object: BTreeMap<_, _> = attributes.keys().map(|name| (name.clone(), Value::Null)).collect();
    for _ in 0..count {
        let name = read_key(rest)?;
        let ty = attributes.get(&name).ok_or(DecodeError::UnknownAttribute)?;
        object.insert(name, read(rest, ty)?);
    }
    Ok(Value::Map(object))
}

fn read_number(rest: &mut &[u8], marker: Marker) -> Result<Number, DecodeError> {
    let is_text = matches!(marker, Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32);
    if is_text {
        return read_text(rest, marker).map(Number::from_decimal);
    }
    let number = if marker == Marker::F32 {
        decode::read_f32(rest).ok().map(|float| Number::from_float(float.into()))
    } else if marker == Marker::F64 {
        decode::read_f64(rest).ok().map(Number::from_float)
    } else if marker == Marker::U64 {
        decode::read_u64(rest).ok().map(Number::from_unsigned)
    } else {
        decode::read_int(rest).ok().map(Number::Int)
    };
    number.ok_or(DecodeError::Unexpected { expected: "a number", found: marker })
}

fn read_key(rest: &mut &[u8]) -> Result<String, DecodeError> {
    let marker = peek(rest)?;
    read_text(rest, marker)
}

fn read_text(rest: &mut &[u8], found: Marker) -> Result<String, DecodeError> {
    let length = decode::read_str_len(rest).map_err(|_| DecodeError::Unexpected { expected: "a string", found })?;
    let bytes = take(rest, length)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::NotUtf8)
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a [u8], DecodeError> {
    let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
    let (taken, after) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::tests_support::{type_and_value, types};

    #[test]
    fn unknown_is_the_extension_terraform_expects() {
        assert_eq!(to_bytes(&Value::Unknown), [0xd4, 0x00, 0x00]);
    }

    #[test]
    fn refined_unknowns_are_unknown() {
        // Extension 12, payload {1: false}: "known not to be null".
        let refined = [0xc7, 0x03, 0x0c, 0x81, 0x01, 0xc2];

        assert_eq!(from_bytes(&refined, &Type::String).unwrap(), Value::Unknown);
    }

    #[test]
    fn numbers_come_as_integer_float_or_text() {
        let number = |bytes: &[u8]| from_bytes(bytes, &Type::Number).unwrap();

        assert_eq!(number(&[0xcd, 0x05, 0x84]), Value::from(1412));
        assert_eq!(number(&[0xff]), Value::from(-1));
        assert_eq!(number(&[0xcb, 0x40, 0x96, 0x10, 0, 0, 0, 0, 0]), Value::from(1412));
        assert_eq!(number(b"\xa41412"), Value::from(1412));
        assert_eq!(number(&[0xcf; 9]), Value::Number(Number::Decimal("14974415777481871311".to_owned())));
    }

    #[test]
    fn attributes_the_sender_left_out_are_null() {
        let ty = Type::Object(BTreeMap::from([("name".to_owned(), Type::String)]));

        let value = from_bytes(&[0x80], &ty).unwrap();

        assert_eq!(value.attribute("name"), &Value::Null);
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself((ty, value) in type_and_value()) {
            prop_assert_eq!(from_bytes(&to_bytes(&value), &ty).unwrap(), value);
        }

        #[test]
        fn hostile_bytes_are_an_error_never_a_panic(ty in types(), bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            drop(from_bytes(&bytes, &ty));
        }
    }
}
