//! Reads arrays as numpy keeps them: `.npy` records in an uncompressed zip file, readable without pickle. `graft embed`
//! writes such files.

use anyhow::{Context, Result, anyhow};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zip::ZipArchive;

/// Reads an `.npz` file array by array.
pub struct Reader {
    zip: ZipArchive<File>,
    path: String,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
        let zip = ZipArchive::new(file).with_context(|| format!("{name} is no .npz file"))?;
        Ok(Self { zip, path: name })
    }

    /// Whether there is such an array.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{name}.npy")).is_some()
    }

    /// Shape and values of an array of f32.
    pub fn floats(&mut self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let (shape, bytes) = self.array(name, "<f4")?;
        Ok((shape, bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()))
    }

    /// Values of an array of i64.
    pub fn integers(&mut self, name: &str) -> Result<Vec<i64>> {
        let (_, bytes) = self.array(name, "<i8")?;
        Ok(bytes.as_chunks().0.iter().map(|&value| i64::from_le_bytes(value)).collect())
    }

    /// Values of an array of texts, as numpy's unicode of one width.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        let (shape, bytes) = self.array(name, "<U")?;
        let count = shape.first().copied().unwrap_or(0);
        let width = bytes.len().checked_div(count).unwrap_or(0).max(4);
        let letter = |four: &[u8; 4]| char::from_u32(u32::from_le_bytes(*four)).filter(|c| *c != '\0');
        let text = |one: &[u8]| one.as_chunks().0.iter().map_while(letter).collect();
        Ok(bytes.chunks_exact(width).map(text).collect())
    }

    /// Shape and bytes of one record whose kind begins so.
    fn array(&mut self, name: &str, kind: &str) -> Result<(Vec<usize>, Vec<u8>)> {
        let wrong = || format!("{}: {name} is no row-major array of {kind} as numpy writes them", self.path);
        let mut entry = self.zip.by_name(&format!("{name}.npy"))?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let length = match bytes.get(..12).with_context(wrong)? {
            [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
                10 + usize::from(u16::from_le_bytes([*low, *high]))
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', _, _, a, b, c, d] => {
                12usize.saturating_add(u32::from_le_bytes([*a, *b, *c, *d]) as usize)
            }
            _ => return Err(anyhow!(wrong())),
        };
        let header = bytes.get(..length).map(String::from_utf8_lossy).with_context(wrong)?;
        let plain =
            header.contains(&format!("'descr': '{kind}")) && header.contains("'fortran_order': False");
        let numbers = header.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let (numbers, _) = numbers.filter(|_| plain).with_context(wrong)?;
        let shape = numbers.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        Ok((shape, bytes.split_off(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    /// A record of format 1.0 under the header that numpy writes.
    fn record(kind: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        let mut all = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        all.extend(format!("{text:117}\n").into_bytes());
        all.extend(bytes);
        all
    }

    #[test]
    fn arrays_of_numpy_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let values: Vec<u8> =
            [1.0f32, -2.5, 3.0, 4.0, 5.0, 6.25].iter().flat_map(|v| v.to_le_bytes()).collect();
        let labels: Vec<u8> = [0i64, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
        let texts: Vec<u8> = "ab\0cde".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for (name, bytes) in [
            ("X", record("<f4", "(2, 3)", &values)),
            ("y", record("<i8", "(2,)", &labels)),
            ("files", record("<U3", "(2,)", &texts)),
        ] {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        zip.finish().unwrap();
        let mut file = Reader::open(&path).unwrap();
        assert!(file.has("X") && !file.has("Z"));
        assert_eq!(file.floats("X").unwrap(), (vec![2, 3], vec![1.0, -2.5, 3.0, 4.0, 5.0, 6.25]));
        assert_eq!(file.integers("y").unwrap(), [0, -1]);
        assert_eq!(file.texts("files").unwrap(), ["ab", "cde"]);
        assert!(file.floats("y").unwrap_err().to_string().contains("y is no row-major array of <f4"));
        assert!(Reader::open(&folder.path().join("b.npz")).is_err());
    }
}
