//! The socket file, from both sides.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn a_left_over_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deeper").join("s");
    let first = listen(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o007, 0);
    let error = listen(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("running daemon"), "{error}");
    drop(first);
    assert!(path.exists(), "dropping a listener leaves its file");
    let second = listen(&path).unwrap();
    drop(second);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let error = listen(&path).unwrap_err().to_string();
    assert!(error.contains("not a socket"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let error = listen(&dir.path().join("x".repeat(200))).unwrap_err().to_string();
    assert!(error.contains("socket.path"), "{error}");
}

#[test]
fn an_unreachable_daemon_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let reason = |path: &PathBuf| match Client::new(path).get("/v1/status").unwrap_err() {
        ClientError::Unreachable { socket, reason } => {
            assert_eq!(&socket, path);
            reason
        }
        other => panic!("{other:?}"),
    };
    assert!(reason(&path).contains("no such socket"));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(reason(&path).contains("nobody answers"));
    let error = Client::new(&path).command("mode", &json!("x")).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}
