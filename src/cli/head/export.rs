//! `graft head export`: a head as a file for elsewhere.

use crate::cli::files::{read, write};
use crate::cli::{Common, NotFound, NotVerified};
use crate::config;
use anyhow::Result;
use clap::{Args, ValueEnum};
use graft_backbone::{self as backbone, Card, export as onnx};
use graft_wire::{HeadFile, PictureRecipe, digest, head_file};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Write a head to a file
///
/// safetensors is the signed file itself; onnx is the head alone, from embedding to probabilities; merged-onnx is
/// backbone and head in one, from normalised pixels to probabilities.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// Its version [default: the active one]
    version: Option<u64>,
    /// Form of the file
    #[arg(long, value_enum, default_value_t = Format::Safetensors)]
    format: Format,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Also write its signed manifest
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Take this head file instead of asking the daemon, and convert it here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["version", "manifest"])]
    head: Option<PathBuf>,
    /// With --head and merged-onnx: the backbone, or the word `tiny` [default: as configured]
    #[arg(long, value_name = "FILE", requires = "head")]
    backbone: Option<PathBuf>,
    /// Its card [default: the .toml file beside it]
    #[arg(long, value_name = "FILE", requires = "backbone")]
    card: Option<PathBuf>,
}

/// Form of an exported head.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The head file itself
    Safetensors,
    /// The head alone
    Onnx,
    /// Backbone and head in one
    MergedOnnx,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
            Self::MergedOnnx => "merged-onnx",
        }
    }
}

pub(super) fn export(args: &ExportArgs, common: &Common) -> Result<()> {
    let (version, bytes) = match &args.head {
        Some(path) => convert(&read(path, head_file::MAX_BYTES as u64)?, args, common)?,
        None => {
            let version = args.version.map_or_else(|| common.active_head(), Ok)?;
            let query = [("format", args.format.as_str())];
            (version, common.client().get_bytes(&format!("/v1/heads/{version}/file"), &query)?.to_vec())
        }
    };
    write(&args.out, &bytes)?;
    if let Some(out) = &args.manifest {
        let head: Value = common.get(&format!("/v1/heads/{version}"))?;
        let manifest = head.get("manifest").filter(|m| m.is_object());
        let manifest = manifest.ok_or_else(|| NotFound(format!("head {version} has no manifest")))?;
        write(out, manifest.to_string().as_bytes())?;
    }
    let told =
        json!({"version": version, "format": args.format.as_str(), "out": args.out, "bytes": bytes.len()});
    common.output().show(&told, |_| format!("head {version}: {} ({} bytes)", args.out.display(), bytes.len()))
}

/// A head file as the wanted format, and its version.
fn convert(file: &[u8], args: &ExportArgs, common: &Common) -> Result<(u64, Vec<u8>)> {
    let head = HeadFile::decode(file).map_err(|e| NotVerified(e.to_string()))?;
    let parts = onnx::HeadParts {
        weight: &head.head.weight,
        bias: &head.head.bias,
        temperature: head.head.temperature,
        classes: &head.meta.classes,
    };
    let bytes = match args.format {
        Format::Safetensors => file.to_vec(),
        Format::Onnx => onnx::head_onnx(&parts)?,
        Format::MergedOnnx => {
            let (backbone, mut card) = backbone(args, common)?;
            let (found, wanted) = (digest::sha256(&backbone), &head.meta.backbone.digest);
            if found != *wanted {
                let text = format!("the head belongs to backbone {wanted}, this one is {found}");
                return Err(NotVerified(format!("{text}; give the right one with --backbone")).into());
            }
            (card.features, card.width) = (Some(head.meta.tensor.clone()), head.head.width);
            // What the board did to its pictures, not what the card would have it do.
            let mut region = None;
            if let Some(PictureRecipe { size, resize, crop, region: of, mean, std }) =
                head.meta.pictures.clone()
            {
                let crop = backbone::Crop::parse(&crop).unwrap_or(card.crop);
                (card, region) = (Card { size, resize, crop, mean, std, ..card }, of);
            }
            onnx::merged_onnx(&backbone, &card, region, &parts)?
        }
    };
    Ok((head.meta.version, bytes))
}

/// The backbone to merge with, and its card.
fn backbone(args: &ExportArgs, common: &Common) -> Result<(Vec<u8>, Card)> {
    let (mut file, mut card) = (args.backbone.clone(), args.card.clone());
    if file.is_none() {
        let settings = config::load(&common.sources())?.backbone;
        (file, card) = (settings.file, card.or(settings.card));
    }
    match file.filter(|file| file.as_os_str() != "tiny") {
        None => Ok((backbone::tiny().0.to_vec(), backbone::tiny().1)),
        Some(file) => {
            let card = match card {
                Some(card) => Card::read(&card)?,
                None => Card::for_file(&file)?.0,
            };
            Ok((read(&file, backbone::scan::Limits::default().file_bytes)?, card))
        }
    }
}
