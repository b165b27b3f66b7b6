//! Bytes by digest in an object store: a local folder, or a bucket that several hosts share.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use axum::body::Body;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, local::LocalFileSystem};
use sha2::{Digest, Sha256};

use graft_base::whole_file;
use graft_wire::digest::hex;
use graft_wire::offload::Blob;

/// Files are moved in pieces of this size; the smallest that a bucket takes is 5 MiB.
const PIECE: usize = 8 << 20;

/// The store.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Blobs {
    /// Opens `url`: `s3://…` with what the environment says, or a folder, which is made.
    ///
    /// # Errors
    /// When the address is none, or the folder cannot be made.
    pub(crate) fn open(url: &str) -> Result<Self> {
        if url.contains("://") {
            let parsed = url.parse().with_context(|| format!("store.url {url} is no address"))?;
            let options = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
            let (store, prefix) = object_store::parse_url_opts(&parsed, options)
                .with_context(|| format!("store.url {url} cannot be used"))?;
            return Ok(Self { store: store.into(), prefix });
        }
        std::fs::create_dir_all(url).with_context(|| format!("the store {url} cannot be made"))?;
        let store = LocalFileSystem::new_with_prefix(url)
            .with_context(|| format!("the store {url} cannot be used"))?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default() })
    }

    fn at(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// Everything there is: sizes by hex digest, and when it was put there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn list(&self) -> Result<HashMap<String, (u64, SystemTime)>> {
        let listed =
            self.store.list_with_delimiter(Some(&self.prefix)).await.context("the store does not answer")?;
        let named = listed.objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            Some((name, (object.size, object.last_modified.into())))
        });
        Ok(named.collect())
    }

    /// The size of a blob that is there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>> {
        match self.store.head(&self.at(name)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).context("the store does not answer"),
        }
    }

    /// Puts a local file there; it is there whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be read, or the store does not take it.
    pub(crate) async fn keep(&self, name: &str, file: &FilePath) -> Result<()> {
        let cannot = || format!("{name} could not be put into the store");
        let size = std::fs::metadata(file).with_context(cannot)?.len();
        let mut open = File::open(file).with_context(cannot)?;
        let mut piece = || -> std::io::Result<Bytes> {
            let mut bytes = Vec::with_capacity(PIECE.min(size as usize));
            Read::by_ref(&mut open).take(PIECE as u64).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        };
        if size <= PIECE as u64 {
            self.store.put(&self.at(name), piece()?.into()).await.with_context(cannot)?;
            return Ok(());
        }
        let mut upload = self.store.put_multipart(&self.at(name)).await.with_context(cannot)?;
        loop {
            let bytes = piece()?;
            if bytes.is_empty() {
                break;
            }
            upload.put_part(bytes.into()).await.with_context(cannot)?;
        }
        upload.complete().await.with_context(cannot)?;
        Ok(())
    }

    /// Writes a blob to a local file, if that is not there yet, and checks its digest.
    ///
    /// # Errors
    /// When it is not there, or is not what its name says.
    pub(crate) async fn fetch(&self, blob: &Blob, file: &FilePath) -> Result<()> {
        if std::fs::metadata(file).is_ok_and(|about| about.len() == blob.size) {
            return Ok(());
        }
        let cannot = || format!("{} could not be fetched from the store", blob.digest);
        let fresh = file.with_extension("part");
        let mut to = File::create(&fresh).with_context(cannot)?;
        let mut digest = Sha256::new();
        let mut at = 0;
        while at < blob.size {
            let end = blob.size.min(at + PIECE as u64);
            let bytes = self.store.get_range(&self.at(blob.hex()), at..end).await.with_context(cannot)?;
            ensure!(!bytes.is_empty(), "{} is shorter in the store than it was", blob.digest);
            digest.update(&bytes);
            to.write_all(&bytes).with_context(cannot)?;
            at += bytes.len() as u64;
        }
        let whole = hex(&digest.finalize()) == blob.hex();
        ensure!(
            whole,
            "{} is damaged in the store: delete it there, and the board sends it again",
            blob.digest
        );
        whole_file::place(&fresh, file).with_context(cannot)
    }

    /// The bytes of a blob from `from` on, as the body of an answer.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) async fn body(&self, name: &str, from: u64) -> Result<Body> {
        let options =
            GetOptions { range: (from > 0).then_some(GetRange::Offset(from)), ..GetOptions::default() };
        let got = self.store.get_opts(&self.at(name), options).await.context("the store does not have it")?;
        Ok(Body::from_stream(got.into_stream()))
    }

    /// Deletes what `needed` does not want and nobody touched for `keep`; gives how many blobs went.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn sweep(&self, keep: Duration, needed: impl Fn(&str) -> bool) -> Result<usize> {
        let mut gone = 0;
        for (name, (_, since)) in self.list().await? {
            if !needed(&name) && since.elapsed().is_ok_and(|age| age >= keep) {
                self.store.delete(&self.at(&name)).await.context("the store does not delete")?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}
