//! What `graft-lab` measures a backbone by and nothing of the product calls: the same network run by tract alone, and the
//! time of each of our operators. It stands here because it needs the plan's own parts; a binary
//! that does not name it is linked without it.

use std::path::Path;

use super::BackboneError;
use super::card::Card;
use super::file::read_file;
use super::inspect::macs;
use super::load::load;
pub use super::plan::OperatorTime;
use super::plan::{Backbone, Runner};

/// A network run by tract alone, without our operators.
pub struct Plain {
    runner: Runner,
    macs: u64,
}

impl Plain {
    /// Loads an ONNX file as [`Backbone::load`] does.
    ///
    /// # Errors
    /// Every reason to refuse a file; the text says what to do.
    pub fn load(path: &Path, card: &Card) -> Result<Self, BackboneError> {
        let typed = load(&read_file(path)?, card, None)?.typed;
        Ok(Self { macs: macs(&typed), runner: Runner::plain(typed)? })
    }

    /// Multiplications with addition of one frame, up to the embedding.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// The embedding `[width]` of normalised pixels `[3, size, size]`; `backbone`, the same file, arranges them.
    ///
    /// # Errors
    /// When there are not 3·size² of them, or the network fails.
    pub fn embed_pixels(&mut self, backbone: &mut Backbone, pixels: &[f32]) -> Result<&[f32], BackboneError> {
        self.runner.run(&backbone.tensor(pixels)?)
    }
}

/// Times of a backbone's own operators over the frames so far, in the order in which they run; none where tract runs it.
pub fn operators(backbone: &Backbone) -> Vec<OperatorTime> {
    backbone.operators()
}
