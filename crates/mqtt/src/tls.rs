//! TLS with rustls and ring: trusted authorities, our own certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Settings;

/// Where Linux distributions keep the authorities they trust.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes ring the crypto provider of TLS for the whole program.
pub fn use_ring() {
    // An error: somebody did it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The transport for `settings.tls = on`. Files are read now, so replaced ones are used at the next connect.
pub(super) fn transport(settings: &Settings) -> Result<Transport, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots(settings.ca_file.as_deref())?);
    let config = match (&settings.cert_file, &settings.key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "mqtt.cert_file")?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("mqtt.key_file {}: {error}", key.display()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("mqtt.cert_file and mqtt.key_file do not fit: {error}"))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let (path, key) = match ca_file {
        Some(path) => (path.to_path_buf(), "mqtt.ca_file"),
        None => (system_bundle()?, "the system's certificates"),
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(&path, key)?);
    if added == 0 {
        return Err(format!("{key} {}: no usable certificate in it", path.display()));
    }
    Ok(store)
}

fn system_bundle() -> Result<PathBuf, String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(BUNDLES.map(PathBuf::from)).find(|path| path.is_file()).ok_or_else(|| {
        "no trusted certificates on this system: install ca-certificates or set mqtt.ca_file".into()
    })
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: &dyn std::fmt::Display| format!("{key} {}: {error}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| fault(&e))?.collect();
    let found = found.map_err(|e| fault(&e))?;
    if found.is_empty() { Err(fault(&"no certificate in it (PEM is expected)")) } else { Ok(found) }
}
