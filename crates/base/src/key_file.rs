//! The signing key of a device or a host: made at first start, readable by its owner alone.

use crate::whole_file;
use anyhow::{Context, Result, bail};
use graft_wire::Key;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const BYTES: usize = 32;

/// Reads the key of this file, or makes one. The file holds the 32 bytes of the seed.
///
/// # Errors
/// A key file of another size, one that others can read, or one that cannot be read or written. A key
/// is never replaced silently: whoever pinned it would refuse every head from then on.
pub fn load_or_make(path: &Path) -> Result<Key> {
    let name = path.display();
    // Two processes at a first start, `graft host run` and `graft host keys`, must not each make a key.
    let folder = fs::File::open(whole_file::folder(path))
        .with_context(|| format!("the folder of {name} cannot be opened"))?;
    folder.lock().with_context(|| format!("the folder of {name} cannot be locked"))?;
    if let Ok(meta) = fs::metadata(path) {
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!(
                "{name} can be read by others (mode {mode:o}): run `chmod 600 {name}`, and consider it known"
            );
        }
        let bytes = fs::read(path)
            .with_context(|| format!("{name} cannot be read; it must belong to graft's user"))?;
        let Ok(mut seed) = <[u8; BYTES]>::try_from(bytes) else {
            bail!(
                "{name} is not a key of {BYTES} bytes: restore it from a backup, or move it away for a new key"
            );
        };
        return Ok(Key::from_seed(&mut seed));
    }
    let mut seed = [0u8; BYTES];
    getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("no random numbers from the kernel: {e}"))?;
    // Atomic: a half-written key could never be used again.
    whole_file::write(path, &seed, 0o600).with_context(|| format!("{name} cannot be written"))?;
    tracing::info!(path = %name, "made a signing key");
    Ok(Key::from_seed(&mut seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_get_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_make(&path).unwrap().id())).collect();
            made.into_iter().map(|thread| thread.join().unwrap().to_string()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_key_is_made_once_kept_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let first = load_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load_or_make(&path).unwrap().id(), first.id());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_make(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(load_or_make(&path).unwrap_err().to_string().contains("backup"));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
