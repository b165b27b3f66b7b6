//! From the bytes of an ONNX file to a graph that tract has typed and that ends in the embedding.

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;

use super::BackboneError;
use super::card::{Card, Layout, input_square};
use super::contain::{contained, short};
use super::cut::{self, Cut, Found};
use super::file::{MAX_WIDTH, sha256_hex};
use super::prune::{Pooling, dequantise, end_at, set_input};
use super::scan::{Dim, Limits, Scan, scan};

/// No single tensor of a running network may be larger.
const MAX_TENSOR_BYTES: usize = 512 << 20;

/// A backbone that is ready to be optimised.
pub(super) struct Loaded {
    pub(super) scan: Scan,
    pub(super) cut: Cut,
    pub(super) pooling: Pooling,
    pub(super) layout: Layout,
    pub(super) width: usize,
    /// Numbers in the weights that are left.
    pub(super) parameters: u64,
    /// Decluttered, shapes concrete.
    pub(super) typed: TypedModel,
    pub(super) warnings: Vec<String>,
}

/// A graph cut at the embedding, as an ONNX message.
pub(super) struct CutGraph {
    pub(super) proto: ModelProto,
    pub(super) cut: Cut,
    pooling: Pooling,
    /// Name of the row of numbers.
    pub(super) tensor: String,
    /// Name of the picture input.
    pub(super) input: String,
    layout: Layout,
    pub(super) width: usize,
    /// Does it give float32, rather than another float type?
    pub(super) float32: bool,
    /// Does its input take any batch?
    pub(super) any_batch: bool,
}

/// Checks a file, cuts it and brings it through tract's analysis.
///
/// # Errors
/// Every reason to refuse a file.
pub(super) fn load(bytes: &[u8], card: &Card, features: Option<&str>) -> Result<Loaded, BackboneError> {
    let scan = checked(bytes, card)?;
    let mut warnings = Vec::new();
    let (cut_graph, typed) = cut_and_type(bytes, card, features.or(card.features.as_deref()), &scan)?;
    let CutGraph { proto, cut, pooling, layout, width, .. } = cut_graph;
    let weights = proto.graph.iter().flat_map(|graph| &graph.initializer);
    let parameters =
        weights.map(|tensor| tensor.dims.iter().map(|dim| dim.unsigned_abs()).product::<u64>()).sum();
    if let Some([Dim::Fixed(batch), ..]) = scan.image_input()?.shape.as_deref()
        && *batch != 1
    {
        warnings.push(format!(
            "the file was exported for batches of {batch}; it is run with one picture at a time"
        ));
    }
    if scan.image_input()?.element == "float16" {
        warnings.push("the network computes in float16, which is many times slower than float32 on x86: export it as float32".into());
    }
    if cut.found == Found::Output {
        warnings.push(format!(
            "no classifier was found: the output `{}` is taken as the embedding; if it makes class scores, name an inner tensor with --features",
            cut.tensor
        ));
    }
    if pooling == Pooling::Tokens {
        warnings.push(format!("`{}` is a sequence: its mean over the tokens is the embedding", cut.tensor));
    }
    Ok(Loaded { scan, cut, pooling, layout, width, parameters, typed, warnings })
}

/// The cut graph as an ONNX message with its original input, for export.
///
/// # Errors
/// As [`load`].
pub(super) fn cut_graph(bytes: &[u8], card: &Card) -> Result<CutGraph, BackboneError> {
    let scan = checked(bytes, card)?;
    let (mut graph, _) = cut_and_type(bytes, card, card.features.as_deref(), &scan)?;
    let size = card.size as usize;
    let mut dims: Vec<Option<usize>> = graph.layout.shape(size).map(Some).to_vec();
    // A file for any batch stays one for any batch.
    if graph.any_batch {
        dims[0] = None;
    }
    set_input(&mut graph.proto, &graph.input, &dims);
    Ok(graph)
}

fn checked(bytes: &[u8], card: &Card) -> Result<Scan, BackboneError> {
    card.check().map_err(|reason| BackboneError::Card { place: card.name.clone(), reason })?;
    let scan = scan(bytes, &Limits::default())?;
    if !card.sha256.is_empty() {
        let found = sha256_hex(bytes);
        if !found.eq_ignore_ascii_case(&card.sha256) {
            return Err(BackboneError::Digest { expected: card.sha256.clone(), found });
        }
    }
    Ok(scan)
}

fn cut_and_type(
    bytes: &[u8],
    card: &Card,
    features: Option<&str>,
    scan: &Scan,
) -> Result<(CutGraph, TypedModel), BackboneError> {
    let port = scan.image_input()?;
    let (side, layout) = input_square(scan)?;
    if let Some(side) = side.filter(|&side| side != card.size) {
        let reason =
            format!("it takes {side} px, but the card says {}: correct `size` in the card", card.size);
        return Err(BackboneError::Input { input: port.name.clone(), reason });
    }
    let layout = layout.unwrap_or(card.layout);
    let mut proto = contained("read the file", || Ok(ModelProto::decode(bytes)?))?;
    let dims = layout.shape(card.size as usize).map(Some);
    set_input(&mut proto, &port.name, &dims);
    let Some(graph) = proto.graph.as_mut() else {
        return Err(super::scan::ScanError::NotOnnx { reason: "it holds no graph" }.into());
    };
    let cut = cut::find(graph, features)?;
    end_at(graph, &cut.tensor);
    if graph.input.iter().all(|input| input.name != port.name) {
        return Err(BackboneError::NotAnEmbedding {
            tensor: cut.tensor,
            found: "independent of the picture".into(),
        });
    }
    let mut tensor = dequantise(graph, &cut);
    end_at_output(graph, &tensor);
    supported(graph)?;
    let mut typed = typed(&proto)?;
    let shape = output_shape(&typed, &tensor)?;
    let wrong =
        || BackboneError::NotAnEmbedding { tensor: cut.tensor.clone(), found: format!("of shape {shape:?}") };
    let graph = proto.graph.as_mut().ok_or_else(wrong)?;
    let pooling = Pooling::of(&shape, graph, &tensor).ok_or_else(wrong)?;
    if pooling != Pooling::None {
        tensor = pooling.append(graph, &tensor);
        end_at_output(graph, &tensor);
        typed = self::typed(&proto)?;
    }
    let width = match output_shape(&typed, &tensor)?[..] {
        [1, width] if (1..=MAX_WIDTH).contains(&width) => width,
        _ => return Err(wrong()),
    };
    if card.width != 0 && card.width != width && features == card.features.as_deref() {
        return Err(BackboneError::Width { expected: card.width, found: width });
    }
    let float32 =
        contained("find the embedding", || Ok(typed.output_fact(0)?.datum_type == f32::datum_type()))?;
    let any_batch = !matches!(port.shape.as_deref(), Some([Dim::Fixed(_), ..]));
    let input = port.name.clone();
    Ok((CutGraph { proto, cut, pooling, tensor, input, layout, width, float32, any_batch }, typed))
}

fn end_at_output(graph: &mut GraphProto, tensor: &str) {
    if let Some(output) = graph.output.first_mut() {
        output.name = tensor.into();
    }
}

/// Refuses operators that tract has no translation for, all of them in one sentence.
fn supported(graph: &GraphProto) -> Result<(), BackboneError> {
    let known = tract_onnx::onnx().op_register;
    let mut ops: Vec<String> = Vec::new();
    let mut open = vec![graph];
    while let Some(graph) = open.pop() {
        for node in &graph.node {
            if !known.0.contains_key(&node.op_type) {
                let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
                ops.push(format!("{domain}{}", node.op_type).chars().take(80).collect());
            }
            open.extend(
                node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)),
            );
        }
    }
    ops.sort_unstable();
    ops.dedup();
    ops.truncate(10);
    if ops.is_empty() { Ok(()) } else { Err(BackboneError::Unsupported { ops }) }
}

fn typed(proto: &ModelProto) -> Result<TypedModel, BackboneError> {
    let typed = contained("analyse the graph", || {
        let onnx = tract_onnx::onnx().with_ignore_value_info(true);
        let parsed = onnx.parse(proto, None)?;
        parsed.model.into_typed()?.into_decluttered()
    })?;
    for (id, node) in typed.nodes.iter().enumerate() {
        for slot in 0..node.outputs.len() {
            let fact = &node.outputs[slot].fact;
            let Some(shape) = fact.shape.as_concrete() else {
                let reason = format!(
                    "the shape of `{}` depends on more than the picture's size",
                    typed.nodes[id].name
                );
                return Err(BackboneError::Tract { step: "analyse the graph", reason: short(&reason) });
            };
            let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
            let bytes = elements.and_then(|elements| elements.checked_mul(fact.datum_type.size_of()));
            if bytes.is_none_or(|bytes| bytes > MAX_TENSOR_BYTES) {
                return Err(BackboneError::NotAnEmbedding {
                    tensor: node.name.chars().take(100).collect(),
                    found: format!("of shape {shape:?}, over {} MiB", MAX_TENSOR_BYTES >> 20),
                });
            }
        }
    }
    Ok(typed)
}

fn output_shape(typed: &TypedModel, tensor: &str) -> Result<Vec<usize>, BackboneError> {
    let fact = contained("find the embedding", || typed.output_fact(0).cloned())?;
    let wrong = || BackboneError::NotAnEmbedding {
        tensor: tensor.into(),
        found: format!("{fact:?}").chars().take(100).collect(),
    };
    if !fact.datum_type.is_float() {
        return Err(wrong());
    }
    fact.shape.as_concrete().map(<[usize]>::to_vec).ok_or_else(wrong)
}
