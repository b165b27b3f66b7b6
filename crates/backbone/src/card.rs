//! A backbone's card: the TOML file beside the ONNX file that says how pictures are fed to it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BackboneError;
use super::file::{MAX_WIDTH, read_file, sha256_hex};
use super::scan::{Dim, Limits, Scan};

/// Mean of ImageNet's pictures after division by 255, as torchvision states it.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's pictures after division by 255, as torchvision states it.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Sides above this are refused: a plane of f32 would take over 190 MB.
pub const MAX_SIZE: u32 = 4096;
/// A card is a few hundred bytes.
const MAX_CARD_BYTES: u64 = 64 << 10;

/// Which part of a frame the backbone sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// The centred square of side `short side · size / resize`.
    #[default]
    Center,
    /// The whole frame, stretched to a square.
    Stretch,
    /// A box that the device's settings give, stretched to a square; the whole frame without one.
    Roi,
}

impl Crop {
    /// Its name in cards and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Stretch => "stretch",
            Self::Roi => "roi",
        }
    }

    /// The policy of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Center, Self::Stretch, Self::Roi].into_iter().find(|crop| crop.as_str() == name)
    }
}

/// Order of the input's axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[batch, 3, height, width]`.
    #[default]
    Nchw,
    /// `[batch, height, width, 3]`.
    Nhwc,
}

impl Layout {
    /// The input's shape for one square picture.
    pub fn shape(self, size: usize) -> [usize; 4] {
        match self {
            Self::Nchw => [1, 3, size, size],
            Self::Nhwc => [1, size, size, 3],
        }
    }
}

/// How pictures are fed to a backbone, where the file comes from, and what may be done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Short name, e.g. `mobilenetv2`.
    #[serde(default)]
    pub name: String,
    /// SHA-256 of the ONNX file, 64 hexadecimal digits; empty when unknown (then it is not checked).
    #[serde(default)]
    pub sha256: String,
    /// Side of the square input, in pixels.
    pub size: u32,
    /// Short side of the picture before the centre crop, in pixels; equal to `size` for no margin.
    #[serde(default)]
    pub resize: u32,
    /// Which part of a frame is used.
    #[serde(default)]
    pub crop: Crop,
    /// Subtracted from `pixel / 255`, for red, green, blue.
    pub mean: [f32; 3],
    /// Divides what is left, for red, green, blue.
    pub std: [f32; 3],
    /// The tensor that is the embedding; without it the cut is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// Length of the embedding; 0 when unknown (then it is not checked).
    #[serde(default)]
    pub width: usize,
    /// Order of the input's axes, used where the file itself does not say.
    #[serde(default)]
    pub layout: Layout,
    /// The file's licence (SPDX), as its publisher states it.
    #[serde(default)]
    pub licence: String,
    /// Where the file can be fetched, tried in this order.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Length of the file in bytes; 0 when unknown.
    #[serde(default)]
    pub bytes: u64,
    /// For people.
    #[serde(default)]
    pub notes: String,
}

impl Card {
    /// Reads and checks a card.
    ///
    /// # Errors
    /// When the file cannot be read or says something impossible.
    pub fn read(path: &Path) -> Result<Self, BackboneError> {
        let unreadable = |source| BackboneError::Read { path: path.into(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        let place = path.display().to_string();
        if length > MAX_CARD_BYTES {
            let reason = format!(
                "it has {length} bytes; a card has at most {MAX_CARD_BYTES}: give the .toml, not the .onnx"
            );
            return Err(BackboneError::Card { place, reason });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(unreadable)?, &place)
    }

    /// Reads a card's text; `place` names it in errors.
    ///
    /// # Errors
    /// When it says something impossible.
    pub fn parse(text: &str, place: &str) -> Result<Self, BackboneError> {
        let wrong = |reason: String| BackboneError::Card { place: place.into(), reason };
        let mut card: Self =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().into()))?;
        if card.resize == 0 {
            card.resize = margin(card.size);
        }
        card.sha256.make_ascii_lowercase();
        card.check().map_err(wrong)?;
        Ok(card)
    }

    /// Where the card of an ONNX file lies: `X.toml` beside `X.onnx`.
    pub fn path_beside(onnx: &Path) -> PathBuf {
        onnx.with_extension("toml")
    }

    /// The card beside an ONNX file, if there is one.
    ///
    /// # Errors
    /// When there is one and it cannot be used.
    pub fn beside(onnx: &Path) -> Result<Option<Self>, BackboneError> {
        let path = Self::path_beside(onnx);
        if path.is_file() { Self::read(&path).map(Some) } else { Ok(None) }
    }

    /// The card for an ONNX file: the one beside it, or defaults made from the file with a warning for the caller to print.
    ///
    /// # Errors
    /// When the card cannot be used, or there is none and the file is refused.
    pub fn for_file(onnx: &Path) -> Result<(Self, Option<String>), BackboneError> {
        if let Some(card) = Self::beside(onnx)? {
            return Ok((card, None));
        }
        let bytes = read_file(onnx)?;
        let stem = onnx.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let card = Self::guess(&bytes, &stem)?;
        let warning = format!(
            "no card {} beside the backbone: {} px, {} crop from {} px and ImageNet's mean and std are assumed; if it was trained otherwise, write one with `graft backbone card`",
            Self::path_beside(onnx).display(),
            card.size,
            card.crop.as_str(),
            card.resize,
        );
        Ok((card, Some(warning)))
    }

    /// Defaults for a file without a card: size and layout from its input, ImageNet's mean and std, centre crop with the usual margin.
    ///
    /// # Errors
    /// When the file is refused.
    pub fn guess(bytes: &[u8], name: &str) -> Result<Self, BackboneError> {
        let scan = super::scan::scan(bytes, &Limits::default())?;
        let (size, layout) = input_square(&scan)?;
        let size = size.unwrap_or(224);
        Ok(Self {
            name: name.into(),
            sha256: sha256_hex(bytes),
            size,
            resize: margin(size),
            crop: Crop::Center,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            features: None,
            width: 0,
            layout: layout.unwrap_or_default(),
            licence: String::new(),
            urls: Vec::new(),
            bytes: bytes.len() as u64,
            notes: String::new(),
        })
    }

    /// The card as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Says what is impossible about it.
    ///
    /// # Errors
    /// A sentence that says what to correct.
    pub fn check(&self) -> Result<(), String> {
        if !(8..=MAX_SIZE).contains(&self.size) {
            return Err(format!(
                "`size` is {}; give the side of the input in pixels, 8 to {MAX_SIZE}",
                self.size
            ));
        }
        if self.resize < self.size || self.resize > MAX_SIZE * 2 {
            return Err(format!(
                "`resize` is {}; give at least `size` ({}), the short side before the crop",
                self.resize, self.size
            ));
        }
        if self.mean.iter().any(|mean| !mean.is_finite() || mean.abs() > 1000.0) {
            return Err(
                "`mean` must be three numbers in units of pixel/255, such as 0.485, 0.456, 0.406".into()
            );
        }
        if self.std.iter().any(|std| !(1e-6..1000.0).contains(std)) {
            return Err(
                "`std` must be three numbers above 0 in units of pixel/255, such as 0.229, 0.224, 0.225"
                    .into(),
            );
        }
        if !self.sha256.is_empty()
            && (self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err("`sha256` must be 64 hexadecimal digits (see sha256sum), or be left out".into());
        }
        if self.width > MAX_WIDTH {
            return Err(format!("`width` is {}; an embedding has at most {} numbers", self.width, MAX_WIDTH));
        }
        Ok(())
    }
}

/// The usual margin: 256 for 224.
fn margin(size: u32) -> u32 {
    (u64::from(size) * 256).div_euclid(224).try_into().unwrap_or(u32::MAX)
}

/// Side and layout of the picture input, as far as the file says.
///
/// # Errors
/// When the input is no square picture.
pub(super) fn input_square(scan: &Scan) -> Result<(Option<u32>, Option<Layout>), BackboneError> {
    let port = scan.image_input()?;
    let Some([_, second, third, fourth]) = port.shape.as_deref() else { return Ok((None, None)) };
    let channels = |dim: &Dim| *dim == Dim::Fixed(3);
    let layout = match (channels(second), channels(fourth)) {
        (true, _) => Some(Layout::Nchw),
        (false, true) => Some(Layout::Nhwc),
        (false, false) => None,
    };
    let (height, width) = if layout == Some(Layout::Nhwc) { (second, third) } else { (third, fourth) };
    let side = match (height, width) {
        (Dim::Fixed(height), Dim::Fixed(width)) if height != width => {
            let reason = format!(
                "it is {height}×{width}; only square inputs are supported: export the network for a square picture"
            );
            return Err(BackboneError::Input { input: port.name.clone(), reason });
        }
        (Dim::Fixed(side), _) | (_, Dim::Fixed(side)) => Some(*side),
        _ => None,
    };
    let too_large = |side: u64| BackboneError::Input {
        input: port.name.clone(),
        reason: format!("its side is {side} px, more than {MAX_SIZE}: use a backbone for smaller pictures"),
    };
    let side = side
        .map(|side| u32::try_from(side).ok().filter(|&s| s <= MAX_SIZE).ok_or_else(|| too_large(side)))
        .transpose()?;
    Ok((side, layout))
}

#[cfg(test)]
mod tests {
    use super::super::graphs::{card, classifier, file};
    use super::*;

    const LEAST: &str = "size = 224\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n";

    #[test]
    fn the_least_card_gets_the_usual_margin() {
        let card = Card::parse(LEAST, "x").unwrap();
        assert_eq!((card.resize, card.crop, card.features), (256, Crop::Center, None));
    }

    #[test]
    fn a_written_card_reads_the_same() {
        let card = Card {
            features: Some("a \"b\"\n".into()),
            crop: Crop::Roi,
            urls: vec!["https://x/y".into()],
            ..card()
        };
        assert_eq!(Card::parse(&card.to_toml(), "x").unwrap(), card);
    }

    #[test]
    fn impossible_cards_are_refused_with_a_hint() {
        for (line, hint) in [
            ("crop = \"middle\"", "center"),
            ("sise = 3", "sise"),
            ("resize = 100", "resize"),
            ("sha256 = \"abc\"", "64"),
            ("width = 9999999", "width"),
        ] {
            let refused = Card::parse(&format!("{LEAST}{line}\n"), "my.toml").unwrap_err().to_string();
            assert!(refused.contains(hint) && refused.contains("my.toml"), "{refused}");
        }
        for text in [
            "size = 224\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.0, 0.5]",
            "size = 4\nmean = [0, 0, 0]\nstd = [1, 1, 1]",
            "size = 224",
        ] {
            assert!(Card::parse(text, "x").is_err(), "{text}");
        }
        assert!(Card::parse(&LEAST.replace("[0.5, 0.5, 0.5]", "[nan, 0.5, 0.5]"), "x").is_err());
    }

    #[test]
    fn without_a_card_defaults_come_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        std::fs::write(&path, file(classifier(), 13)).unwrap();
        let (guess, warning) = Card::for_file(&path).unwrap();
        assert_eq!((guess.size, guess.resize, &*guess.name, guess.mean), (16, 18, "net", IMAGENET_MEAN));
        assert!(warning.unwrap().contains("graft backbone card"));
        std::fs::write(folder.path().join("net.toml"), card().to_toml()).unwrap();
        assert_eq!(Card::for_file(&path).unwrap(), (card(), None));
        assert!(Card::read(&folder.path().join("none.toml")).is_err());
    }
}
