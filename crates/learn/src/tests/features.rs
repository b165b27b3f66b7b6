//! Real embeddings from `../shared/data/features` (or `$GRAFT_SHARED`), and a minimal reader of `.npz` files.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use half::f16;

use crate::Snapshot;

/// One array of an `.npz` file.
pub(crate) enum Array {
    F32 { shape: Vec<usize>, values: Vec<f32> },
    I64(Vec<i64>),
    Text(Vec<String>),
}

impl Array {
    pub(crate) fn f32(&self) -> (&[usize], &[f32]) {
        match self {
            Self::F32 { shape, values } => (shape, values),
            _ => panic!("not an f32 array"),
        }
    }

    pub(crate) fn i64(&self) -> &[i64] {
        match self {
            Self::I64(values) => values,
            _ => panic!("not an i64 array"),
        }
    }

    pub(crate) fn text(&self) -> &[String] {
        match self {
            Self::Text(values) => values,
            _ => panic!("not a text array"),
        }
    }
}

/// The arrays of one feature file; `None` where it is not there and a test may go without.
pub(crate) fn read(name: &str) -> Option<BTreeMap<String, Array>> {
    read_shared(&format!("data/features/{name}"))
}

/// The arrays of a file of the shared folder; none, said aloud, where it is not there.
pub(crate) fn read_shared(path: &str) -> Option<BTreeMap<String, Array>> {
    let root = std::env::var_os("GRAFT_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join(path);
    let Ok(file) = std::fs::File::open(&path) else {
        graft_testing::skip("shared", &format!("{} is not there (set GRAFT_SHARED)", path.display()));
        return None;
    };
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut out = BTreeMap::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let name = entry.name().unwrap().trim_end_matches(".npy").to_owned();
        out.insert(name, parse(&bytes));
    }
    Some(out)
}

fn parse(bytes: &[u8]) -> Array {
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let (length, start) = match bytes[6] {
        1 => (usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), 10),
        _ => (u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize, 12),
    };
    let header = std::str::from_utf8(&bytes[start..start + length]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let after = |key: &str| header.split(key).nth(1).unwrap();
    let kind = after("'descr': '").split('\'').next().unwrap();
    let shape: Vec<usize> = after("'shape': (")
        .split(')')
        .next()
        .unwrap()
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    let body = &bytes[start + length..];
    match kind {
        "<f4" => {
            Array::F32 { shape, values: body.as_chunks().0.iter().map(|&c| f32::from_le_bytes(c)).collect() }
        }
        "<f2" => {
            let half = body.as_chunks().0.iter().map(|&c| f16::from_le_bytes(c).to_f32());
            Array::F32 { shape, values: half.collect() }
        }
        "<i8" => Array::I64(body.as_chunks().0.iter().map(|&c| i64::from_le_bytes(c)).collect()),
        text => {
            let letters: usize = text.trim_start_matches("<U").parse().unwrap();
            let words = body.chunks_exact(4 * letters).map(|word| {
                let letters = word.as_chunks().0.iter().map(|&c| u32::from_le_bytes(c));
                letters.take_while(|&c| c != 0).filter_map(char::from_u32).collect()
            });
            Array::Text(words.collect())
        }
    }
}

/// A snapshot of rows `[rows, width]`.
pub(crate) fn snapshot(
    rows: &[f32],
    width: usize,
    labels: &[i64],
    bursts: &[u64],
    classes: usize,
) -> Snapshot {
    let mut snapshot = Snapshot::new(width, classes);
    for ((row, &label), &burst) in rows.chunks_exact(width).zip(labels).zip(bursts) {
        snapshot.push(row, u32::try_from(label).unwrap(), burst).unwrap();
    }
    snapshot
}

/// Training and validation snapshots of a feature file; every photo is its own burst.
pub(crate) fn pair(name: &str) -> Option<(Snapshot, Snapshot)> {
    let arrays = read(name)?;
    let classes = arrays["classes"].text().len();
    let half = |part: &str| {
        let (shape, values) = arrays[&format!("X_{part}")].f32();
        let bursts: Vec<u64> = (0..shape[0] as u64).collect();
        snapshot(values, shape[1], arrays[&format!("y_{part}")].i64(), &bursts, classes)
    };
    Some((half("train"), half("val")))
}

/// The bottle stream, first and second half, without `unclear`; a burst is a run of one label.
pub(crate) fn bottle() -> Option<(Snapshot, Snapshot)> {
    let arrays = read("stream_bottle__mobilenetv2_1.0_224_imagenet.npz")?;
    let (shape, values) = arrays["X"].f32();
    let names = ["full", "hand", "missing"];
    let mut halves = [Snapshot::new(shape[1], 3), Snapshot::new(shape[1], 3)];
    let mut burst = 0;
    let mut last = "";
    for (at, label) in arrays["label"].text().iter().enumerate() {
        if label != last {
            burst += 1;
            last = label;
        }
        if let Some(class) = names.iter().position(|name| name == label) {
            let half = usize::from(at >= shape[0] / 2);
            let row = &values[at * shape[1]..(at + 1) * shape[1]];
            halves[half].push(row, class as u32, burst).unwrap();
        }
    }
    let [first, second] = halves;
    Some((first, second))
}
