//! A real board and a real host over HTTPS: what is sent only to a host whose certificate can be checked.

use super::Host;
use crate::offload::{ended, taught};
use crate::support::{Board, PATIENCE, broker};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An authority, and a certificate of 127.0.0.1 by it; false where openssl is not installed and a test may go without.
fn certificates(dir: &Path) -> bool {
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca",
        "req -newkey rsa:2048 -nodes -keyout host.key -out host.csr -subj /CN=host",
        "x509 -req -in host.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out host.crt -days 2 -extfile san",
    ]
    .iter()
    .all(|arguments| {
        match Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                true
            }
            Err(_) => {
                graft_testing::skip("openssl", "openssl is not installed (apt-get install openssl)");
                false
            }
        }
    })
}

#[test]
fn pictures_go_to_a_host_whose_certificate_is_known_and_to_no_other() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    if !certificates(dir.path()) {
        return;
    }
    let file = |name: &str| dir.path().join(name).display().to_string();
    // An engine that has everything it needs, and finds nothing better.
    std::fs::write(file("engine"), "test -s \"$1/job.json\" -a -s \"$1/samples.jsonl\" || exit 2\nexit 3\n")
        .unwrap();
    let mut host = Host::new(dir.path(), "gpu-1", &broker, &dir.path().join("engine"));
    host.set(format!("http.cert_file={}", file("host.crt")));
    host.set(format!("http.key_file={}", file("host.key")));
    host.start();
    let mut board = taught(Board::on(&broker), &host.key());
    let job = board.json(&["offload", "start"])["id"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    while !board.log().contains("sending to the host broke off") {
        assert!(begun.elapsed() < PATIENCE, "the host is not refused:\n{}\n{}", board.log(), host.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(board.log().to_lowercase().contains("certificate"), "{}", board.log());
    // The job outlives the restart; now the board knows who signs the host's certificate.
    board.stop();
    board.set("offload.ca_file", &file("ca.crt"));
    board.start();
    let job = ended(&board, &job);
    assert_eq!((&job["status"], &job["error"]["code"]), (&"failed".into(), &"regression".into()), "{job:#}");
    assert!(host.log().contains("https://127.0.0.1:"), "{}", host.log());
}
