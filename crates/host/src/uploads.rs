//! Files under way from a board: `incoming/<hex>` in the folder of their job, until they are whole.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use graft_wire::digest::hex;
use graft_wire::offload::Blob;

/// Files that a request is writing just now: a second one for the same file waits.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl Uploads {
    /// The right to write this file, held until it is dropped.
    pub(crate) async fn lock(&self, path: &Path) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(open.entry(path.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

/// Where a file under way lies.
pub(crate) fn path(job_folder: &Path, blob: &Blob) -> PathBuf {
    job_folder.join("incoming").join(blob.hex())
}

/// How many bytes of it are here.
pub(crate) fn received(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

/// Opens a file under way to go on at `from`, which has to be its present end.
///
/// # Errors
/// What the system said.
pub(crate) fn append(path: &Path, from: u64) -> io::Result<File> {
    std::fs::create_dir_all(graft_base::whole_file::folder(path))?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.seek(SeekFrom::Start(from))?;
    Ok(file)
}

/// Makes sure that what was written is on disk.
///
/// # Errors
/// What the system said.
pub(crate) fn sync(mut file: File) -> io::Result<()> {
    file.flush()?;
    file.sync_data()
}

/// Whether a file that has all its bytes is the one its digest names. Another one is removed: it starts again.
///
/// # Errors
/// What the system said.
pub(crate) fn is_whole(path: &Path, blob: &Blob) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    let whole = hex(&digest.finalize()) == blob.hex();
    if !whole {
        std::fs::remove_file(path)?;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_file_comes_in_pieces_and_is_checked_whole() {
        let dir = TempDir::new().unwrap();
        let blob = Blob::of(b"0123456789");
        let path = path(dir.path(), &blob);
        assert_eq!(received(&path), 0);
        for piece in [&b"01234"[..], b"56789"] {
            let mut file = append(&path, received(&path)).unwrap();
            file.write_all(piece).unwrap();
            sync(file).unwrap();
        }
        assert_eq!(received(&path), 10);
        assert!(is_whole(&path, &blob).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn a_file_of_other_bytes_is_removed_to_start_again() {
        let dir = TempDir::new().unwrap();
        let blob = Blob::of(b"right");
        let path = path(dir.path(), &blob);
        append(&path, 0).unwrap().write_all(b"wrong").unwrap();
        assert!(!is_whole(&path, &blob).unwrap());
        assert_eq!(received(&path), 0);
        assert!(!path.exists());
        assert_eq!(is_whole(&path, &blob).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_second_request_for_a_file_waits_and_another_file_does_not() {
        let uploads = Uploads::default();
        let (one, other) = (Path::new("jobs/a/incoming/1"), Path::new("jobs/a/incoming/2"));
        let first = uploads.lock(one).await;
        let mut second = std::pin::pin!(uploads.lock(one));
        // Polled once: it waits.
        let waits = std::future::poll_fn(|context| {
            std::task::Poll::Ready(second.as_mut().poll(context).is_pending())
        });
        assert!(waits.await);
        drop(uploads.lock(other).await);
        drop(first);
        drop(second.await);
        // Locks that nobody holds are forgotten.
        drop(uploads.lock(other).await);
        assert_eq!(uploads.open.lock().unwrap().len(), 1);
    }
}
