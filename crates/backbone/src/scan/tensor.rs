//! One `TensorProto`: its shape, its length, its numbers.

use super::wire::{Fields, Value, doubles, floats, integers};
use super::{Limits, ScanError};

/// Element types of `TensorProto.DataType` by number.
const NAMES: [&str; 24] = [
    "undefined",
    "float32",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "float64",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
    "float4e2m1",
];

/// The name of an element type number.
pub(super) fn element_name(number: i64) -> String {
    usize::try_from(number)
        .ok()
        .and_then(|n| NAMES.get(n))
        .map_or_else(|| format!("number {number}"), |n| (*n).into())
}

/// Bytes of one element in `raw_data`; `None` for types that tract cannot load.
fn element_bytes(number: i64) -> Option<u64> {
    Some(match number {
        2 | 3 | 9 => 1,
        4 | 5 | 10 => 2,
        1 | 6 | 12 => 4,
        7 | 11 | 13 => 8,
        _ => return None,
    })
}

/// Few numbers are kept for the size estimates of [`super::bounds`].
const SMALL: u64 = 64;

/// What is kept of a tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<u64>,
    pub(super) elements: u64,
    /// Its values when it has at most 64 numbers.
    pub(super) small: Option<Vec<f64>>,
}

#[derive(Default)]
struct Raw<'a> {
    dims: Vec<i64>,
    element: i64,
    bytes: Option<&'a [u8]>,
    /// Elements in the typed arrays: f32, i32, i64, f64, string.
    counts: [u64; 5],
    bad: bool,
    /// An integer array holds the bits of a half float that is not finite.
    bad_half: bool,
    values: Vec<f64>,
    external: bool,
}

/// Reads and checks one tensor.
///
/// # Errors
/// External data, an unsupported type, a length that does not match the shape, NaN or infinite weights.
pub(super) fn read<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Tensor<'a>, ScanError> {
    let mut name = "";
    let mut raw = Raw::default();
    for field in Fields::new(bytes) {
        let (number, value) = field?;
        raw.take(number, value, &mut name, limits)?;
    }
    if raw.external {
        return Err(ScanError::ExternalWeights { tensor: name.into() });
    }
    if raw.dims.len() > 16 {
        return Err(ScanError::TooMany { what: "dimensions in one tensor", limit: 16 });
    }
    let dims = raw.dims.iter().map(|&dim| u64::try_from(dim).ok()).collect::<Option<Vec<_>>>();
    let elements =
        dims.as_ref().and_then(|dims| dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim)));
    let (Some(dims), Some(elements)) = (dims, elements) else {
        return Err(ScanError::TensorLength { tensor: name.into(), expected: u64::MAX, found: 0 });
    };
    raw.check_length(name, elements)?;
    raw.check_finite(name, elements)?;
    let small = (elements <= SMALL && raw.element != 8).then(|| raw.small(elements)).flatten();
    Ok(Tensor { name, dims, elements, small })
}

impl<'a> Raw<'a> {
    fn take(
        &mut self,
        number: u32,
        value: Value<'a>,
        name: &mut &'a str,
        limits: &Limits,
    ) -> Result<(), ScanError> {
        let (counts, values, bad) = (&mut self.counts, &mut self.values, &mut self.bad);
        let mut keep = |slot: usize, value: f64| {
            counts[slot] += 1;
            *bad |= !value.is_finite();
            if values.len() < SMALL as usize {
                values.push(value);
            }
        };
        match number {
            1 => {
                let dims = &mut self.dims;
                integers(value, &mut |dim| {
                    // One more than allowed is enough to refuse it.
                    if dims.len() <= 16 {
                        dims.push(dim);
                    }
                })?;
            }
            2 => self.element = value.integer()?,
            4 => floats(value, &mut |v| keep(0, f64::from(v)))?,
            5 => {
                let bad_half = &mut self.bad_half;
                integers(value, &mut |v| {
                    *bad_half |= v & 0x7c00 == 0x7c00;
                    keep(1, v as f64);
                })?;
            }
            6 => {
                value.bytes()?;
                self.counts[4] += 1;
                if self.counts[4] > limits.tensors as u64 {
                    return Err(ScanError::TooMany { what: "strings in one tensor", limit: limits.tensors });
                }
            }
            7 | 11 => integers(value, &mut |v| keep(2, v as f64))?,
            8 => *name = value.text()?,
            9 => self.bytes = Some(value.bytes()?),
            10 => doubles(value, &mut |v| keep(3, v))?,
            13 => self.external = true,
            14 => self.external |= value.integer()? == 1,
            _ => {}
        }
        Ok(())
    }

    fn check_length(&self, name: &str, expected: u64) -> Result<(), ScanError> {
        let refused = || ScanError::ElementType { tensor: name.into(), element: element_name(self.element) };
        let typed = match self.element {
            1 => 0,
            2..=6 | 9 | 10 => 1,
            7 => 2,
            11 => 3,
            12 | 13 => 2,
            8 => 4,
            _ => return Err(refused()),
        };
        let found = match self.bytes {
            Some(bytes) if !bytes.is_empty() => {
                let size = element_bytes(self.element).ok_or_else(refused)?;
                if !(bytes.len() as u64).is_multiple_of(size) {
                    return Err(ScanError::TensorLength {
                        tensor: name.into(),
                        expected,
                        found: bytes.len() as u64 / size,
                    });
                }
                bytes.len() as u64 / size
            }
            _ => self.counts[typed],
        };
        if found != expected {
            return Err(ScanError::TensorLength { tensor: name.into(), expected, found });
        }
        Ok(())
    }

    /// One infinite number is a legal bound (of a `Clip`, of a mask); several are weights.
    fn check_finite(&self, name: &str, elements: u64) -> Result<(), ScanError> {
        let bytes = self.bytes.unwrap_or_default();
        let bad = match self.element {
            1 => bytes.as_chunks::<4>().0.iter().any(|c| u32::from_le_bytes(*c) & 0x7f80_0000 == 0x7f80_0000),
            10 => bytes.as_chunks::<2>().0.iter().any(|c| u16::from_le_bytes(*c) & 0x7c00 == 0x7c00),
            11 => bytes.as_chunks::<8>().0.iter().any(|c| !f64::from_le_bytes(*c).is_finite()),
            _ => false,
        };
        if !(bad || self.bad || (self.element == 10 && bytes.is_empty() && self.bad_half)) {
            return Ok(());
        }
        let infinite = self.small(elements).is_some_and(|values| values.iter().all(|v| !v.is_nan()));
        if elements == 1 && infinite { Ok(()) } else { Err(ScanError::NonFinite { tensor: name.into() }) }
    }

    /// The values of a small tensor, whichever way they are stored.
    fn small(&self, elements: u64) -> Option<Vec<f64>> {
        let bytes = match self.bytes {
            Some(bytes) if !bytes.is_empty() => bytes,
            // Half floats lie in an integer array as bits: not worth decoding.
            _ => {
                return (self.element != 10 && self.values.len() as u64 == elements)
                    .then(|| self.values.clone());
            }
        };
        if elements > SMALL {
            return None;
        }
        let half = |bits: [u8; 2]| half::f16::from_le_bytes(bits).to_f64();
        Some(match self.element {
            1 => bytes.as_chunks().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect(),
            2 | 9 => bytes.iter().map(|&b| f64::from(b)).collect(),
            3 => bytes.iter().map(|&b| f64::from(b as i8)).collect(),
            6 => bytes.as_chunks().0.iter().map(|c| f64::from(i32::from_le_bytes(*c))).collect(),
            7 => bytes.as_chunks().0.iter().map(|c| i64::from_le_bytes(*c) as f64).collect(),
            10 => bytes.as_chunks().0.iter().map(|c| half(*c)).collect(),
            11 => bytes.as_chunks().0.iter().map(|c| f64::from_le_bytes(*c)).collect(),
            12 => bytes.as_chunks().0.iter().map(|c| f64::from(u32::from_le_bytes(*c))).collect(),
            13 => bytes.as_chunks().0.iter().map(|c| u64::from_le_bytes(*c) as f64).collect(),
            _ => return None,
        })
    }
}
