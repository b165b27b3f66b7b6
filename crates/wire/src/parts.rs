//! A head file in parts small enough for any broker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest;
use super::head_file;

/// Largest part in bytes.
pub const PART_BYTES: usize = 64 * 1024;
/// Most parts of a head file.
pub const MAX_PARTS: usize = head_file::MAX_BYTES / PART_BYTES;

/// One part of a head file, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its place, from 0; the last level of its topic.
    pub n: u32,
    /// Its length in bytes.
    pub len: u32,
    /// `sha256:<hex>` of its bytes.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub sha256: String,
}

/// Why parts do not make a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// None, or over [`MAX_PARTS`].
    #[error("a head has 1 to {MAX_PARTS} parts; this one lists {0}")]
    Count(usize),
    /// The list is not numbered 0, 1, 2, …
    #[error("part {0} of the list is not numbered {0}")]
    Order(usize),
    /// A length of 0 or over [`PART_BYTES`].
    #[error("part {0} says it has {1} bytes; a part has 1 to {PART_BYTES}")]
    Listed(u32, u32),
    /// The file is too large.
    #[error("a head of {0} bytes is over the limit of {max}", max = head_file::MAX_BYTES)]
    TooLarge(usize),
    /// A part is not there yet.
    #[error("part {0} is missing; wait for it or fetch it again")]
    Missing(u32),
    /// A part has another length than listed.
    #[error("part {n} has {found} bytes, the manifest says {listed}; fetch it again")]
    Length {
        /// The part.
        n: u32,
        /// Bytes by the manifest.
        listed: u32,
        /// Bytes there are.
        found: usize,
    },
    /// A part has another digest than listed.
    #[error("part {0} does not have the digest of the manifest; fetch it again")]
    Digest(u32),
}

/// Cuts `file` into parts. Gives the list for the manifest and the bytes of each.
pub fn split(file: &[u8]) -> Result<(Vec<Part>, Vec<&[u8]>), PartError> {
    if file.len() > head_file::MAX_BYTES {
        return Err(PartError::TooLarge(file.len()));
    }
    let bytes: Vec<&[u8]> = file.chunks(PART_BYTES).collect();
    if bytes.is_empty() {
        return Err(PartError::Count(0));
    }
    let list = (0u32..)
        .zip(&bytes)
        // A part is at most 64 KiB long.
        .map(|(n, part)| Part { n, len: part.len() as u32, sha256: digest::sha256(part) })
        .collect();
    Ok((list, bytes))
}

/// Checks a list by itself and gives the size of the file.
pub fn check(list: &[Part]) -> Result<usize, PartError> {
    if list.is_empty() || list.len() > MAX_PARTS {
        return Err(PartError::Count(list.len()));
    }
    let mut size = 0;
    for (place, part) in list.iter().enumerate() {
        if part.n as usize != place {
            return Err(PartError::Order(place));
        }
        if part.len == 0 || part.len as usize > PART_BYTES {
            return Err(PartError::Listed(part.n, part.len));
        }
        size += part.len as usize;
    }
    Ok(size)
}

/// Puts a file together again. `fetched` gives the bytes of a part by its number, `None` while it is not
/// there. Nothing is allocated before the list was checked, and every part is checked before it is used.
pub fn join<'b>(
    list: &[Part],
    mut fetched: impl FnMut(u32) -> Option<&'b [u8]>,
) -> Result<Vec<u8>, PartError> {
    let size = check(list)?;
    let mut file = Vec::with_capacity(size);
    for part in list {
        let bytes = fetched(part.n).ok_or(PartError::Missing(part.n))?;
        check_part(part, bytes)?;
        file.extend_from_slice(bytes);
    }
    Ok(file)
}

/// Checks the bytes of one part against the list.
pub fn check_part(part: &Part, bytes: &[u8]) -> Result<(), PartError> {
    if bytes.len() != part.len as usize {
        return Err(PartError::Length { n: part.n, listed: part.len, found: bytes.len() });
    }
    if digest::sha256(bytes) != part.sha256 {
        return Err(PartError::Digest(part.n));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn a_file_over_one_part_comes_back_whole() {
        for len in [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES + 17] {
            let file = file(len);
            let (list, bytes) = split(&file).unwrap();
            assert_eq!(list.len(), len.div_ceil(PART_BYTES));
            assert_eq!(check(&list), Ok(len));
            assert_eq!(join(&list, |n| bytes.get(n as usize).copied()).unwrap(), file);
        }
    }

    #[test]
    fn each_fault_is_named() {
        let file = file(2 * PART_BYTES + 5);
        let (list, bytes) = split(&file).unwrap();
        let get = |n: u32| bytes.get(n as usize).copied();
        assert_eq!(join(&list, |n| if n == 1 { None } else { get(n) }), Err(PartError::Missing(1)));
        assert_eq!(
            join(&list, |n| if n == 2 { Some(&b"four"[..]) } else { get(n) }),
            Err(PartError::Length { n: 2, listed: 5, found: 4 })
        );
        assert_eq!(join(&list, |n| if n == 0 { get(1) } else { get(n) }), Err(PartError::Digest(0)));

        let mut swapped = list.clone();
        swapped.swap(0, 1);
        assert_eq!(check(&swapped), Err(PartError::Order(0)));
        let mut long = list.clone();
        long[1].len = PART_BYTES as u32 + 1;
        assert_eq!(check(&long), Err(PartError::Listed(1, PART_BYTES as u32 + 1)));
        let mut empty = list.clone();
        empty[1].len = 0;
        assert_eq!(check(&empty), Err(PartError::Listed(1, 0)));
        assert_eq!(check(&[]), Err(PartError::Count(0)));
        assert_eq!(split(b""), Err(PartError::Count(0)));
        let many: Vec<Part> = (0..=MAX_PARTS as u32).map(|n| Part { n, ..list[0].clone() }).collect();
        assert_eq!(check(&many), Err(PartError::Count(MAX_PARTS + 1)));
        assert_eq!(
            split(&vec![0; head_file::MAX_BYTES + 1]),
            Err(PartError::TooLarge(head_file::MAX_BYTES + 1))
        );
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_noticed(len in 1usize..5000, at in any::<prop::sample::Index>(), bit in 0..8) {
            let file = file(len);
            let (list, _) = split(&file).unwrap();
            let mut broken = file.clone();
            broken[at.index(len)] ^= 1u8 << bit;
            prop_assert_eq!(join(&list, |_| Some(broken.as_slice())), Err(PartError::Digest(0)));
        }
    }
}
