//! The HTTP client for files and uploads: bounded waits, certificates of one's own, secrets that stay at one address.

use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// The longest wait for the next bytes in either direction.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: u32 = 5;

/// A client for one address. Statuses are no errors. With a secret it follows no redirection: the secret is meant for
/// this address alone. Addresses of this machine are reached without a proxy.
///
/// `ca_file`: certificates (PEM) that https is checked against; `None`: those of the public authorities.
///
/// # Errors
/// When the certificates cannot be read; the text says what to do.
pub fn agent(url: &str, ca_file: Option<&Path>, secret: bool) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("graft/", env!("CARGO_PKG_VERSION")))
        .max_redirects(if secret { 0 } else { REDIRECTS })
        .timeout_connect(Some(CONNECT))
        .timeout_send_request(Some(SILENCE))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE));
    let host = url.split("://").nth(1).unwrap_or_default();
    if ["127.0.0.1", "localhost", "[::1]"].iter().any(|loopback| host.starts_with(loopback)) {
        config = config.proxy(None);
    }
    if let Some(path) = ca_file {
        config = config.tls_config(TlsConfig::builder().root_certs(authorities(path)?).build());
    }
    Ok(config.build().new_agent())
}

fn authorities(path: &Path) -> Result<RootCerts, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("{}: {why}; it has to hold certificates as PEM", path.display())
    };
    let text = std::fs::read(path).map_err(|e| wrong(&e))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(wrong(&error)),
        }
    }
    if found.is_empty() { Err(wrong(&"no certificate")) } else { Ok(found.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_says_what_it_has_to_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for text in ["", "no certificate\n"] {
            std::fs::write(&path, text).unwrap();
            let error = agent("https://host/", Some(&path), false).unwrap_err();
            assert!(error.contains("ca.pem") && error.contains("PEM"), "{error}");
        }
        assert!(agent("https://host/", Some(&dir.path().join("none")), false).is_err());
        assert!(agent("https://host/", None, true).is_ok());
    }
}
