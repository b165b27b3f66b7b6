//! Sets of pictures, embedded once: in full and in less light, kept as `.npz` files.

use super::drawn::darken;
use super::load;
use super::set::Set;
use anyhow::{Context, Result};
use graft::lab::{BackboneArgs, NpzWriter, Output};
use graft_backbone::{Backbone, Card, Crop};
use graft_base::pictures::{Links, image_folder};
use graft_camera::read_image;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The embeddings of pictures, in their order.
#[derive(Default)]
struct Embedded {
    files: Vec<String>,
    light: Vec<f32>,
    dark: Vec<f32>,
}

/// Makes sets of one backbone.
pub struct Maker {
    backbone: PathBuf,
    card: Card,
    /// Where sets are kept.
    cache: PathBuf,
    output: Output,
}

impl Maker {
    /// Of a network and its card.
    pub fn new(backbone: &Path, card: Card, cache: PathBuf, output: Output) -> Self {
        Self { backbone: backbone.to_owned(), card, cache, output }
    }

    /// Photographs of `<folder>/{train,val}/<class>/`.
    ///
    /// # Errors
    /// When they or the cache cannot be read, or the backbone fails.
    pub fn photographs(&self, folder: &Path) -> Result<Set> {
        self.kept(folder, || {
            let mut network = self.load(self.card.crop)?;
            let (mut arrays, mut classes) = (Vec::new(), Vec::new());
            for half in ["train", "val"] {
                let found = image_folder(&folder.join(half), Links::Inside)
                    .with_context(|| format!("{} cannot be read", folder.display()))?;
                classes = found.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
                let (mut all, mut labels) = (Embedded::default(), Vec::new());
                for (at, class) in found.classes.iter().enumerate() {
                    for file in &class.pictures {
                        let path = folder.join(half).join(file);
                        if self.embed(&mut network, &path, file, &mut all)? {
                            labels.push(at as i64);
                        }
                    }
                }
                arrays.push((half, all, labels));
            }
            let width = network.width();
            Ok(Box::new(move |npz: &mut NpzWriter| {
                for (half, all, labels) in &arrays {
                    npz.floats(&format!("X_{half}"), labels.len(), width, &all.light)?;
                    npz.floats(&format!("X_{half}_dark"), labels.len(), width, &all.dark)?;
                    npz.integers(&format!("y_{half}"), labels)?;
                    npz.texts(&format!("files_{half}"), &all.files)?;
                }
                npz.texts("classes", &classes)
            }))
        })
    }

    /// Frames of a fixed camera, whole: `<folder>/labels.csv` with the frame, its label and, last, its file below
    /// `frames`, where it has one.
    ///
    /// # Errors
    /// As [`Maker::photographs`].
    pub fn stream(&self, folder: &Path) -> Result<Set> {
        self.kept(folder, || {
            let mut network = self.load(Crop::Stretch)?;
            let (mut all, mut frames, mut labels) = (Embedded::default(), Vec::new(), Vec::new());
            for (frame, label, file) in listing(folder)? {
                let path = folder.join("frames").join(&file);
                if self.embed(&mut network, &path, Path::new(&file), &mut all)? {
                    frames.push(frame);
                    labels.push(label);
                }
            }
            let width = network.width();
            Ok(Box::new(move |npz: &mut NpzWriter| {
                npz.floats("X", labels.len(), width, &all.light)?;
                npz.floats("X_dark", labels.len(), width, &all.dark)?;
                npz.texts("label", &labels)?;
                npz.integers("frame", &frames)
            }))
        })
    }

    /// The set as it is kept, or made now.
    fn kept(&self, folder: &Path, make: impl FnOnce() -> Result<Arrays>) -> Result<Set> {
        let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.cache.join(format!("{}__{}.npz", stem(folder), stem(&self.backbone)));
        if !path.is_file() {
            self.output.note(&format!("embedding {} once, for {}", folder.display(), path.display()));
            let write = make()?;
            std::fs::create_dir_all(&self.cache)?;
            let mut npz = NpzWriter::create(&path)?;
            write(&mut npz)?;
            npz.finish()?;
        }
        load::file(&path)
    }

    fn load(&self, crop: Crop) -> Result<Backbone> {
        let args = BackboneArgs { backbone: self.backbone.clone(), card: None, features: None, threads: 1 };
        args.load(&Card { crop, ..self.card.clone() })
    }

    /// Whether it could be read.
    fn embed(&self, network: &mut Backbone, path: &Path, name: &Path, all: &mut Embedded) -> Result<bool> {
        let mut picture = match read_image(path) {
            Ok(picture) => picture,
            Err(error) => {
                self.output.warn(&format!("{} is left out: {error}", path.display()));
                return Ok(false);
            }
        };
        all.light.extend(network.embed(&picture, None)?);
        darken(&mut picture);
        all.dark.extend(network.embed(&picture, None)?);
        all.files.push(name.display().to_string());
        Ok(true)
    }
}

/// Writes the arrays of a set.
type Arrays = Box<dyn FnOnce(&mut NpzWriter) -> std::io::Result<()>>;

/// Frames with a file: number, label, file.
pub fn listing(folder: &Path) -> Result<Vec<(i64, String, String)>> {
    let path = folder.join("labels.csv");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let file = fields.last().filter(|file| !file.is_empty())?;
        Some((fields[0].parse().ok()?, (*fields.get(1)?).to_owned(), (*file).to_owned()))
    };
    Ok(text.lines().skip(1).filter_map(line).collect())
}

/// The card of a network: as named, else as `models.json` beside it says, else the one beside it.
///
/// # Errors
/// When there is no usable one.
pub fn card(backbone: &Path, named: Option<PathBuf>, output: Output) -> Result<Card> {
    let args = BackboneArgs { backbone: backbone.to_owned(), card: named, features: None, threads: 1 };
    match args.card.is_none().then(|| listed(backbone)).flatten() {
        Some(card) => Ok(card),
        None => args.card(output),
    }
}

/// A card from `models.json` in the folder of a network.
fn listed(backbone: &Path) -> Option<Card> {
    let text = std::fs::read_to_string(backbone.with_file_name("models.json")).ok()?;
    let all: Value = serde_json::from_str(&text).ok()?;
    let entry = all.get(backbone.file_name()?.to_str()?)?;
    let three = |name: &str| -> Option<[f32; 3]> {
        let number = |value: &Value| value.as_f64().map(|number| number as f32);
        let value = &entry[name];
        match value.as_array() {
            Some(list) => list.iter().map(number).collect::<Option<Vec<_>>>()?.try_into().ok(),
            None => number(value).map(|number| [number; 3]),
        }
    };
    let (mut card, _) = Card::for_file(backbone).ok()?;
    (card.mean, card.std) = (three("mean")?, three("std")?);
    Some(card)
}
