//! `graft embed`: a folder of pictures → an `.npz` file of embeddings.

use super::embedding::{BackboneArgs, Embedded, Skipped};
use super::npz::Writer;
use super::output::Output;
use super::pictures;
use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Embed a folder of pictures and write the result for numpy
///
/// The file holds X (float32, [pictures, width]), y (int64: index into classes), files (paths below the folder, in
/// the order of classes and file names) and classes (sorted folder names). In a folder without class folders every
/// y is 0 and classes is empty. Unreadable pictures are reported and left out.
#[derive(Args, Clone, Debug)]
pub struct EmbedArgs {
    #[command(flatten)]
    backbone: BackboneArgs,
    /// Folder of pictures: one folder a class, or flat
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// File to write
    #[arg(long, value_name = "F.npz")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Summary {
    out: PathBuf,
    n: usize,
    width: usize,
    classes: Vec<String>,
    embed_ms_per_image: f64,
    skipped: Vec<Skipped>,
}

pub fn run(args: &EmbedArgs, output: Output) -> Result<()> {
    let folder = pictures::list(&args.images)?;
    for file in &folder.stray {
        output.warn(&format!("{file} is left out: it lies beside the class folders"));
    }
    let card = args.backbone.card(output)?;
    let embedded = args.backbone.embed(&card, &folder.pictures, "embedding", output)?;
    write(&args.out, &folder.classes, &embedded).with_context(|| {
        format!("cannot write {}; check the folder and the free space", args.out.display())
    })?;
    let summary = Summary {
        out: args.out.clone(),
        n: embedded.pictures.len(),
        width: embedded.width,
        classes: folder.classes,
        embed_ms_per_image: embedded.ms_per_image,
        skipped: embedded.skipped,
    };
    output.show(&summary, |s| {
        let left_out =
            if s.skipped.is_empty() { String::new() } else { format!(", {} left out", s.skipped.len()) };
        format!(
            "{}: {} pictures, {} numbers each, {:.1} ms a picture{left_out}",
            s.out.display(),
            s.n,
            s.width,
            s.embed_ms_per_image
        )
    })
}

fn write(out: &Path, classes: &[String], embedded: &Embedded) -> Result<()> {
    let mut npz = Writer::create(out)?;
    npz.floats("X", embedded.pictures.len(), embedded.width, &embedded.values)?;
    let index = |class: usize| i64::try_from(class).unwrap_or(0);
    npz.integers("y", &embedded.pictures.iter().map(|p| index(p.class)).collect::<Vec<_>>())?;
    npz.texts("files", &embedded.pictures.iter().map(|p| p.file.clone()).collect::<Vec<_>>())?;
    npz.texts("classes", classes)?;
    Ok(npz.finish()?)
}
