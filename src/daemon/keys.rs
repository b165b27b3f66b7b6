//! The device's signing key: made at first start, readable by its owner alone.

use crate::wire::Key;
use anyhow::{Context, Result, bail};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FILE: &str = "device.key";
const BYTES: usize = 32;

/// Reads the key of this state folder, or makes one. The file holds the 32 bytes of the seed.
///
/// # Errors
/// A key file of another size, one that others can read, or one that cannot be read or written. A key
/// is never replaced silently: whoever pinned it would refuse every head from then on.
pub fn load_or_make(dir: &Path) -> Result<Key> {
    let path = dir.join(FILE);
    let name = path.display();
    if let Ok(meta) = fs::metadata(&path) {
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!(
                "{name} can be read by others (mode {mode:o}): run `chmod 600 {name}`, and consider it known"
            );
        }
        let bytes = fs::read(&path)
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
    // Whole or not there: a half-written key would lock the daemon out for ever.
    let fresh = dir.join(format!("{FILE}.new"));
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&seed)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    write().with_context(|| format!("{name} cannot be written"))?;
    tracing::info!(path = %name, "made this device's signing key");
    Ok(Key::from_seed(&mut seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_kept_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_make(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load_or_make(dir.path()).unwrap().id(), first.id());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_make(dir.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(load_or_make(dir.path()).unwrap_err().to_string().contains("backup"));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
