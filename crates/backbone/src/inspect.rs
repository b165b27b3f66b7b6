//! What `graft backbone inspect` shows of an ONNX file.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::Cost;

use super::BackboneError;
use super::card::{Card, Layout};
use super::cut::Found;
use super::file::read_file;
use super::load::load;
use super::plan::{Backbone, Identity};
use super::scan::Port;
use graft_base::frame::Rgb;

/// Everything that is worth knowing about a backbone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inspection {
    /// What embeddings of it depend on.
    pub identity: Identity,
    /// Length of the file.
    pub bytes: u64,
    /// Who wrote the file, as it says.
    pub producer: String,
    /// Version of the ONNX format.
    pub ir_version: i64,
    /// Version of the standard operator set.
    pub opset: i64,
    /// Real inputs of the file.
    pub inputs: Vec<Port>,
    /// Declared outputs of the file.
    pub outputs: Vec<Port>,
    /// The tensor that becomes the embedding, and why.
    pub cut: CutReport,
    /// Length of the embedding.
    pub width: usize,
    /// Order of the input's axes.
    pub layout: Layout,
    /// How many nodes of each operator the file holds.
    pub ops: std::collections::BTreeMap<String, usize>,
    /// Multiplications with addition for one frame, up to the cut.
    pub macs: u64,
    /// Weights up to the cut.
    pub parameters: u64,
    /// Measured time from a 640×480 picture to its embedding.
    pub ms_per_frame: Timing,
    /// [`Backbone::proof`], for the next load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// How pictures are fed.
    pub card: Card,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// The cut, for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CutReport {
    pub tensor: String,
    /// How it was found.
    pub found: Found,
    /// How it becomes one row of numbers: `none`, `flatten`, `average over the picture`, `average over the tokens`.
    pub pooling: String,
}

/// Milliseconds of several runs on one thread.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Timing {
    pub p50: f64,
    pub min: f64,
    /// Runs measured, after one that is not.
    pub n: usize,
}

/// Loads a file, runs it a few times, and reports. Without a card the one beside the file is taken, or defaults with
/// a warning. `features` names another cut than the card's.
///
/// # Errors
/// Every reason to refuse a file.
pub fn inspect(
    path: &Path,
    card: Option<&Card>,
    features: Option<&str>,
) -> Result<Inspection, BackboneError> {
    let bytes = read_file(path)?;
    let (mut card, assumed) = match card {
        Some(card) => (card.clone(), None),
        None => Card::for_file(path)?,
    };
    if features.is_some() && features != card.features.as_deref() {
        card.features = features.map(str::to_owned);
        card.width = 0;
    }
    let loaded = load(&bytes, &card, None)?;
    let macs = macs(&loaded.typed);
    let mut warnings = loaded.warnings.clone();
    warnings.extend(assumed);
    let report = CutReport {
        tensor: loaded.cut.tensor.clone(),
        found: loaded.cut.found,
        pooling: loaded.pooling.as_str().to_owned(),
    };
    let (scan, layout, parameters) = (loaded.scan.clone(), loaded.layout, loaded.parameters);
    let mut backbone = Backbone::start(loaded, &bytes, &card, None)?;
    let ms_per_frame = time(&mut backbone)?;
    card.width = backbone.width();
    Ok(Inspection {
        identity: backbone.identity().clone(),
        bytes: bytes.len() as u64,
        producer: scan.producer,
        ir_version: scan.ir_version,
        opset: scan.opset,
        inputs: scan.inputs,
        outputs: scan.outputs,
        cut: report,
        width: backbone.width(),
        layout,
        ops: scan.ops,
        macs,
        parameters,
        ms_per_frame,
        proof: backbone.proof().map(str::to_owned),
        card,
        warnings,
    })
}

/// Multiply-accumulate operations of one run in convolutions and matrix products, as tract counts them.
pub(super) fn macs(typed: &TypedModel) -> u64 {
    let mut sum = 0u64;
    // Activations cost additions too, which nobody counts.
    let heavy = |name: &str| ["Conv", "EinSum", "MatMul", "MatMatMul"].iter().any(|part| name.contains(part));
    for node in typed.nodes.iter().filter(|node| heavy(&node.op.name())) {
        let costs = typed.node_input_facts(node.id).and_then(|facts| node.op.cost(&facts));
        for (cost, count) in costs.unwrap_or_default() {
            if matches!(cost, Cost::FMA(_)) {
                sum = sum.saturating_add(
                    count.to_i64().ok().and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
                );
            }
        }
    }
    sum
}

/// A few runs: at least three, at most eleven, about a second.
fn time(backbone: &mut Backbone) -> Result<Timing, BackboneError> {
    let mut frame = Rgb::black(640, 480);
    frame.bytes.fill(128);
    let mut runs = Vec::new();
    let start = Instant::now();
    while runs.len() < 3 || (runs.len() < 11 && start.elapsed().as_secs_f64() < 1.0) {
        let start = Instant::now();
        backbone.embed(&frame, None)?;
        runs.push(start.elapsed().as_secs_f64() * 1e3);
    }
    runs.sort_by(f64::total_cmp);
    Ok(Timing { p50: runs[runs.len() / 2], min: runs[0], n: runs.len() })
}
