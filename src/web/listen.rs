//! The socket file: its permissions, and how a left-over one is replaced.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::UnixListener;

/// Owner and group, nobody else.
const MODE: u32 = 0o660;

/// Listens on `path`, mode 0660. The socket of a daemon that no longer runs is replaced; one that answers is not.
/// Must be called on a tokio runtime.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] when another daemon answers there; otherwise what the system said. The texts
/// name the path and say what to do.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let explain = |error: io::Error, todo: &str| {
        io::Error::new(error.kind(), format!("cannot listen on {}: {error}; {todo}", path.display()))
    };
    let refuse = |kind, text: &str| Err(io::Error::new(kind, format!("{} {text}", path.display())));
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return refuse(
                io::ErrorKind::AlreadyExists,
                "is not a socket: move it away or set socket.path to another path",
            );
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return refuse(
                    io::ErrorKind::AddrInUse,
                    "is in use by a running daemon: stop it first, or set socket.path to another path",
                );
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|e| explain(e, "remove the left-over socket"))?;
            }
            Err(error) => return Err(explain(error, "is it another user's daemon?")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o750)
                    .create(dir)
                    .map_err(|e| explain(e, "create its folder or set socket.path to another path"))?;
            }
        }
        Err(error) => return Err(explain(error, "set socket.path to another path")),
    }
    let listener = UnixListener::bind(path)
        .map_err(|error| explain(error, "set socket.path to another path (at most 107 bytes long)"))?;
    fs::set_permissions(path, Permissions::from_mode(MODE))
        .map_err(|e| explain(e, "its mode must be 0660"))?;
    Ok(listener)
}
