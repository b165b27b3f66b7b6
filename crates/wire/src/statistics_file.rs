//! The file of one board's sufficient statistics: sums over its samples from which an exact ridge head follows, alone
//! or together with those of other boards. No picture and no embedding of a single sample is in it, but sums over few
//! samples tell much about them: docs/guide/offload.md says what a board gives away with it.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::fields;
use super::head_file::{HeadFileError, find, guard};
use super::messages::BackboneRef;
use super::topic::is_device_id;
use graft_learn::{MAX_CLASSES, MAX_WIDTH, Statistics};

/// Largest file in bytes.
pub const MAX_BYTES: usize = 512 * 1024 * 1024;
/// The one metadata entry.
const ENTRY: &str = "graft-statistics/1";

/// What the sums are over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatisticsMeta {
    /// The device.
    pub device: String,
    /// Revision of its data set.
    pub rev: i64,
    /// Class names in the order of the rows.
    pub classes: Vec<String>,
    /// The backbone of the embeddings.
    pub backbone: BackboneRef,
    /// The tensor at which it is cut.
    pub tensor: String,
    /// Digest of the preprocessing recipe.
    pub preprocess: String,
}

/// Statistics with what they are over.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsFile {
    /// The sums.
    pub statistics: Statistics,
    /// What they are over.
    pub meta: StatisticsMeta,
}

impl StatisticsFile {
    /// The file: `counts` `[classes]`, `sums` `[classes, width]`, `gram` `[width, width]`, all F64.
    ///
    /// # Errors
    /// When classes and sums do not fit together.
    pub fn encode(&self) -> Result<Vec<u8>, HeadFileError> {
        self.check()?;
        let (counts, sums, gram) = self.statistics.parts();
        let (classes, width) = (counts.len(), self.statistics.width());
        let bytes = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        let broken = |e: safetensors::SafeTensorError| HeadFileError::Broken(e.to_string());
        let data = [
            ("counts", vec![classes], bytes(&counts)),
            ("gram", vec![width, width], bytes(gram)),
            ("sums", vec![classes, width], bytes(sums)),
        ];
        let mut views = Vec::with_capacity(data.len());
        for (name, shape, bytes) in &data {
            views.push((*name, TensorView::new(Dtype::F64, shape.clone(), bytes).map_err(broken)?));
        }
        let meta = super::messages::to_json(&self.meta);
        safetensors::serialize(views, Some(HashMap::from([(ENTRY.to_owned(), meta)]))).map_err(broken)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(file: &[u8]) -> Result<Self, HeadFileError> {
        if file.len() > MAX_BYTES {
            return Err(HeadFileError::TooLarge(file.len()));
        }
        guard(file)?;
        let broken = |e: safetensors::SafeTensorError| HeadFileError::Broken(e.to_string());
        let (_, header) = SafeTensors::read_metadata(file).map_err(broken)?;
        let entry = header.metadata().as_ref().and_then(|entries| entries.get(ENTRY));
        let entry = entry.ok_or_else(|| HeadFileError::Format(format!("it has no entry {ENTRY:?}")))?;
        let meta: StatisticsMeta = serde_json::from_str(entry)
            .map_err(|e| HeadFileError::Meta("statistics", format!("cannot be read: {e}")))?;
        let tensors = SafeTensors::deserialize(file).map_err(broken)?;
        let gram = find(&tensors, "gram")?;
        let (classes, &[width, _]) = (meta.classes.len(), gram.shape()) else {
            return Err(HeadFileError::Tensor("gram".into(), "is not [width, width]".into()));
        };
        if !(1..=MAX_WIDTH).contains(&width) || !(1..=MAX_CLASSES).contains(&classes) {
            let why = format!(
                "is for {classes} classes and width {width}; at most {MAX_CLASSES} and {MAX_WIDTH} are read"
            );
            return Err(HeadFileError::Tensor("gram".into(), why));
        }
        let read = |name: &str, shape: &[usize]| {
            let tensor = find(&tensors, name)?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F64 {
                return Err(HeadFileError::Tensor(name.into(), format!("is not F64 {shape:?}")));
            }
            let values: Vec<f64> =
                tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
            match values.iter().all(|v| v.is_finite()) {
                true => Ok(values),
                false => Err(HeadFileError::NonFinite(name.into(), "")),
            }
        };
        let counts = read("counts", &[classes])?;
        let whole = counts.iter().all(|c| (0.0..=1e15).contains(c) && c.fract() == 0.0);
        if !whole {
            return Err(HeadFileError::Tensor("counts".into(), "holds something that is no count".into()));
        }
        let counts = counts.iter().map(|c| *c as u64).collect();
        let statistics = Statistics::from_parts(
            width,
            counts,
            read("sums", &[classes, width])?,
            read("gram", &[width, width])?,
        )
        .map_err(|e| HeadFileError::Tensor("gram".into(), e.to_string()))?;
        let file = Self { statistics, meta };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), HeadFileError> {
        let meta = &self.meta;
        let count = meta.classes.len() == self.statistics.counts().len();
        fields::rule(count, "classes", "has another number of names than there are sums")?;
        fields::class_names(&meta.classes)?;
        fields::rule(is_device_id(&meta.device), "device", "is no device id")?;
        fields::digest("backbone", &meta.backbone.digest)?;
        fields::digest("preprocess", &meta.preprocess)?;
        Ok(fields::line("tensor", &meta.tensor)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::sha256;
    use proptest::prelude::*;

    fn file() -> StatisticsFile {
        let mut samples = graft_learn::Snapshot::new(3, 2);
        samples.push(&[0.5, -1.0, 2.0], 0, 0).unwrap();
        samples.push(&[1.5, 1.0, 0.25], 1, 1).unwrap();
        let statistics = Statistics::of(&samples).unwrap();
        let meta = StatisticsMeta {
            device: "cam-1".into(),
            rev: 7,
            classes: vec!["ok".into(), "bad".into()],
            backbone: BackboneRef { name: "tiny".into(), digest: sha256(b"b") },
            tensor: "features".into(),
            preprocess: sha256(b"p"),
        };
        StatisticsFile { statistics, meta }
    }

    #[test]
    fn sums_survive_bit_by_bit_and_are_the_same_bytes_each_time() {
        let bytes = file().encode().unwrap();
        assert_eq!(StatisticsFile::decode(&bytes).unwrap(), file());
        assert_eq!(file().encode().unwrap(), bytes);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut bad = file();
        bad.meta.classes.pop();
        assert!(bad.encode().is_err());
        let bytes = file().encode().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(ENTRY));
        assert!(StatisticsFile::decode(&bytes[..bytes.len() - 1]).is_err());
        let mut nan = bytes.clone();
        let at = nan.len() - 8;
        nan[at..].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(matches!(StatisticsFile::decode(&nan), Err(HeadFileError::NonFinite(..))));
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = file().encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = StatisticsFile::decode(&bytes);
        }
    }
}
