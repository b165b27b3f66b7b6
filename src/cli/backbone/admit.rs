//! `graft backbone admit`: the child process that looks at a file before anything else loads it. Not for people; see
//! `backbone::admission`.

use crate::cli::files::read;
use crate::cli::output::Output;
use anyhow::Result;
use clap::Args;
use graft_backbone::admission::{self, Admission, Answer, Golden, Refusal};
use graft_backbone::{Card, scan};
use graft_wire::BackboneManifest;
use graft_wire::backbone_manifest::{Golden as GoldenFile, TunedHead};
use std::path::{Path, PathBuf};

/// Look at a file under limits of memory and time, and answer in JSON
#[derive(Args, Clone, Debug)]
pub struct AdmitArgs {
    /// ONNX file
    file: PathBuf,
    /// Its card
    #[arg(long)]
    card: Option<PathBuf>,
    /// Cut at this tensor instead
    #[arg(long)]
    features: Option<String>,
    /// The manifest it came with
    #[arg(long, requires_all = ["head", "golden"])]
    manifest: Option<PathBuf>,
    /// The head it came with
    #[arg(long)]
    head: Option<PathBuf>,
    /// The golden vectors it came with
    #[arg(long)]
    golden: Option<PathBuf>,
    /// Memory it may take [default: by the size of the file]
    #[arg(long)]
    memory_bytes: Option<u64>,
}

pub fn run(args: &AdmitArgs, output: Output) -> Result<()> {
    admission::confine(&args.file, args.memory_bytes)?;
    let (answer, refused) = match examine(args) {
        Ok(admission) => (Answer::Admitted(Box::new(admission)), false),
        Err(refusal) => (Answer::Refused(refusal), true),
    };
    output.line(&serde_json::to_string(&answer)?)?;
    if refused { Err(crate::cli::Silent.into()) } else { Ok(()) }
}

fn examine(args: &AdmitArgs) -> Result<Admission, Refusal> {
    let card = args.card.as_deref().map(Card::read).transpose();
    let card = card.map_err(|e| Refusal::new(e.reason(), e.to_string()))?;
    let golden = match (&args.manifest, &args.head, &args.golden) {
        (Some(manifest), Some(head), Some(golden)) => Some(result(manifest, head, golden)?),
        _ => None,
    };
    admission::examine(&args.file, card.as_ref(), args.features.as_deref(), golden.as_ref())
}

/// The golden vectors of a result, checked against its head.
fn result(manifest: &Path, head: &Path, golden: &Path) -> Result<Golden, Refusal> {
    let bytes = |path: &Path| {
        read(path, scan::Limits::default().file_bytes).map_err(|e| Refusal::new("unreadable", e.to_string()))
    };
    let refused = |e: graft_wire::BackboneManifestError| Refusal::new(&e.reason(), e.to_string());
    let manifest = BackboneManifest::from_json(&bytes(manifest)?).map_err(refused)?;
    let head = TunedHead::read(&bytes(head)?, &manifest).map_err(refused)?;
    let golden = GoldenFile::read(&bytes(golden)?, &manifest).map_err(refused)?;
    let (width, classes) = (manifest.width as usize, manifest.classes.len());
    for (embedding, logits) in golden.embeddings.chunks(width).zip(golden.logits.chunks(classes)) {
        for ((row, bias), logit) in head.weight.chunks(width).zip(&head.bias).zip(logits) {
            let said: f32 = row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>() + bias;
            let off = (said - logit).abs();
            if off.is_nan() || off > admission::GOLDEN_TOLERANCE * logit.abs().max(1.0) {
                return Err(Refusal::new(
                    "golden_mixed",
                    format!(
                        "head and golden vectors do not belong together: the head says {said}, the vectors {logit}"
                    ),
                ));
            }
        }
    }
    let rows = |values: &[f32], of: usize| values.chunks(of).map(<[f32]>::to_vec).collect();
    let input = golden.shape.iter().product();
    Ok(Golden { inputs: rows(&golden.inputs, input), embeddings: rows(&golden.embeddings, width) })
}
