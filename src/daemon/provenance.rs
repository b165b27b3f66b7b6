//! The backbone in use, as far as everyone but the inference thread needs to know it: what heads, samples and messages
//! say about where they come from.

use crate::config::Settings;
use graft_backbone::{Backbone, Card};
use graft_wire::messages::BackboneRef;
use graft_wire::{Key, digest};
use std::path::PathBuf;
use std::sync::Arc;

/// What every head of this daemon says about its origin, and what its backbone is here.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The device id.
    pub device: String,
    /// The backbone in use.
    pub backbone: BackboneRef,
    /// Its cut tensor.
    pub tensor: String,
    /// Digest of its preprocessing, the region of interest included.
    pub preprocess: String,
    /// The device's key.
    pub key: Arc<Key>,
    /// Names the embeddings that belong together: same network, same cut, same preprocessing, same region.
    pub embeddings: Arc<str>,
    /// Length of an embedding.
    pub width: usize,
    /// How pictures are fed.
    pub card: Card,
    /// The ONNX file; `None`: the built-in one.
    pub file: Option<PathBuf>,
    /// Its id in the store; `None`: the configured one.
    pub row: Option<i64>,
}

impl Provenance {
    /// Of a loaded backbone.
    pub fn of(
        backbone: &Backbone,
        settings: &Settings,
        key: &Arc<Key>,
        file: Option<PathBuf>,
        row: Option<i64>,
    ) -> Self {
        let identity = backbone.identity();
        let preprocess = preprocess(&identity.preprocess, settings.backbone.roi);
        let named = format!("{}\n{}\n{preprocess}", identity.digest, identity.tensor);
        Self {
            device: settings.device.id.clone(),
            backbone: BackboneRef { name: identity.name.clone(), digest: identity.digest.clone() },
            tensor: identity.tensor.clone(),
            preprocess,
            key: Arc::clone(key),
            embeddings: digest::sha256(named.as_bytes()).into(),
            width: backbone.width(),
            card: backbone.card().clone(),
            file,
            row,
        }
    }

    /// The bytes of its ONNX file.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub fn onnx(&self) -> Result<Vec<u8>, String> {
        match &self.file {
            Some(path) => std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display())),
            None => Ok(graft_backbone::tiny().0.to_vec()),
        }
    }
}

/// Digest of the preprocessing, the region of interest included.
pub fn preprocess(recipe: &str, roi: Option<[f64; 4]>) -> String {
    roi.map_or_else(|| recipe.to_owned(), |roi| digest::sha256(format!("{recipe} roi {roi:?}").as_bytes()))
}
