//! Pictures → embeddings, for `embed` and `eval`.

use super::failure::Usage;
use super::output::Output;
use super::pictures::Picture;
use anyhow::{Context, Result};
use clap::Args;
use graft_backbone::{self as backbone, Backbone, Card};
use graft_camera as camera;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Which backbone, and how it is run.
#[derive(Args, Clone, Debug)]
pub struct BackboneArgs {
    /// ONNX file of the backbone, or the word `tiny` for the built-in one
    #[arg(long, value_name = "FILE")]
    pub backbone: PathBuf,
    /// Its card [default: the .toml file beside it, else guessed from the network]
    #[arg(long, value_name = "FILE")]
    pub card: Option<PathBuf>,
    /// Name of the tensor that gives the embedding [default: as the card says, else found]
    #[arg(long, value_name = "TENSOR")]
    pub features: Option<String>,
    /// Threads, each with a copy of the backbone
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
}

/// A picture that was left out.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    /// Below the folder.
    pub file: String,
    pub reason: String,
}

/// The embeddings of the readable pictures, in their order.
pub struct Embedded {
    pub width: usize,
    /// The pictures they are of.
    pub pictures: Vec<Picture>,
    /// `[pictures, width]`.
    pub values: Vec<f32>,
    pub skipped: Vec<Skipped>,
    /// Median time from decoded picture to embedding, ms.
    pub ms_per_image: f64,
}

impl BackboneArgs {
    /// Reads the card; a guessed one is warned about.
    pub fn card(&self, output: Output) -> Result<Card> {
        let mut card = match &self.card {
            Some(path) => Card::read(path)?,
            None if self.is_tiny() => backbone::tiny().1,
            None => {
                let (card, warning) = Card::for_file(&self.backbone)?;
                if let Some(warning) = warning {
                    output.warn(&warning);
                }
                card
            }
        };
        if let Some(features) = &self.features {
            // The width in a card is that of its own tensor.
            (card.features, card.width) = (Some(features.clone()), 0);
        }
        Ok(card)
    }

    fn is_tiny(&self) -> bool {
        self.backbone.as_os_str() == "tiny"
    }

    pub fn load(&self, card: &Card) -> Result<Backbone> {
        let loaded = match self.is_tiny() {
            true => Backbone::from_bytes(backbone::tiny().0, card),
            false => Backbone::load(&self.backbone, card),
        };
        loaded.with_context(|| format!("{} cannot be used", self.backbone.display()))
    }

    /// Embeds pictures. Unreadable ones are told and left out.
    pub fn embed(&self, card: &Card, pictures: &[Picture], what: &str, output: Output) -> Result<Embedded> {
        let threads = usize::from(self.threads).min(pictures.len()).max(1);
        let backbones = (0..threads).map(|_| self.load(card)).collect::<Result<Vec<_>>>()?;
        let width = backbones.first().map_or(0, Backbone::width);
        let bar = output.bar(pictures.len() as u64, what);
        let next = AtomicUsize::new(0);
        let work = |mut backbone: Backbone| {
            let mut done = Vec::new();
            while let Some((at, picture)) = take(&next, pictures) {
                done.push((at, one(&mut backbone, picture)));
                bar.inc(1);
            }
            done
        };
        type Timed = Result<(Vec<f32>, f64), String>;
        let mut results: Vec<(usize, Timed)> = std::thread::scope(|scope| {
            let running: Vec<_> = backbones.into_iter().map(|b| scope.spawn(|| work(b))).collect();
            let panicked = |_| Usage("a picture made the program fail; report it".to_owned());
            let parts = running.into_iter().map(|thread| thread.join().map_err(panicked));
            parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
        })?;
        bar.finish_and_clear();
        results.sort_by_key(|(at, _)| *at);
        let mut embedded = Embedded {
            width,
            pictures: Vec::new(),
            values: Vec::new(),
            skipped: Vec::new(),
            ms_per_image: 0.0,
        };
        let mut times = Vec::new();
        for (at, result) in results {
            match result {
                Ok((values, ms)) => {
                    embedded.values.extend(values);
                    embedded.pictures.push(pictures[at].clone());
                    times.push(ms);
                }
                Err(reason) => {
                    let file = pictures[at].file.clone();
                    output.warn(&format!("{file} is left out: {reason}"));
                    embedded.skipped.push(Skipped { file, reason });
                }
            }
        }
        times.sort_by(f64::total_cmp);
        embedded.ms_per_image = times.get(times.len() / 2).copied().unwrap_or(0.0);
        Ok(embedded)
    }
}

fn take<'a>(next: &AtomicUsize, pictures: &'a [Picture]) -> Option<(usize, &'a Picture)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    pictures.get(at).map(|picture| (at, picture))
}

/// The embedding of one picture and the time it took from pixels on, ms.
fn one(backbone: &mut Backbone, picture: &Picture) -> Result<(Vec<f32>, f64), String> {
    let pixels = camera::read_image(&picture.path).map_err(|e| e.to_string())?;
    let start = Instant::now();
    let embedding = backbone.embed(&pixels, None).map_err(|e| e.to_string())?;
    Ok((embedding, start.elapsed().as_secs_f64() * 1e3))
}
