//! Encryption of the page: a certificate that somebody gives, or one that is made here.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graft_base::whole_file;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// Files with a certificate chain and its key, in PEM.
    Files {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// One of this board's own, in this folder, for these names.
    Own {
        /// The state folder.
        state: PathBuf,
        /// Host names.
        names: Vec<String>,
    },
}

/// Why there is no encryption.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {reason}", path = .path.display())]
    Wrong {
        path: PathBuf,
        /// In words.
        reason: String,
    },
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads it; the board's own is made where there is none.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(&self) -> Result<Identity, TlsError> {
        match self {
            Self::Files { chain, key } => {
                let wrong = |path: &Path| {
                    let path = path.to_owned();
                    move |error: rustls::pki_types::pem::Error| match error {
                        rustls::pki_types::pem::Error::Io(source) => TlsError::Io { path, source },
                        other => TlsError::Wrong { path, reason: format!("{other}; PEM is expected") },
                    }
                };
                let certificates = CertificateDer::pem_file_iter(chain).map_err(wrong(chain))?;
                let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(wrong(chain))?;
                if certificates.is_empty() {
                    let reason = "there is no certificate in it".to_owned();
                    return Err(TlsError::Wrong { path: chain.clone(), reason });
                }
                let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
                Ok(Identity { chain: certificates, key })
            }
            Self::Own { state, names } => own(state, names),
        }
    }
}

impl Identity {
    /// SHA-256 of the certificate, as browsers show it.
    pub fn fingerprint(&self) -> String {
        let first = self.chain.first().map(Sha256::digest);
        let bytes = first.iter().flatten().map(|byte| format!("{byte:02X}"));
        bytes.collect::<Vec<_>>().join(":")
    }

    /// What makes encrypted connections of plain ones.
    ///
    /// # Errors
    /// Key and certificate do not fit.
    pub fn acceptor(self) -> Result<TlsAcceptor, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The certificate of a board: that of these files, else its own, which is made for its names; and its file.
pub fn certificate_of(
    state: &Path,
    files: Option<(PathBuf, PathBuf)>,
    hosts: &[String],
) -> (Certificate, PathBuf) {
    match files {
        Some((chain, key)) => (Certificate::Files { chain: chain.clone(), key }, chain),
        None => {
            let mut names = own_names();
            names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
            names.extend(hosts.iter().cloned());
            let [path, _] = own_files(state);
            (Certificate::Own { state: state.to_owned(), names }, path)
        }
    }
}

/// The files of the board's own certificate and key, in DER.
pub fn own_files(state: &Path) -> [PathBuf; 2] {
    [state.join("web-cert.der"), state.join("web-key.der")]
}

fn own(state: &Path, names: &[String]) -> Result<Identity, TlsError> {
    let [certificate, key] = own_files(state);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Io { path, source }
    };
    if !certificate.exists() || !key.exists() {
        let made = rcgen::KeyPair::generate().and_then(|pair| {
            let mut params = rcgen::CertificateParams::new(names)?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, "graft");
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            Ok((params.self_signed(&pair)?.der().to_vec(), pair.serialize_der()))
        });
        let (bytes, secret) =
            made.map_err(|e| TlsError::Wrong { path: certificate.clone(), reason: e.to_string() })?;
        fs::create_dir_all(state).map_err(io(state))?;
        let owner = fs::metadata(state).map_err(io(state))?;
        // The key first: a certificate alone would be taken for whole.
        for (path, bytes, mode) in [(&key, &secret, 0o600), (&certificate, &bytes, 0o644)] {
            whole_file::write(path, bytes, mode).map_err(io(path))?;
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).map_err(io(path))?;
            }
        }
    }
    let chain = vec![CertificateDer::from(fs::read(&certificate).map_err(io(&certificate))?)];
    let key = PrivatePkcs8KeyDer::from(fs::read(&key).map_err(io(&key))?);
    Ok(Identity { chain, key: PrivateKeyDer::Pkcs8(key) })
}

/// Names of this machine in its network, as far as it knows them.
pub(super) fn own_names() -> Vec<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_lowercase();
    if name.is_empty() { Vec::new() } else { vec![format!("{name}.local"), name] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["board".to_owned(), "127.0.0.1".to_owned()];
        let own = Certificate::Own { state: dir.path().to_owned(), names };
        let first = own.load().unwrap().fingerprint();
        assert_eq!((first.len(), own.load().unwrap().fingerprint()), (95, first));
        let mode = fs::metadata(&own_files(dir.path())[1]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(own.load().unwrap().acceptor().is_ok());
        let [chain, key] = own_files(dir.path());
        let files = Certificate::Files { chain: chain.clone(), key };
        assert!(files.load().unwrap_err().to_string().contains("web-cert.der"));
        let none = Certificate::Files { chain: dir.path().join("none.pem"), key: chain };
        assert!(matches!(none.load(), Err(TlsError::Io { .. })));
    }
}
