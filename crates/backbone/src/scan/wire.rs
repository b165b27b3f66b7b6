//! The protobuf wire format, read in place: no allocation, no recursion, no trust.

/// One field's value as it lies in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Integers, enums and booleans.
    Varint(u64),
    /// `double` and fixed 64-bit integers.
    Fixed64(u64),
    /// Strings, bytes, messages and packed arrays.
    Bytes(&'a [u8]),
    /// `float` and fixed 32-bit integers.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited field.
    pub(super) fn bytes(self) -> Result<&'a [u8], Broken> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Broken::Type),
        }
    }

    /// The text of a length-delimited field.
    pub(super) fn text(self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Broken::Text)
    }

    /// The integer of a varint field, read as `int64` (two's complement).
    pub(super) fn integer(self) -> Result<i64, Broken> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            _ => Err(Broken::Type),
        }
    }
}

/// Why bytes are not protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes end inside a field.
    Truncated,
    /// A varint of more than ten bytes, a field number 0, or a deprecated group.
    Tag,
    /// A field has another wire type than ONNX gives it.
    Type,
    /// A name is not UTF-8.
    Text,
}

/// Walks over the fields of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Broken> {
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).map_err(|_| Broken::Tag)?;
        if number == 0 {
            return Err(Broken::Tag);
        }
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(array(&mut self.rest)?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Broken::Truncated)?;
                if length > self.rest.len() {
                    return Err(Broken::Truncated);
                }
                let (bytes, rest) = self.rest.split_at(length);
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(array(&mut self.rest)?)),
            _ => return Err(Broken::Tag),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The integers of a packed array, or of its unpacked form (one value a field).
pub(super) fn integers(value: Value<'_>, into: &mut impl FnMut(i64)) -> Result<(), Broken> {
    match value {
        Value::Varint(one) => into(one as i64),
        Value::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                into(varint(&mut bytes)? as i64);
            }
        }
        _ => return Err(Broken::Type),
    }
    Ok(())
}

/// The 32-bit floats of a packed array, or of its unpacked form.
pub(super) fn floats(value: Value<'_>, into: &mut impl FnMut(f32)) -> Result<(), Broken> {
    match value {
        Value::Fixed32(bits) => into(f32::from_bits(bits)),
        Value::Bytes(bytes) => {
            let (chunks, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err(Broken::Truncated);
            }
            chunks.iter().for_each(|chunk| into(f32::from_le_bytes(*chunk)));
        }
        _ => return Err(Broken::Type),
    }
    Ok(())
}

/// The 64-bit floats of a packed array, or of its unpacked form.
pub(super) fn doubles(value: Value<'_>, into: &mut impl FnMut(f64)) -> Result<(), Broken> {
    match value {
        Value::Fixed64(bits) => into(f64::from_bits(bits)),
        Value::Bytes(bytes) => {
            let (chunks, rest) = bytes.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(Broken::Truncated);
            }
            chunks.iter().for_each(|chunk| into(f64::from_le_bytes(*chunk)));
        }
        _ => return Err(Broken::Type),
    }
    Ok(())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index as u32);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { Broken::Truncated } else { Broken::Tag })
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Broken> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(Broken::Truncated)?;
    *rest = tail;
    Ok(*head)
}
