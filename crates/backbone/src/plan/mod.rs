//! A loaded backbone: pictures in, embeddings out, through tract.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

mod facts;
mod network;
mod profile;
mod program;
mod read;
mod rewrite;
mod run;
mod runner;
mod segment;
#[cfg(test)]
mod tests;
mod threads;

use super::BackboneError;
use super::card::Card;
use super::change::differ;
use super::contain::contained;
use super::file::read_file;
use super::load::{Loaded, load};
use super::preprocess::{Preprocessor, Rect, crop_rect, cut_out, digest, part_shown};
use graft_base::frame::Rgb;
use graft_wire::digest::sha256;
pub use profile::OperatorTime;
use runner::Chosen;
pub(super) use runner::Runner;

/// What an embedding depends on. Embeddings of equal identities can be compared; others cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The card's name, for people.
    pub name: String,
    /// SHA-256 of the ONNX file, `sha256:<hex>`.
    pub digest: String,
    pub tensor: String,
    /// SHA-256 of the preprocessing recipe, `sha256:<hex>`.
    pub preprocess: String,
}

/// A frozen network that turns pictures into embeddings.
pub struct Backbone {
    card: Card,
    identity: Identity,
    width: usize,
    preprocessor: Preprocessor,
    input: Input,
    runner: Runner,
    proof: Option<String>,
    /// The square that [`Backbone::embed_if_changed`] gave to the network last; empty before.
    embedded: Vec<u8>,
}

/// What the network is given: memory that is filled anew for each frame.
struct Input {
    pixels: Arc<Tensor>,
    element: DatumType,
}

impl Backbone {
    /// Loads an ONNX file, checks it against its card, cuts it, and runs it once.
    ///
    /// # Errors
    /// Every reason to refuse a file; the text says what to do.
    pub fn load(path: &Path, card: &Card) -> Result<Self, BackboneError> {
        Self::from_bytes(&read_file(path)?, card)
    }

    /// As [`Backbone::load`], from the bytes of an ONNX file.
    ///
    /// # Errors
    /// As [`Backbone::load`].
    pub fn from_bytes(bytes: &[u8], card: &Card) -> Result<Self, BackboneError> {
        Self::start(load(bytes, card, None)?, bytes, card, None)
    }

    /// As [`Backbone::load`], faster: with the [`Backbone::proof`] of an earlier load here tract is not asked again. One that
    /// does not fit, of another file, program or processor, costs nothing but that.
    ///
    /// # Errors
    /// As [`Backbone::load`].
    pub fn load_again(path: &Path, card: &Card, proof: Option<&str>) -> Result<Self, BackboneError> {
        let bytes = read_file(path)?;
        Self::start(load(&bytes, card, None)?, &bytes, card, proof)
    }

    /// Optimises a loaded graph and runs it once.
    pub(super) fn start(
        loaded: Loaded,
        bytes: &[u8],
        card: &Card,
        proof: Option<&str>,
    ) -> Result<Self, BackboneError> {
        let identity = Identity {
            name: card.name.clone(),
            digest: sha256(bytes),
            tensor: loaded.cut.tensor,
            preprocess: digest(card),
        };
        let element = contained("read the input", || Ok(loaded.typed.input_fact(0)?.datum_type))?;
        let mut input = Input::new(&loaded.layout.shape(card.size as usize), element)?;
        let mut preprocessor = Preprocessor::new(card, loaded.layout);
        preprocessor.square(&golden(card.size), Rect::whole(card.size, card.size))?;
        let picture = input.filled(|pixels| {
            preprocessor.normalise(pixels);
            Ok(())
        })?;
        let Chosen { runner, embedding, proof, complaint, compared } =
            Runner::chosen(loaded.typed, &picture, proof)?;
        if let Some(reason) = complaint {
            tracing::warn!(reason, "the backbone is run by tract alone");
        }
        tracing::debug!(engine = runner.name(), compared, "the backbone is loaded");
        finite(&embedding)?;
        let (card, width, embedded) = (card.clone(), loaded.width, Vec::new());
        Ok(Self { card, identity, width, preprocessor, input, runner, proof, embedded })
    }

    /// Length of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What its embeddings depend on.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The card it was loaded with.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// What runs it: `tract`, or the instructions of our operators, such as `avx2`.
    pub fn engine(&self) -> &'static str {
        self.runner.name()
    }

    /// Has so many threads share each frame, at most as many as the processor has, and says how many those are: one where
    /// tract runs the network alone. The numbers stay the same, bit for bit.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn share(&mut self, threads: usize) -> Result<usize, BackboneError> {
        let most = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if self.runner.programs().is_empty() { 1 } else { threads.clamp(1, most) };
        self.runner.share(threads)?;
        Ok(threads)
    }

    /// What spares the next load of this file the comparison with tract, see [`Backbone::load_again`]: the digest of what our
    /// operators made of the golden picture. `None` where tract runs it.
    pub fn proof(&self) -> Option<&str> {
        self.proof.as_deref()
    }

    /// How the time of its frames so far went by our operators; none where tract runs it.
    pub(super) fn operators(&self) -> Vec<OperatorTime> {
        profile::operators(self.runner.programs())
    }

    /// What the network is given for normalised pixels `[3, size, size]`.
    pub(super) fn tensor(&mut self, pixels: &[f32]) -> Result<Arc<Tensor>, BackboneError> {
        let Self { preprocessor, input, .. } = self;
        input.filled(|own| preprocessor.arrange(pixels, own))
    }

    /// The part of a `width` × `height` frame that it sees; `roi` is `[x, y, w, h]` in fractions of the frame.
    pub fn crop_rect(&self, width: u32, height: u32, roi: Option<[f64; 4]>) -> Rect {
        crop_rect(&self.card, width, height, roi)
    }

    /// That part as a picture of its own, as a sample keeps it: shrunk to at most `max_side` pixels a side, never enlarged.
    /// An impossible picture gives a black one of one pixel.
    pub fn crop_image(&self, frame: &Rgb, roi: Option<[f64; 4]>, max_side: u32) -> Rgb {
        let part = self.crop_rect(frame.width, frame.height, roi);
        cut_out(frame, part, max_side).unwrap_or_else(|_| Rgb::black(1, 1))
    }

    /// The embedding `[width]` of a whole frame, cropped by the card's policy or the region of interest.
    ///
    /// # Errors
    /// When the picture's bytes do not match its size, or the result is not finite.
    pub fn embed(&mut self, frame: &Rgb, roi: Option<[f64; 4]>) -> Result<Vec<f32>, BackboneError> {
        self.embed_part(frame, crop_rect(&self.card, frame.width, frame.height, roi))
    }

    /// As [`Backbone::embed`], but `None` where the frame shows what the last one showed that this gave an embedding of:
    /// nowhere do 8 × 8 pixels, as the network sees them, differ by more than `levels` of 255 on average. At 0 each frame
    /// is embedded.
    ///
    /// # Errors
    /// As [`Backbone::embed`].
    pub fn embed_if_changed(
        &mut self,
        frame: &Rgb,
        roi: Option<[f64; 4]>,
        levels: f32,
    ) -> Result<Option<Vec<f32>>, BackboneError> {
        let part = crop_rect(&self.card, frame.width, frame.height, roi);
        let square = self.preprocessor.square(frame, part)?;
        if levels > 0.0 && !differ(&self.embedded, square, self.card.size as usize, levels) {
            return Ok(None);
        }
        self.embedded.clear();
        self.embedded.extend_from_slice(square);
        let embedding = self.embed_square();
        if embedding.is_err() {
            self.embedded.clear();
        }
        embedding.map(Some)
    }

    /// The part of a frame that its [`Backbone::crop_image`] shows, in fractions; `None`: all of it.
    pub fn shows(&self, width: u32, height: u32, roi: Option<[f64; 4]>) -> Option<[f64; 4]> {
        let Rect { x, y, w, h } = self.crop_rect(width, height, roi);
        let (full_w, full_h) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let part = [x / full_w, y / full_h, w / full_w, h / full_h];
        (part != [0.0, 0.0, 1.0, 1.0]).then_some(part)
    }

    /// The embedding `[width]` of a picture that shows only the part `shown` of its frame; see [`part_shown`]. `None`: not
    /// all that it would see of the frame is in the picture.
    ///
    /// # Errors
    /// As [`Backbone::embed`].
    pub fn embed_shown(
        &mut self,
        picture: &Rgb,
        shown: Option<[f64; 4]>,
        roi: Option<[f64; 4]>,
    ) -> Result<Option<Vec<f32>>, BackboneError> {
        let part = part_shown(&self.card, picture.width, picture.height, shown, roi);
        part.map(|part| self.embed_part(picture, part)).transpose()
    }

    /// The embedding `[width]` of a stored crop, which is stretched whole to the input's square.
    ///
    /// # Errors
    /// As [`Backbone::embed`].
    pub fn embed_crop(&mut self, crop: &Rgb) -> Result<Vec<f32>, BackboneError> {
        self.embed_part(crop, Rect::whole(crop.width, crop.height))
    }

    /// The embedding `[width]` of normalised pixels `[3, size, size]`, red plane first.
    ///
    /// # Errors
    /// When there are not 3·size² of them, or the result is not finite.
    pub fn embed_pixels(&mut self, pixels: &[f32]) -> Result<Vec<f32>, BackboneError> {
        let input = self.tensor(pixels)?;
        finite(self.runner.run(&input)?)
    }

    /// What the network is given for a frame: normalised pixels in the layout of its input.
    ///
    /// # Errors
    /// When the picture's bytes do not match its size.
    pub fn pixels(&mut self, frame: &Rgb, roi: Option<[f64; 4]>) -> Result<Vec<f32>, BackboneError> {
        let part = crop_rect(&self.card, frame.width, frame.height, roi);
        let mut pixels = vec![0.0; self.preprocessor.square(frame, part)?.len()];
        self.preprocessor.normalise(&mut pixels);
        Ok(pixels)
    }

    fn embed_part(&mut self, frame: &Rgb, part: Rect) -> Result<Vec<f32>, BackboneError> {
        self.preprocessor.square(frame, part)?;
        self.embed_square()
    }

    fn embed_square(&mut self) -> Result<Vec<f32>, BackboneError> {
        let Self { preprocessor, input, runner, .. } = self;
        let input = input.filled(|pixels| {
            preprocessor.normalise(pixels);
            Ok(())
        })?;
        finite(runner.run(&input)?)
    }
}

impl Input {
    fn new(shape: &[usize], element: DatumType) -> Result<Self, BackboneError> {
        let pixels = contained("make room for a picture", || Tensor::zero::<f32>(shape))?;
        Ok(Self { pixels: pixels.into_arc_tensor(), element })
    }

    /// Has its pixels written; gives the tensor in the network's type.
    fn filled(
        &mut self,
        write: impl FnOnce(&mut [f32]) -> Result<(), BackboneError>,
    ) -> Result<Arc<Tensor>, BackboneError> {
        // Copied only while somebody still holds the last frame's, which tract does not.
        let pixels = Arc::make_mut(&mut self.pixels);
        let mut written = Ok(());
        contained("take the pixels", || {
            written = write(pixels.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
            Ok(())
        })?;
        written?;
        if self.element == f32::datum_type() {
            return Ok(Arc::clone(&self.pixels));
        }
        contained("take the pixels", || {
            Ok(self.pixels.cast_to_dt(self.element)?.into_owned().into_arc_tensor())
        })
    }
}

fn finite(embedding: &[f32]) -> Result<Vec<f32>, BackboneError> {
    if embedding.iter().all(|value| value.is_finite()) {
        Ok(embedding.to_vec())
    } else {
        Err(BackboneError::NotFinite)
    }
}

/// A square of noise, the same at every start, on which both ways of running a network have to agree.
fn golden(size: u32) -> Rgb {
    let mut random = fastrand::Rng::with_seed(u64::from(size));
    let mut picture = Rgb::black(size, size);
    picture.bytes.iter_mut().for_each(|byte| *byte = random.u8(..));
    picture
}
