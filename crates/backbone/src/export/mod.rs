//! A head as ONNX: alone, or behind the backbone it was trained on.

#[cfg(test)]
mod tests;

use graft_wire::digest::sha256;
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

use super::BackboneError;
use super::card::{Card, Crop};
use super::file::MAX_WIDTH;
use super::load::{CutGraph, cut_graph};
use super::onnx::{fresh, int, node, port, rename, tensor};

/// A linear head as plain slices.
#[derive(Clone, Copy, Debug)]
pub struct HeadParts<'a> {
    /// `[classes, width]`, row by row.
    pub weight: &'a [f32],
    /// `[classes]`.
    pub bias: &'a [f32],
    /// Divides the logits before the softmax.
    pub temperature: f32,
    /// Names of the classes.
    pub classes: &'a [String],
}

impl HeadParts<'_> {
    /// The length of an embedding.
    ///
    /// # Errors
    /// When the parts do not fit each other or are not finite.
    fn width(&self) -> Result<usize, BackboneError> {
        let classes = self.classes.len();
        let wrong = |reason: &str| Err(BackboneError::Head(reason.into()));
        if classes == 0
            || self.bias.len() != classes
            || self.weight.is_empty()
            || !self.weight.len().is_multiple_of(classes)
        {
            return wrong("its weight, bias and classes do not fit each other; train or load it again");
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return wrong("its temperature is not above 0; train or load it again");
        }
        if self.weight.iter().chain(self.bias).any(|value| !value.is_finite()) {
            return wrong("it has weights that are not finite; train or load it again");
        }
        let width = self.weight.len() / classes;
        if width > MAX_WIDTH { wrong("it is wider than any embedding; load it again") } else { Ok(width) }
    }
}

/// One ONNX file from normalised pixels to `logits` = W·x + b and `probabilities` = softmax(logits / temperature).
/// The class names and the preprocessing stand in its metadata: `roi` is the region of the frame that was looked at, in
/// fractions, if there was one.
///
/// # Errors
/// When the backbone is refused, or the head does not fit it.
pub fn merged_onnx(
    backbone: &[u8],
    card: &Card,
    roi: Option<[f64; 4]>,
    head: &HeadParts<'_>,
) -> Result<Vec<u8>, BackboneError> {
    let width = head.width()?;
    let CutGraph { mut proto, tensor, input, width: found, float32, cut, any_batch, .. } =
        cut_graph(backbone, card)?;
    if width != found {
        return Err(BackboneError::Head(format!(
            "it takes embeddings of {width} numbers, the backbone gives {found}: use the backbone it was trained on"
        )));
    }
    let Some(graph) = proto.graph.as_mut() else {
        return Err(super::scan::ScanError::NotOnnx { reason: "it holds no graph" }.into());
    };
    // Initializers that are inputs too could be replaced by a caller.
    graph.input.retain(|declared| declared.name == input);
    let mut embedding = tensor;
    if !float32 {
        let name = fresh(graph, "graft.float32");
        graph.node.push(node("Cast", &[&embedding], &name, vec![int("to", 1)]));
        embedding = name;
    }
    for taken in [LOGITS, PROBABILITIES] {
        let name = fresh(graph, taken);
        if name != taken {
            rename(graph, taken, &name);
            if embedding == taken {
                embedding = name;
            }
        }
    }
    append_head(graph, head, &embedding, width, any_batch);
    // From version 4 on, weights need not be inputs.
    proto.ir_version = proto.ir_version.max(4);
    proto.producer_name = "graft".into();
    proto.producer_version = env!("CARGO_PKG_VERSION").into();
    describe(&mut proto, head);
    let list = |values: [f32; 3]| values.map(|value| value.to_string()).join(",");
    let crop = if roi.is_some() { Crop::Roi } else { card.crop };
    let region = roi.unwrap_or([0.0, 0.0, 1.0, 1.0]).map(|value| value.to_string()).join(",");
    for (key, value) in [
        ("graft.backbone", sha256(backbone)),
        ("graft.tensor", cut.tensor),
        ("graft.size", card.size.to_string()),
        ("graft.resize", card.resize.to_string()),
        ("graft.crop", crop.as_str().into()),
        ("graft.region", region),
        ("graft.mean", list(card.mean)),
        ("graft.std", list(card.std)),
        ("graft.licence", card.licence.clone()),
    ] {
        put(&mut proto, key, value);
    }
    Ok(proto.encode_to_vec())
}

/// The head alone: `embedding` `[batch, width]` → `logits`, `probabilities`.
///
/// # Errors
/// When the head's parts do not fit each other.
pub fn head_onnx(head: &HeadParts<'_>) -> Result<Vec<u8>, BackboneError> {
    let width = head.width()?;
    let mut graph = GraphProto {
        name: "head".into(),
        input: vec![port("embedding", &[None, Some(width)])],
        ..Default::default()
    };
    append_head(&mut graph, head, "embedding", width, true);
    let mut proto = ModelProto {
        ir_version: 7,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        producer_name: "graft".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(graph),
        ..Default::default()
    };
    describe(&mut proto, head);
    Ok(proto.encode_to_vec())
}

const LOGITS: &str = "logits";
const PROBABILITIES: &str = "probabilities";

fn append_head(graph: &mut GraphProto, head: &HeadParts<'_>, embedding: &str, width: usize, any_batch: bool) {
    let classes = head.classes.len();
    let [weight, bias, temperature, scaled] =
        ["weight", "bias", "temperature", "scaled"].map(|name| fresh(graph, &format!("graft.{name}")));
    graph.initializer.push(tensor(&weight, &[classes, width], head.weight));
    graph.initializer.push(tensor(&bias, &[classes], head.bias));
    graph.initializer.push(tensor(&temperature, &[1], &[head.temperature]));
    graph.node.push(node("Gemm", &[embedding, &weight, &bias], LOGITS, vec![int("transB", 1)]));
    graph.node.push(node("Div", &[LOGITS, &temperature], &scaled, Vec::new()));
    graph.node.push(node("Softmax", &[&scaled], PROBABILITIES, vec![int("axis", 1)]));
    let batch = if any_batch { None } else { Some(1) };
    graph.output = [LOGITS, PROBABILITIES].map(|name| port(name, &[batch, Some(classes)])).into();
}

fn describe(proto: &mut ModelProto, head: &HeadParts<'_>) {
    put(proto, "graft.classes", serde_json::json!(head.classes).to_string());
    put(proto, "graft.temperature", head.temperature.to_string());
}

fn put(proto: &mut ModelProto, key: &str, value: String) {
    proto.metadata_props.retain(|entry| entry.key != key);
    proto.metadata_props.push(StringStringEntryProto { key: key.into(), value });
}
