//! The backbone in use, as far as everyone but the inference thread needs to know it: what heads, samples and messages
//! say about where they come from.

use crate::config::Settings;
use graft_backbone::{Backbone, Card, Crop};
use graft_wire::messages::BackboneRef;
use graft_wire::{Key, PictureRecipe, digest};
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
    /// The region of interest.
    pub roi: Option<[f64; 4]>,
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
            roi: settings.backbone.roi,
            file,
            row,
        }
    }

    /// What is done to a frame before the backbone.
    pub fn pictures(&self) -> PictureRecipe {
        let Card { size, resize, crop, mean, std, .. } = self.card.clone();
        let crop = if self.roi.is_some() { Crop::Roi } else { crop };
        PictureRecipe { size, resize, crop: crop.as_str().to_owned(), region: self.roi, mean, std }
    }

    /// Whether a stored picture that shows this part of its frame is what the backbone sees, without being cut.
    pub fn sees_all_of(&self, shown: Option<[f64; 4]>) -> bool {
        let near = |a: [f64; 4], b: [f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.02);
        match (self.roi, shown) {
            (None, shown) => shown.is_none() == (self.card.crop != Crop::Center),
            (Some(roi), shown) => near(roi, shown.unwrap_or([0.0, 0.0, 1.0, 1.0])),
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
fn preprocess(recipe: &str, roi: Option<[f64; 4]>) -> String {
    roi.map_or_else(|| recipe.to_owned(), |roi| digest::sha256(format!("{recipe} roi {roi:?}").as_bytes()))
}
