//! Passwords and TLS.

use std::path::{Path, PathBuf};

use super::*;

/// An authority, and a broker's certificate for `name` made by it, valid from now for `days`.
fn certificates(dir: &Path, name: &str) -> Option<()> {
    openssl(dir, "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=test-ca")?;
    openssl(dir, "req -newkey rsa:2048 -nodes -keyout b.key -out b.csr -subj /CN=broker")?;
    std::fs::write(dir.join("san"), format!("subjectAltName={name}\n")).unwrap();
    openssl(
        dir,
        "x509 -req -in b.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out b.crt -days 2 -extfile san",
    )
}

fn tls_lines(dir: &Path) -> Vec<String> {
    ["cafile ca.crt", "certfile b.crt", "keyfile b.key"]
        .map(|line| {
            let (key, file) = line.split_once(' ').unwrap();
            format!("{key} {}", dir.join(file).display())
        })
        .to_vec()
}

/// A broker with TLS, whose readiness is seen by a plain TCP connect.
fn tls_broker(dir: &Path, name: &str, more: &[&str]) -> Option<Broker> {
    if broker::find().is_none() {
        skip("mosquitto", "mosquitto is not installed (sudo apt install mosquitto)");
        return None;
    }
    certificates(dir, name)?;
    let mut options = Options { lines: tls_lines(dir), ..Options::default() };
    options.lines.extend(more.iter().map(ToString::to_string));
    Some(Broker::start_with(dir, &options).unwrap())
}

fn tls_settings(port: u16, dir: &Path) -> Settings {
    let ca_file = Some(dir.join("ca.crt"));
    Settings { tls: Tls::On, ca_file, host: "localhost".into(), ..settings(port) }
}

async fn reason(settings: Settings) -> String {
    let mut board = Board::start(settings);
    let reason = board.wait_disconnected().await;
    board.handle.close().await;
    reason
}

/// A password file for mosquitto with one user, `line-3` with `s3cret`.
fn password_file(dir: &Path) -> Option<PathBuf> {
    let path = dir.join("passwords");
    std::fs::write(&path, "").unwrap();
    let mut command = std::process::Command::new("mosquitto_passwd");
    match command.arg("-b").arg(&path).args(["line-3", "s3cret"]).status() {
        Ok(status) if status.success() => Some(path),
        _ => {
            skip("mosquitto", "mosquitto_passwd does not work here (sudo apt install mosquitto)");
            None
        }
    }
}

#[tokio::test]
async fn i18_password_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let Some(passwords) = password_file(dir.path()) else { return };
    let line = format!("password_file {}", passwords.display());
    let Some(broker) = tls_broker(dir.path(), "DNS:localhost", &[&line]) else { return };
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let right = Settings {
        username: "line-3".into(),
        password_file: Some(secret.clone()),
        ..tls_settings(broker.port(), dir.path())
    };
    // The minimal configuration lets anybody in; with a password file a wrong password is still refused.
    let mut board = Board::connected(right.clone()).await;
    board.handle.publish(event("through TLS", 1));
    board.wait_acked(1).await;
    board.handle.close().await;
    std::fs::write(&secret, "wr0ng\n").unwrap();
    let said = reason(right.clone()).await;
    assert!(said.contains("mqtt.password_file") && !said.contains("wr0ng"), "{said}");
    std::fs::remove_file(&secret).unwrap();
    let said = reason(right).await;
    assert!(said.contains("mqtt.password_file") && said.contains("No such file"), "{said}");
}

#[tokio::test]
async fn certificate_faults_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = tls_broker(dir.path(), "DNS:broker.example", &[]) else { return };
    let settings = tls_settings(broker.port(), dir.path());
    let said = reason(settings.clone()).await;
    assert!(said.contains("not valid for the name") && said.contains("localhost"), "{said}");
    openssl(dir.path(), "req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.crt -days 2 -subj /CN=other")
        .unwrap();
    let other = Settings { ca_file: Some(dir.path().join("o.crt")), ..settings.clone() };
    let said = reason(other).await;
    assert!(said.contains("not trusted") && said.contains("mqtt.ca_file"), "{said}");
    let missing = Settings { ca_file: Some(dir.path().join("none.crt")), ..settings.clone() };
    let said = reason(missing).await;
    assert!(said.starts_with("mqtt.ca_file"), "{said}");
    let plain = Settings { tls: Tls::Off, ca_file: None, ..settings };
    assert!(!reason(plain).await.is_empty());
}

#[tokio::test]
async fn tls_to_a_plain_port_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = self::broker() else { return };
    let Some(()) = certificates(dir.path(), "DNS:localhost") else { return };
    let said = reason(tls_settings(broker.0.port(), dir.path())).await;
    assert!(!said.is_empty() && !said.contains('\n'), "{said}");
}

#[tokio::test]
async fn the_broker_may_ask_for_our_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = tls_broker(dir.path(), "DNS:localhost", &["require_certificate true"]) else { return };
    let settings = tls_settings(broker.port(), dir.path());
    let said = reason(settings.clone()).await;
    assert!(said.contains("mqtt.cert_file"), "{said}");
    for arguments in [
        "req -newkey rsa:2048 -nodes -keyout me.key -out me.csr -subj /CN=d1",
        "x509 -req -in me.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out me.crt -days 2 -extfile san",
    ] {
        openssl(dir.path(), arguments).unwrap();
    }
    let files = (Some(dir.path().join("me.crt")), Some(dir.path().join("me.key")));
    Board::connected(Settings { cert_file: files.0, key_file: files.1, ..settings }).await;
}
