//! From tract's operators to layers of a [`Network`]. Tensors of tract may have axes of one element more or less
//! (`[1, C, H, W]`, `[C, H, W]`, `[1, C]`); here every value is channels × height × width.

use std::collections::HashMap;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{AxisOp, ElementWiseMiniOp, InOut};
use tract_onnx::tract_core::ops::array::TypedConcat;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec, SumPool};
use tract_onnx::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Add, Div, Max, Min, Mul, Sub};
use tract_onnx::tract_core::ops::nn::{HardSwish, Reduce, Reducer, Sigmoid, Silu};
use tract_onnx::tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearI8, QuantizeLinearU8};

use super::facts::{constant, floats, is_channels, per_channel, plain_dims, shape, uses, window};
use super::network::{Dims, Network, Op, PLANAR};
use graft_kernels::{BLOCK, End, Filter};

/// A part of a graph on its way into a [`Network`].
#[derive(Default)]
pub(super) struct Reader {
    pub(super) network: Network,
    /// What of tract's graph the inputs are.
    pub(super) inputs: Vec<OutletId>,
    /// Which value stands for an outlet.
    pub(super) values: HashMap<OutletId, usize>,
}

impl Reader {
    /// Reads one node with one output; `None` leaves it to tract.
    pub(super) fn read(&mut self, model: &TypedModel, id: usize) -> Option<()> {
        let node = &model.nodes[id];
        let [output] = &*node.outputs else { return None };
        let outlet = OutletId::new(id, 0);
        let op = &node.op;
        let value = if let Some(op) = op.downcast_ref::<Conv>() {
            self.conv(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<EinSum>() {
            self.pointwise(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<TypedBinOp>() {
            self.binary(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<ElementWiseOp>() {
            self.unary(model, node, &*op.0)?
        } else if let Some(op) = op.downcast_ref::<DequantizeLinearF32>() {
            self.dequantise(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<MaxPool>() {
            let plain = op.with_index_outputs.is_none();
            plain.then(|| self.pool(model, node, &op.pool_spec, true, false))??
        } else if let Some(op) = op.downcast_ref::<SumPool>() {
            op.normalize.then(|| self.pool(model, node, &op.pool_spec, false, op.count_include_pad))??
        } else if let Some(op) = op.downcast_ref::<Downsample>() {
            self.downsample(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<Reduce>() {
            self.reduce(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<TypedConcat>() {
            self.concat(model, node, op)?
        } else if let Some(op) = op.downcast_ref::<AxisOp>() {
            self.axes(model, node, op)?
        } else {
            return None;
        };
        let dims = self.network.dims(value);
        if output.fact.shape.as_concrete()?.iter().product::<usize>() != dims.channels * dims.area() {
            return None;
        }
        let layer = &mut self.network.layers[value];
        layer.uses = layer.uses.max(uses(model, outlet));
        self.values.insert(outlet, value);
        Some(())
    }

    /// The value of an outlet; one from outside becomes an input.
    fn value(&mut self, model: &TypedModel, outlet: OutletId) -> Option<usize> {
        if let Some(value) = self.values.get(&outlet) {
            return Some(*value);
        }
        let fact = model.outlet_fact(outlet).ok()?;
        if fact.konst.is_some() || fact.datum_type != f32::datum_type() {
            return None;
        }
        let dims = plain_dims(fact.shape.as_concrete()?)?;
        let value = self.network.push(Op::Input(self.inputs.len()), Vec::new(), dims);
        self.network.layers[value].uses = uses(model, outlet);
        self.inputs.push(outlet);
        self.values.insert(outlet, value);
        Some(value)
    }

    fn conv(&mut self, model: &TypedModel, node: &TypedNode, op: &Conv) -> Option<usize> {
        let [x, kernel, bias] = *node.inputs else { return None };
        let weights = constant(model, kernel)?.clone();
        let mut bias = floats(constant(model, bias)?)?;
        let float = weights.datum_type() == f32::datum_type();
        if op.q_params.is_some() || op.kernel_fmt != KernelFormat::OIHW || !float {
            return None;
        }
        if bias.len() == 1 {
            bias = vec![bias[0]; op.output_channels()];
        }
        let x = self.value(model, x)?;
        let inner = self.network.dims(x);
        let (filter, dims) = window(&op.pool_spec, inner)?;
        let picture = matches!(self.network.layers[x].op, Op::Input(_)) && inner.channels <= PLANAR;
        if !filter.is_known(if picture { 1 } else { BLOCK }) {
            return None;
        }
        let scale = vec![1.0; dims.channels];
        let conv = |filter| Op::Conv { filter, groups: op.group, weights, scale, bias };
        Some(self.network.conv(x, filter, conv, dims))
    }

    /// A product of channels with a constant matrix, at each pixel.
    fn pointwise(&mut self, model: &TypedModel, node: &TypedNode, op: &EinSum) -> Option<usize> {
        let [first, second] = *node.inputs else { return None };
        let (x, x_at, matrix, matrix_at) = match (constant(model, first), constant(model, second)) {
            (None, Some(matrix)) => (first, 0, matrix, 1),
            (Some(matrix), None) => (second, 1, matrix, 0),
            _ => return None,
        };
        let (x_shape, out_shape) = (shape(model, x)?, shape(model, OutletId::new(node.id, 0))?);
        let (mut summed, mut made) = (None, None);
        let mut kept: Vec<(usize, usize)> = Vec::new();
        for axis in op.axes.iter_all_axes() {
            let of = |io| axis.interface(io).first().copied();
            let (from, by, to) = (of(InOut::In(x_at)), of(InOut::In(matrix_at)), of(InOut::Out(0)));
            let size = from.map(|at| x_shape[at]).or(to.map(|at| out_shape[at])).unwrap_or(1);
            match (from, by, to) {
                (Some(from), Some(by), None) if summed.is_none() => summed = Some((from, by)),
                (None, Some(by), Some(to)) if made.is_none() => made = Some((to, by)),
                (Some(from), None, Some(to)) if size > 1 => kept.push((from, to)),
                _ if size == 1 => {}
                _ => return None,
            }
        }
        // Axes that stay must keep their order.
        kept.sort_unstable();
        let ordered = kept.windows(2).all(|pair| pair[0].1 < pair[1].1);
        let ((from, by_input), (to, by_output)) = (summed?, made?);
        let x = self.value(model, x)?;
        let inner = self.network.dims(x);
        let dims = Dims { channels: out_shape[to], ..inner };
        if !ordered || !is_channels(x_shape, from, inner) || !is_channels(out_shape, to, dims) {
            return None;
        }
        let strides: Vec<usize> =
            (0..matrix.rank()).map(|axis| matrix.shape()[axis + 1..].iter().product()).collect();
        if matrix.len() != inner.channels * dims.channels || op.q_params.is_some() {
            return None;
        }
        let mut weights = matrix.clone();
        if strides[by_input] != 1 || weights.datum_type() != f32::datum_type() {
            let values = floats(matrix)?;
            let at = |out, channel| values[out * strides[by_output] + channel * strides[by_input]];
            let row = |out| (0..inner.channels).map(move |channel| at(out, channel));
            let turned: Vec<f32> = (0..dims.channels).flat_map(row).collect();
            weights = Tensor::from_shape(&[dims.channels, inner.channels], &turned).ok()?.into_arc_tensor();
        }
        let filter = Filter { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
        let (scale, bias) = (vec![1.0; dims.channels], vec![0.0; dims.channels]);
        let conv = |filter| Op::Conv { filter, groups: 1, weights, scale, bias };
        Some(self.network.conv(x, filter, conv, dims))
    }

    fn binary(&mut self, model: &TypedModel, node: &TypedNode, op: &TypedBinOp) -> Option<usize> {
        let [a, b] = *node.inputs else { return None };
        let out_shape = shape(model, OutletId::new(node.id, 0))?;
        let (x, tensor, swapped) = match (constant(model, a), constant(model, b)) {
            (None, Some(tensor)) => (a, tensor, false),
            (Some(tensor), None) => (b, tensor, true),
            (None, None) => return self.both(model, a, b, op),
            _ => return None,
        };
        let x = self.value(model, x)?;
        let dims = self.network.dims(x);
        if out_shape.iter().product::<usize>() != dims.channels * dims.area() {
            return None;
        }
        let each = per_channel(tensor, out_shape, dims)?;
        let (zeros, ones) = (vec![0.0; each.len()], vec![1.0; each.len()]);
        let negated = || each.iter().map(|value| -value).collect();
        let single = || each.iter().all(|value| *value == each[0]).then_some(each[0]);
        let network = &mut self.network;
        Some(if op.0.is::<Add>() {
            network.affine(x, ones, each)
        } else if op.0.is::<Sub>() {
            if swapped {
                network.affine(x, vec![-1.0; ones.len()], each)
            } else {
                network.affine(x, ones, negated())
            }
        } else if op.0.is::<Mul>() {
            network.affine(x, each, zeros)
        } else if op.0.is::<Div>() && !swapped {
            network.affine(x, each.iter().map(|value| 1.0 / value).collect(), zeros)
        } else if op.0.is::<Max>() {
            network.end(x, End::Clamp { low: single()?, high: f32::INFINITY })
        } else if op.0.is::<Min>() {
            network.end(x, End::Clamp { low: f32::NEG_INFINITY, high: single()? })
        } else {
            return None;
        })
    }

    /// A sum or product of two values.
    fn both(&mut self, model: &TypedModel, a: OutletId, b: OutletId, op: &TypedBinOp) -> Option<usize> {
        let (sum, product) = (op.0.is::<Add>(), op.0.is::<Mul>());
        if !sum && !product {
            return None;
        }
        let (a, b) = (self.value(model, a)?, self.value(model, b)?);
        let (left, right) = (self.network.dims(a), self.network.dims(b));
        match (sum, left == right) {
            (true, true) => Some(self.network.add(a, b)),
            (false, true) => Some(self.network.multiply(a, b)),
            (false, false) if right == left.pooled() => Some(self.network.push(Op::Weigh, vec![a, b], left)),
            (false, false) if left == right.pooled() => Some(self.network.push(Op::Weigh, vec![b, a], right)),
            _ => None,
        }
    }

    fn unary(&mut self, model: &TypedModel, node: &TypedNode, op: &dyn ElementWiseMiniOp) -> Option<usize> {
        if op.is::<QuantizeLinearU8>() || op.is::<QuantizeLinearI8>() {
            // Read together with what makes floats of it again.
            let back = |reader: &InletId| model.nodes[reader.node].op.is::<DequantizeLinearF32>();
            let output = OutletId::new(node.id, 0);
            let inside = !model.outputs.contains(&output) && node.outputs[0].successors.iter().all(back);
            return inside.then(|| self.value(model, node.inputs[0]))?;
        }
        let end = if op.is::<HardSwish>() {
            End::HardSwish { slope: 1.0 / 6.0, offset: 0.5, high: 1.0 }
        } else if op.is::<Sigmoid>() {
            End::Sigmoid
        } else if op.is::<Silu>() {
            End::Silu
        } else {
            return None;
        };
        let x = self.value(model, node.inputs[0])?;
        Some(self.network.end(x, end))
    }

    fn dequantise(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        back: &DequantizeLinearF32,
    ) -> Option<usize> {
        let before = &model.nodes[node.inputs[0].node];
        let op = before.op.downcast_ref::<ElementWiseOp>()?;
        let (inverse, zero, range) = if let Some(op) = op.0.downcast_ref::<QuantizeLinearU8>() {
            (op.scale, i32::from(op.zero_point), (0, 255))
        } else {
            let op = op.0.downcast_ref::<QuantizeLinearI8>()?;
            (op.scale, i32::from(op.zero_point), (-128, 127))
        };
        if zero != back.zero_point {
            return None;
        }
        let x = *self.values.get(&node.inputs[0])?;
        let (least, most) = ((range.0 - zero) as f32, (range.1 - zero) as f32);
        Some(self.network.end(x, End::Quantise { inverse, least, most, scale: back.scale }))
    }

    fn pool(
        &mut self,
        model: &TypedModel,
        node: &TypedNode,
        spec: &PoolSpec,
        largest: bool,
        count_all: bool,
    ) -> Option<usize> {
        let x = self.value(model, node.inputs[0])?;
        let inner = self.network.dims(x);
        let (filter, dims) = window(spec, inner)?;
        // Every window must see something, and windows that stand out to the right count what is there.
        let sees = |axis: usize, out: usize, size: usize| {
            filter.pad[axis] < filter.kernel[axis]
                && (out - 1) * filter.stride[axis] < size + filter.pad[axis]
        };
        let whole = |axis: usize, out: usize, size: usize| {
            (out - 1) * filter.stride[axis] + filter.kernel[axis] <= size + 2 * filter.pad[axis]
        };
        let each = |test: &dyn Fn(usize, usize, usize) -> bool| {
            test(0, dims.height, inner.height) && test(1, dims.width, inner.width)
        };
        if filter.dilation != [1, 1] || !each(&sees) || (count_all && !each(&whole)) {
            return None;
        }
        Some(self.network.push(Op::Pool { largest, count_all, filter }, vec![x], dims))
    }

    /// Every other row or column.
    fn downsample(&mut self, model: &TypedModel, node: &TypedNode, op: &Downsample) -> Option<usize> {
        let stride = usize::try_from(op.stride).ok().filter(|stride| *stride > 0 && op.modulo == 0)?;
        let from = shape(model, node.inputs[0])?;
        let x = self.value(model, node.inputs[0])?;
        let inner = self.network.dims(x);
        let at = from.len().checked_sub(op.axis)?;
        if !(1..=2).contains(&at) || from.len() < 3 || from[from.len() - 2..] != [inner.height, inner.width] {
            return None;
        }
        let stride = if at == 2 { [stride, 1] } else { [1, stride] };
        let dims = Dims {
            height: inner.height.div_ceil(stride[0]),
            width: inner.width.div_ceil(stride[1]),
            ..inner
        };
        let filter = Filter { kernel: [1, 1], stride, dilation: [1, 1], pad: [0, 0] };
        Some(self.network.push(Op::Pool { largest: true, count_all: false, filter }, vec![x], dims))
    }

    fn reduce(&mut self, model: &TypedModel, node: &TypedNode, op: &Reduce) -> Option<usize> {
        let from = shape(model, node.inputs[0])?;
        let first = *op.axes.first()?;
        if op.reducer != Reducer::Sum || !op.axes.iter().copied().eq(first..from.len()) || first == 0 {
            return None;
        }
        let x = self.value(model, node.inputs[0])?;
        let dims = self.network.dims(x);
        let picture = is_channels(from, first - 1, dims);
        picture.then(|| self.network.push(Op::Sum, vec![x], dims.pooled()))
    }

    fn concat(&mut self, model: &TypedModel, node: &TypedNode, op: &TypedConcat) -> Option<usize> {
        let mut parts = Vec::new();
        for input in &node.inputs {
            let value = self.value(model, *input)?;
            if !is_channels(shape(model, *input)?, op.axis, self.network.dims(value)) {
                return None;
            }
            parts.push(value);
        }
        let first = self.network.dims(*parts.first()?);
        let channels = parts.iter().map(|part| self.network.dims(*part).channels).sum();
        Some(self.network.push(Op::Concat, parts, Dims { channels, ..first }))
    }

    /// Axes of one element come and go; everything else is left to tract, except on rows of numbers.
    fn axes(&mut self, model: &TypedModel, node: &TypedNode, op: &AxisOp) -> Option<usize> {
        let x = self.value(model, node.inputs[0])?;
        let row = self.network.dims(x).area() == 1;
        if !row && !matches!(op, AxisOp::Rm(_) | AxisOp::Add(_)) {
            return None;
        }
        let layer = &mut self.network.layers[x];
        if layer.uses == 1 {
            layer.uses = 0;
        }
        Some(x)
    }
}
