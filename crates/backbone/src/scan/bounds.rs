//! Finds the few bytes that would become gigabytes: sizes are followed through the operators that make
//! large tensors out of small ones, as lower bounds, before anything is allocated.

use std::collections::HashMap;

use super::parts::{Graph, Node};
use super::{Limits, ScanError};

/// Sides of kernels, pads and strides above this are no convolution over a picture.
const MAX_SIDE: i64 = 16_384;

/// What is known of a tensor without computing it.
#[derive(Clone, Debug, Default)]
struct Size {
    /// Its shape, when it follows from constants.
    dims: Option<Vec<f64>>,
    /// At least so many elements.
    elements: f64,
    /// Its numbers, when few and constant.
    values: Option<Vec<f64>>,
}

impl Size {
    fn of(dims: Vec<f64>) -> Self {
        Self { elements: dims.iter().product(), dims: Some(dims), values: None }
    }
}

/// Refuses a graph that would make a tensor above [`Limits::made_bytes`] (4 bytes an element assumed).
pub(super) fn check(graph: &Graph<'_>, limits: &Limits) -> Result<(), ScanError> {
    let mut sizes: HashMap<&str, Size> = HashMap::new();
    for tensor in &graph.tensors {
        sizes.insert(tensor.name, size(&tensor.dims, tensor.elements, tensor.small.as_deref()));
    }
    for node in &graph.nodes {
        attributes(node, limits)?;
        let made = output_size(node, &sizes);
        let bytes = made.elements * 4.0;
        if bytes > limits.made_bytes as f64 {
            return Err(ScanError::OversizeConstant {
                tensor: node.outputs.first().copied().unwrap_or_default().into(),
                op: node.op.into(),
                bytes,
                limit: limits.made_bytes,
            });
        }
        for &output in &node.outputs {
            sizes.insert(output, made.clone());
        }
    }
    Ok(())
}

fn size(dims: &[u64], elements: u64, small: Option<&[f64]>) -> Size {
    Size {
        dims: Some(dims.iter().map(|&dim| dim as f64).collect()),
        elements: elements as f64,
        values: small.map(<[f64]>::to_vec),
    }
}

fn attributes(node: &Node<'_>, limits: &Limits) -> Result<(), ScanError> {
    let sides = [
        "pads",
        "kernel_shape",
        "strides",
        "dilations",
        "output_padding",
        "output_shape",
        "repeats",
        "blocksize",
    ];
    for (name, ints) in node.ints.iter().filter(|(name, _)| sides.contains(name)) {
        if let Some(side) = ints.iter().find(|side| side.unsigned_abs() > MAX_SIDE as u64) {
            return Err(ScanError::OversizeConstant {
                tensor: node.outputs.first().copied().unwrap_or_default().into(),
                op: format!("{} with {name} = {side}", node.op),
                bytes: side.unsigned_abs() as f64 * 4.0,
                limit: limits.made_bytes,
            });
        }
    }
    Ok(())
}

/// A lower bound of what the node makes.
fn output_size(node: &Node<'_>, sizes: &HashMap<&str, Size>) -> Size {
    let unknown = Size { elements: 1.0, ..Size::default() };
    let input = |index: usize| node.inputs.get(index).and_then(|name| sizes.get(name)).unwrap_or(&unknown);
    let values = |index: usize| input(index).values.as_deref();
    let ints = |wanted: &str| {
        node.ints.iter().find(|(name, ints)| *name == wanted && !ints.is_empty()).map(|(_, ints)| ints)
    };
    let floats = |wanted: &str| {
        node.floats.iter().find(|(name, list)| *name == wanted && !list.is_empty()).map(|(_, list)| list)
    };
    let positive = |values: &[f64]| values.iter().map(|v| v.max(1.0)).collect::<Vec<_>>();
    match node.op {
        "Constant" => match node.tensors.first() {
            Some(tensor) => size(&tensor.dims, tensor.elements, tensor.small.as_deref()),
            None => {
                let ints = ["value_int", "value_ints"].iter().find_map(|name| ints(name));
                let list = ints
                    .map(|ints| ints.iter().map(|&v| v as f64).collect::<Vec<_>>())
                    .or_else(|| ["value_float", "value_floats"].iter().find_map(|name| floats(name)).cloned())
                    .unwrap_or_default();
                Size { dims: None, elements: list.len().max(1) as f64, values: Some(list) }
            }
        },
        "ConstantOfShape" | "EyeLike" if values(0).is_some() => {
            Size::of(positive(values(0).unwrap_or_default()))
        }
        "RandomNormal" | "RandomUniform" => Size::of(
            ints("shape")
                .map_or_else(Vec::new, |dims| dims.iter().map(|&dim| (dim as f64).max(1.0)).collect()),
        ),
        "Expand" => match values(1) {
            Some(shape) => broadcast(&[input(0), &Size::of(positive(shape))]),
            None => input(0).clone(),
        },
        "Tile" | "Upsample" => {
            let factors =
                values(1).map(<[f64]>::to_vec).or_else(|| floats("scales").cloned()).unwrap_or_default();
            scaled(input(0), &factors)
        }
        "Resize" => {
            // Operands: X, roi, scales, sizes (opset 10: X, scales).
            let scales =
                values(2).filter(|v| !v.is_empty()).or(if node.inputs.len() == 2 { values(1) } else { None });
            match (values(3).filter(|v| !v.is_empty()), scales) {
                (Some(sizes), _) => Size::of(positive(sizes)),
                (None, Some(scales)) => scaled(input(0), scales),
                _ => input(0).clone(),
            }
        }
        "Pad" => {
            let pads: f64 = values(1).map_or(0.0, |pads| pads.iter().filter(|v| **v > 0.0).sum());
            Size { dims: None, elements: input(0).elements + pads, values: None }
        }
        "Range" => match (values(0), values(1), values(2)) {
            (Some([start, ..]), Some([limit, ..]), Some([step, ..])) => {
                let count = ((limit - start) / step).ceil();
                // A step of 0 gives an endless range; NaN counts as endless too.
                Size::of(vec![if count.is_nan() { f64::INFINITY } else { count.max(0.0) }])
            }
            _ => unknown.clone(),
        },
        "OneHot" => {
            let depth = values(1).and_then(|v| v.first().copied()).unwrap_or(1.0).max(1.0);
            Size { dims: None, elements: input(0).elements * depth, values: None }
        }
        "Concat" => {
            let parts: Vec<_> = (0..node.inputs.len()).map(input).collect();
            let list: Option<Vec<Vec<f64>>> = parts.iter().map(|part| part.values.clone()).collect();
            let values = list.map(|list| list.concat()).filter(|list| list.len() <= 64);
            Size { dims: None, elements: parts.iter().map(|part| part.elements).sum(), values }
        }
        "MatMul" | "Gemm" | "Einsum" => match (input(0).dims.as_deref(), input(1).dims.as_deref()) {
            // Without regard to transposition: the smaller of both readings is the lower bound.
            (Some([a, b]), Some([c, d])) => {
                Size { dims: None, elements: (a * d).min(b * c).min(a * c).min(b * d), values: None }
            }
            _ => unknown.clone(),
        },
        "Identity" | "Cast" | "Unsqueeze" | "Squeeze" | "Reshape" | "Flatten" | "Dropout" => {
            let keep = matches!(node.op, "Identity" | "Cast" | "Dropout");
            Size { dims: input(0).dims.clone().filter(|_| keep), ..input(0).clone() }
        }
        "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Where" | "Max" | "Min" | "Sum" | "Mean" | "And" | "Or"
        | "Xor" | "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "Mod" | "PRelu" => {
            let parts: Vec<_> = (0..node.inputs.len()).map(input).collect();
            let mut made = broadcast(&parts);
            made.values = arithmetic(node.op, &parts);
            made
        }
        "Relu" | "Clip" | "Neg" | "Abs" | "Exp" | "Log" | "Sqrt" | "Sigmoid" | "Tanh" | "Floor" | "Ceil"
        | "Not" | "Erf" | "Transpose" | "Softmax" | "QuantizeLinear" | "DequantizeLinear" => Size {
            dims: input(0).dims.clone().filter(|_| node.op != "Transpose"),
            elements: input(0).elements,
            values: None,
        },
        _ => unknown.clone(),
    }
}

fn scaled(input: &Size, factors: &[f64]) -> Size {
    let factors: Vec<f64> = factors.iter().map(|factor| factor.max(0.0)).collect();
    let dims = input.dims.as_ref().filter(|dims| dims.len() == factors.len());
    let dims = dims.map(|dims| dims.iter().zip(&factors).map(|(dim, factor)| dim * factor).collect());
    Size { dims, elements: input.elements.max(1.0) * factors.iter().product::<f64>(), values: None }
}

/// The size after broadcasting; unknown shapes count with their elements alone.
fn broadcast(parts: &[&Size]) -> Size {
    let elements = parts.iter().map(|part| part.elements).fold(0.0, f64::max);
    let known: Option<Vec<&Vec<f64>>> = parts.iter().map(|part| part.dims.as_ref()).collect();
    let Some(known) = known else { return Size { elements, ..Size::default() } };
    let rank = known.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let dims = (0..rank).map(|axis| {
        let at = |dims: &&Vec<f64>| (axis + dims.len()).checked_sub(rank).map_or(1.0, |index| dims[index]);
        known.iter().map(at).fold(1.0, f64::max)
    });
    Size::of(dims.collect())
}

/// Sums and products of small constants, for shapes that the file computes.
fn arithmetic(op: &str, parts: &[&Size]) -> Option<Vec<f64>> {
    let [a, b] = parts else { return None };
    let (a, b) = (a.values.as_ref()?, b.values.as_ref()?);
    let apply = |a: f64, b: f64| match op {
        "Add" => Some(a + b),
        "Sub" => Some(a - b),
        "Mul" => Some(a * b),
        "Pow" => Some(a.powf(b)),
        _ => None,
    };
    match (a.len(), b.len()) {
        (m, n) if m == n => a.iter().zip(b).map(|(&a, &b)| apply(a, b)).collect(),
        (1, _) => b.iter().map(|&b| apply(a[0], b)).collect(),
        (_, 1) => a.iter().map(|&a| apply(a, b[0])).collect(),
        _ => None,
    }
}
