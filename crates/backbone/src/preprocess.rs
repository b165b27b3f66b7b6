//! From a picture to normalised pixels: the one code path for frames, stored crops and imported files.
//!
//! The resize is a convolution with a triangle filter that widens when it shrinks (antialiased, as Pillow's
//! `BILINEAR` does), because the networks were trained on pictures resized that way.

use fast_image_resize as fir;
use fir::images::{Image, ImageRef};
use graft_kernels::planes;
use graft_simd::Isa;
use graft_wire::digest::sha256;

use super::BackboneError;
use super::card::{Card, Crop, Layout};
use graft_base::frame::Rgb;

/// A part of a picture, in pixels from its top left corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

impl Rect {
    pub fn whole(width: u32, height: u32) -> Self {
        Self { x: 0.0, y: 0.0, w: f64::from(width), h: f64::from(height) }
    }
}

/// The part of a `width` × `height` frame that the backbone sees: for [`Crop::Center`] the centred square of side
/// short side · size / resize, to a fraction of a pixel. A region of interest `[x, y, w, h]` in
/// fractions of the frame goes before the card's policy; it is clipped to the frame and to one pixel at least.
pub fn crop_rect(card: &Card, width: u32, height: u32, roi: Option<[f64; 4]>) -> Rect {
    let (full_w, full_h) = (f64::from(width), f64::from(height));
    if let Some([x, y, w, h]) = roi.filter(|roi| roi.iter().all(|v| v.is_finite())) {
        let span = |from: f64, length: f64, full: f64| {
            let start = (from * full).clamp(0.0, (full - 1.0).max(0.0));
            (start, (length * full).clamp(1.0_f64.min(full), full - start))
        };
        let ((x, w), (y, h)) = (span(x, w, full_w), span(y, h, full_h));
        return Rect { x, y, w, h };
    }
    match card.crop {
        Crop::Stretch | Crop::Roi => Rect::whole(width, height),
        Crop::Center => {
            // As if the short side were resized to `resize` whole pixels and the square cut out of that, as
            // torchvision does; a fraction of a pixel matters in small pictures.
            let (short, size) = (full_w.min(full_h).max(1.0), f64::from(card.size));
            let span = |full: f64| {
                let resized = (f64::from(card.resize) * full / short).floor().max(size);
                let offset = ((resized - size) / 2.0).round_ties_even();
                (offset * full / resized, size * full / resized)
            };
            let ((x, w), (y, h)) = (span(full_w), span(full_h));
            Rect { x, y, w, h }
        }
    }
}

/// Pixels by which a stored picture may miss what the backbone sees: it has whole pixels.
const SLACK: f64 = 1.5;

/// Where what the backbone sees lies in a picture of `width` × `height` that shows only the part `shown` `[x, y, w, h]` of
/// its frame, in fractions of the frame (`None`: all of it). `None`: not all of it is in the picture.
pub fn part_shown(
    card: &Card,
    width: u32,
    height: u32,
    shown: Option<[f64; 4]>,
    roi: Option<[f64; 4]>,
) -> Option<Rect> {
    let [x, y, w, h] = shown.unwrap_or([0.0, 0.0, 1.0, 1.0]);
    let (frame_w, frame_h) = (f64::from(width) / w, f64::from(height) / h);
    // A part that is no part, or of a frame that cannot be.
    let frame = |length: f64| (1.0..=f64::from(u32::MAX)).contains(&length).then(|| length.round() as u32);
    let wanted = crop_rect(card, frame(frame_w)?, frame(frame_h)?, roi);
    let span = |start: f64, length: f64, full: u32| {
        let (full, end) = (f64::from(full), start + length);
        let whole = start.abs() <= SLACK && (end - full).abs() <= SLACK;
        let inside = start >= -SLACK && end <= full + SLACK;
        if whole {
            Some((0.0, full))
        } else {
            inside.then(|| (start.max(0.0), end.min(full) - start.max(0.0)))
        }
    };
    let (x, w) = span(wanted.x - x * frame_w, wanted.w, width)?;
    let (y, h) = span(wanted.y - y * frame_h, wanted.h, height)?;
    (w >= 1.0 && h >= 1.0).then_some(Rect { x, y, w, h })
}

/// SHA-256 (`sha256:<hex>`) over the recipe's canonical text. Equal digests mean equal pixels for equal frames.
pub fn digest(card: &Card) -> String {
    let resize = if card.crop == Crop::Center { card.resize } else { card.size };
    let list = |values: [f32; 3]| values.map(|value| format!("{value:?}")).join(" ");
    let recipe = format!(
        "graft preprocessing 1\nfilter triangle antialiased u8\nsize {}\nresize {resize}\ncrop {}\ncolour rgb\nscale 255\nmean {}\nstd {}\n",
        card.size,
        card.crop.as_str(),
        list(card.mean),
        list(card.std),
    );
    sha256(recipe.as_bytes())
}

/// Resizes and normalises with buffers that are kept between frames.
pub struct Preprocessor {
    resizer: fir::Resizer,
    square: Image<'static>,
    /// `scale · byte + shift` is `(byte / 255 − mean) / std`, by channel.
    scale: [f32; 3],
    shift: [f32; 3],
    isa: Isa,
    layout: Layout,
    size: usize,
}

impl Preprocessor {
    /// A preprocessor for a card (which must be valid) and the layout of the network's input.
    pub fn new(card: &Card, layout: Layout) -> Self {
        let shift: [f32; 3] = std::array::from_fn(|channel| -card.mean[channel] / card.std[channel]);
        let size = card.size as usize;
        Self {
            resizer: fir::Resizer::new(),
            square: Image::new(card.size, card.size, fir::PixelType::U8x3),
            scale: card.std.map(|std| 1.0 / (255.0 * std)),
            shift,
            isa: Isa::detect(),
            layout,
            size,
        }
    }

    /// Resizes one part of a picture to the network's square; gives its bytes `[size, size, 3]`.
    ///
    /// # Errors
    /// When the picture's bytes do not match its size.
    pub fn square(&mut self, picture: &Rgb, part: Rect) -> Result<&[u8], BackboneError> {
        resize(&mut self.resizer, picture, part, &mut self.square)?;
        Ok(self.square.buffer())
    }

    /// The normalised pixels of the square, in the network's layout.
    ///
    /// # Panics
    /// When there are fewer than 3·size² of them.
    pub fn normalise(&self, pixels: &mut [f32]) {
        let bytes = self.square.buffer().as_chunks::<3>().0;
        match self.layout {
            Layout::Nchw => {
                let (red, others) = pixels.split_at_mut(bytes.len());
                let (green, blue) = others.split_at_mut(bytes.len());
                planes(self.isa, bytes, self.scale, self.shift, [red, green, blue]);
            }
            Layout::Nhwc => {
                for (pixel, target) in bytes.iter().zip(pixels.as_chunks_mut::<3>().0) {
                    for channel in 0..3 {
                        target[channel] =
                            f32::from(pixel[channel]) * self.scale[channel] + self.shift[channel];
                    }
                }
            }
        }
    }

    /// Brings normalised pixels `[3, size, size]` into the network's layout.
    ///
    /// # Errors
    /// When their number is not 3·size².
    pub fn arrange(&self, planes: &[f32], pixels: &mut [f32]) -> Result<(), BackboneError> {
        if planes.len() != pixels.len() {
            return Err(BackboneError::Pixels { expected: pixels.len(), found: planes.len() });
        }
        match self.layout {
            Layout::Nchw => pixels.copy_from_slice(planes),
            Layout::Nhwc => {
                for (channel, plane) in planes.chunks_exact(self.size * self.size).enumerate() {
                    for (target, value) in pixels.chunks_exact_mut(3).zip(plane) {
                        target[channel] = *value;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One part of a picture as a picture of its own, shrunk so that no side exceeds `max_side`; never enlarged.
///
/// # Errors
/// When the picture's bytes do not match its size.
pub fn cut_out(picture: &Rgb, part: Rect, max_side: u32) -> Result<Rgb, BackboneError> {
    let scale = (f64::from(max_side.max(1)) / part.w.max(part.h)).min(1.0);
    let side = |length: f64| ((length * scale).round() as u32).clamp(1, max_side.max(1));
    let mut image = Image::new(side(part.w), side(part.h), fir::PixelType::U8x3);
    resize(&mut fir::Resizer::new(), picture, part, &mut image)?;
    Ok(Rgb { width: image.width(), height: image.height(), bytes: image.into_vec() })
}

fn resize(
    resizer: &mut fir::Resizer,
    picture: &Rgb,
    part: Rect,
    into: &mut Image<'_>,
) -> Result<(), BackboneError> {
    let wrong = || BackboneError::Picture {
        width: picture.width,
        height: picture.height,
        bytes: picture.bytes.len(),
    };
    let expected =
        u64::from(picture.width).checked_mul(u64::from(picture.height)).and_then(|area| area.checked_mul(3));
    if expected != Some(picture.bytes.len() as u64) || picture.bytes.is_empty() {
        return Err(wrong());
    }
    let source = ImageRef::new(picture.width, picture.height, &picture.bytes, fir::PixelType::U8x3)
        .map_err(|_| wrong())?;
    let (x, w) = inside(part.x, part.w, picture.width);
    let (y, h) = inside(part.y, part.h, picture.height);
    let options = fir::ResizeOptions::new()
        .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Bilinear))
        .crop(x, y, w, h);
    resizer.resize(&source, into, &options).map_err(|_| wrong())
}

/// A span that rounding has not pushed over the edge, which the resizer would refuse.
fn inside(start: f64, length: f64, full: u32) -> (f64, f64) {
    let full = f64::from(full);
    let start = start.clamp(0.0, full - 1.0);
    let mut length = length.clamp(f64::MIN_POSITIVE, full - start);
    while start + length > full {
        length = length.next_down();
    }
    (start, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::graphs::card;
    use super::*;

    fn ramp(width: u32, height: u32) -> Rgb {
        let bytes = (0..height)
            .flat_map(|y| (0..width).flat_map(move |x| [(x % 256) as u8, (y % 256) as u8, 128]))
            .collect();
        Rgb { width, height, bytes }
    }

    fn normalised(card: &Card, layout: Layout, picture: &Rgb) -> Vec<f32> {
        let mut preprocessor = Preprocessor::new(card, layout);
        let square = preprocessor.square(picture, Rect::whole(picture.width, picture.height));
        let mut pixels = vec![0.0; square.unwrap().len()];
        preprocessor.normalise(&mut pixels);
        pixels
    }

    #[test]
    fn the_centre_crop_is_torchvisions() {
        let card = Card { size: 224, resize: 256, ..card() };
        // 640×480: resized to 341×256, cut at (58, 16); 117/2 rounds to the even 58.
        let rect = crop_rect(&card, 640, 480, None);
        assert_eq!(rect, Rect { x: 58.0 * 640.0 / 341.0, y: 30.0, w: 224.0 * 640.0 / 341.0, h: 420.0 });
        assert_eq!(
            crop_rect(&Card { crop: Crop::Stretch, ..card.clone() }, 640, 480, None),
            Rect::whole(640, 480)
        );
        let roi = crop_rect(&card, 200, 100, Some([0.5, 0.5, 0.9, 0.25]));
        assert_eq!(roi, Rect { x: 100.0, y: 50.0, w: 100.0, h: 25.0 });
    }

    #[test]
    fn what_is_seen_is_found_again_in_a_picture_of_a_part_of_the_frame() {
        let whole = Card { crop: Crop::Stretch, ..card() };
        let center = Card { size: 224, resize: 256, crop: Crop::Center, ..card() };
        let region = [0.25, 0.5, 0.5, 0.25];
        let frame = Rect::whole(640, 360);
        // All of the frame: everything can be cut out of it.
        assert_eq!(part_shown(&whole, 640, 360, None, None), Some(frame));
        assert_eq!(part_shown(&center, 640, 360, None, None), Some(crop_rect(&center, 640, 360, None)));
        let cut = Rect { x: 160.0, y: 180.0, w: 320.0, h: 90.0 };
        assert_eq!(part_shown(&whole, 640, 360, None, Some(region)), Some(cut));
        // The region alone: itself, and a part of it, but not the frame.
        assert_eq!(part_shown(&whole, 320, 90, Some(region), Some(region)), Some(Rect::whole(320, 90)));
        let inner = part_shown(&whole, 320, 90, Some(region), Some([0.5, 0.5, 0.25, 0.125]));
        assert_eq!(inner, Some(Rect { x: 160.0, y: 0.0, w: 160.0, h: 45.0 }));
        assert_eq!(part_shown(&whole, 320, 90, Some(region), None), None);
        assert_eq!(part_shown(&whole, 320, 90, Some([0.0, 0.0, 0.0, f64::NAN]), None), None);
    }

    #[test]
    fn a_square_of_the_right_size_is_only_normalised() {
        let card = card();
        let picture = ramp(16, 16);
        let pixels = normalised(&card, Layout::Nchw, &picture);
        for (index, value) in pixels.iter().enumerate() {
            let byte = picture.bytes[3 * (index % 256) + index / 256];
            assert!((value - (f32::from(byte) / 255.0 - 0.5) / 0.5).abs() < 1e-6);
        }
        let last = normalised(&card, Layout::Nhwc, &picture);
        assert!(
            (0..256).all(|at| (0..3).all(|channel| last[3 * at + channel] == pixels[256 * channel + at]))
        );
        let mut arranged = vec![0.0; last.len()];
        Preprocessor::new(&card, Layout::Nhwc).arrange(&pixels, &mut arranged).unwrap();
        assert_eq!(arranged, last);
    }

    #[test]
    fn shrinking_averages_instead_of_skipping() {
        // One white column in sixteen, between the places where a filter that skips would look.
        let mut picture = Rgb::black(256, 256);
        picture.bytes.chunks_exact_mut(3).step_by(16).for_each(|pixel| pixel.fill(255));
        let pixels = normalised(&card(), Layout::Nchw, &picture);
        assert!(pixels.iter().all(|value| (-0.99..-0.8).contains(value)), "{pixels:?}");
    }

    #[test]
    fn a_crop_is_never_enlarged() {
        let whole = Rect::whole(100, 50);
        let same = cut_out(&ramp(100, 50), whole, 400).unwrap();
        assert_eq!(same, ramp(100, 50));
        let small = cut_out(&ramp(100, 50), whole, 40).unwrap();
        assert_eq!((small.width, small.height), (40, 20));
        assert!(cut_out(&Rgb::default(), whole, 40).is_err());
    }

    proptest! {
        #[test]
        fn every_rectangle_lies_in_the_picture_and_can_be_cut(
            width in 1u32..90, height in 1u32..90, side in 0u32..60, resize in 0u32..30,
            roi in proptest::option::of([any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>()]),
            unit in proptest::option::of([-0.5..1.5f64, -0.5..1.5, -0.5..1.5, -0.5..1.5]),
        ) {
            let card = Card { size: 8 + side, resize: 8 + side + resize, ..card() };
            let rect = crop_rect(&card, width, height, roi.or(unit));
            let inside = |start: f64, length: f64, full: u32| start >= 0.0 && length > 0.0 && start + length <= f64::from(full) * (1.0 + 1e-12);
            prop_assert!(inside(rect.x, rect.w, width) && inside(rect.y, rect.h, height), "{rect:?}");
            let mut preprocessor = Preprocessor::new(&card, Layout::Nchw);
            let square = preprocessor.square(&ramp(width, height), rect).map(<[u8]>::len);
            prop_assert_eq!(square.ok(), Some(3 * (card.size * card.size) as usize));
            let crop = cut_out(&ramp(width, height), rect, 32).unwrap();
            prop_assert!(crop.width <= 32 && crop.height <= 32);
        }
    }
}
