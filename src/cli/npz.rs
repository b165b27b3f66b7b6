//! Arrays as numpy keeps them: `.npy` records in an uncompressed zip file, readable without pickle.

use graft_base::whole_file;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes an `.npz` file array by array, into `path.part` until [`Writer::finish`] gives it its name.
pub struct Writer {
    zip: ZipWriter<BufWriter<File>>,
    part: std::path::PathBuf,
    path: std::path::PathBuf,
}

impl Writer {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = std::path::PathBuf::from(name);
        let zip = ZipWriter::new(BufWriter::new(File::create(&part)?));
        Ok(Self { zip, part, path: path.to_owned() })
    }

    /// Numbers of shape `[rows, width]`, row-major.
    pub fn floats(&mut self, name: &str, rows: usize, width: usize, values: &[f32]) -> io::Result<()> {
        if rows.checked_mul(width) != Some(values.len()) {
            return Err(io::Error::other(format!(
                "{name}: {} numbers are not {rows} x {width}",
                values.len()
            )));
        }
        self.begin(name, "<f4", &[rows, width])?;
        write_all(&mut self.zip, values.iter().map(|value| value.to_le_bytes()))
    }

    /// Whole numbers of shape `[n]`.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> io::Result<()> {
        self.begin(name, "<i8", &[values.len()])?;
        write_all(&mut self.zip, values.iter().map(|value| value.to_le_bytes()))
    }

    /// Texts of shape `[n]`, as numpy's unicode of one width: UTF-32, filled up with zeros.
    pub fn texts(&mut self, name: &str, values: &[String]) -> io::Result<()> {
        let width = values.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
        self.begin(name, &format!("<U{width}"), &[values.len()])?;
        let letters = values.iter().flat_map(|text| {
            text.chars().map(u32::from).chain(std::iter::repeat(0)).take(width).map(u32::to_le_bytes)
        });
        write_all(&mut self.zip, letters)
    }

    /// Ends the file, brings it to disk and gives it its name.
    pub fn finish(self) -> io::Result<()> {
        let file = self.zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        whole_file::place(&self.part, &self.path)
    }

    fn begin(&mut self, name: &str, kind: &str, shape: &[usize]) -> io::Result<()> {
        // Large from the start: an array may pass 4 GiB.
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        self.zip.start_file(format!("{name}.npy"), options)?;
        self.zip.write_all(&header(kind, shape))
    }
}

/// The header of one `.npy` record, format 1.0: magic, version, length, a Python literal, filled up to 64 bytes.
fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let shape = if shape.matches(',').count() == 1 { shape.trim_end() } else { shape.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let whole = (10 + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(' ', whole - 10 - text.len() - 1));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // Two dimensions and a short type never come near 64 KiB.
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

fn write_all<const N: usize>(
    to: &mut ZipWriter<impl Write + Seek>,
    values: impl Iterator<Item = [u8; N]>,
) -> io::Result<()> {
    let mut block = Vec::with_capacity(1 << 16);
    for value in values {
        block.extend(value);
        if block.len() + N > 1 << 16 {
            to.write_all(&block)?;
            block.clear();
        }
    }
    to.write_all(&block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn sample(path: &Path) {
        let mut npz = Writer::create(path).unwrap();
        npz.floats("X", 2, 3, &[1.0, -2.5, 3.0, 4.0, 5.0, 6.25]).unwrap();
        npz.integers("y", &[0, -1]).unwrap();
        npz.texts("files", &["ants/a.jpg".into(), "bees/ü😀.jpg".into()]).unwrap();
        npz.texts("classes", &[]).unwrap();
        npz.finish().unwrap();
    }

    #[test]
    fn records_are_byte_for_byte_what_numpy_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        sample(&path);
        assert!(!folder.path().join("a.npz.part").exists());
        let mut zip = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut read = |name: &str| {
            let mut bytes = Vec::new();
            zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let y = read("y.npy");
        assert_eq!(&y[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let text = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(std::str::from_utf8(&y[10..128]).unwrap(), format!("{text:117}\n"));
        assert_eq!(&y[128..], [0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
        let x = read("X.npy");
        assert!(x.windows(18).any(|w| w == b"'shape': (2, 3), }"), "{}", String::from_utf8_lossy(&x));
        assert_eq!(x.len(), 128 + 6 * 4);
        let files = read("files.npy");
        assert!(files.windows(5).any(|w| w == b"<U11'"), "{}", String::from_utf8_lossy(&files));
        assert_eq!(files.len(), 128 + 2 * 11 * 4);
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut npz = Writer::create(&folder.path().join("a.npz")).unwrap();
        assert!(npz.floats("X", 2, 2, &[1.0]).is_err());
    }

    #[test]
    fn numpy_loads_it_without_pickle() {
        let python = ["/usr/bin/python3", "python3"].into_iter().find(|python| {
            let probe = std::process::Command::new(python).args(["-c", "import numpy"]).output();
            probe.is_ok_and(|out| out.status.success())
        });
        let Some(python) = python else {
            return graft_testing::skip("numpy", "no python3 here has numpy (apt-get install python3-numpy)");
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        sample(&path);
        let script = "import sys, numpy as n
z = n.load(sys.argv[1], allow_pickle=False)
assert sorted(z.files) == ['X', 'classes', 'files', 'y'], z.files
assert z['X'].dtype == n.float32 and z['X'].tolist() == [[1, -2.5, 3], [4, 5, 6.25]], z['X']
assert z['y'].dtype == n.int64 and z['y'].tolist() == [0, -1], z['y']
assert z['files'].tolist() == ['ants/a.jpg', 'bees/\\u00fc\\U0001f600.jpg'], z['files']
assert z['classes'].shape == (0,) and z['classes'].dtype.kind == 'U', z['classes']";
        let out = std::process::Command::new(python).args(["-c", script]).arg(&path).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}
