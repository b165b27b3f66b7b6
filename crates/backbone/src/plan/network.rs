//! The part of a graph that we compute ourselves, in our own words: layers on pictures of features. Whatever can be
//! done at the end of another layer is put there while the network is written down.

use tract_onnx::prelude::{Arc, Tensor};

use graft_kernels::{End, Filter};

/// An input of at most so many channels is read as it comes, plane by plane.
pub(super) const PLANAR: usize = 4;

/// Size of a picture of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dims {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Dims {
    /// Pixels.
    pub(super) fn area(self) -> usize {
        self.height * self.width
    }

    /// One number for each channel.
    pub(super) fn pooled(self) -> Self {
        Self { height: 1, width: 1, ..self }
    }
}

/// What a layer computes of its inputs.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// One of the network's inputs.
    Input(usize),
    /// Of the first input; the second, if there is one, is added before the end. The weights `[output channels, input
    /// channels ∕ groups, kernel, kernel]` are tract's; each output channel has a factor for its own.
    Conv { filter: Filter, groups: usize, weights: Arc<Tensor>, scale: Vec<f32>, bias: Vec<f32> },
    /// Factor and summand for each channel.
    Affine { scale: Vec<f32>, shift: Vec<f32> },
    /// The sum of both inputs, or their product.
    Combine { product: bool },
    /// The first input, each channel by its factor in the second.
    Weigh,
    /// Largest number or mean of each window; the mean may count the padding.
    Pool { largest: bool, count_all: bool, filter: Filter },
    /// Sum over the picture.
    Sum,
    /// Channels of all inputs one after the other.
    Concat,
}

/// A layer and the value that it makes.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) op: Op,
    pub(super) inputs: Vec<usize>,
    pub(super) dims: Dims,
    pub(super) end: End,
    /// How many read its value.
    pub(super) uses: usize,
}

/// Layers in an order in which they can be computed.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    pub(super) layers: Vec<Layer>,
}

/// All equal?
fn uniform(values: &[f32]) -> Option<f32> {
    values.first().copied().filter(|first| values.iter().all(|value| value == first))
}

impl Network {
    /// Adds a layer as it is.
    pub(super) fn push(&mut self, op: Op, inputs: Vec<usize>, dims: Dims) -> usize {
        self.layers.push(Layer { op, inputs, dims, end: End::NOTHING, uses: 0 });
        self.layers.len() - 1
    }

    /// Size of a value.
    pub(super) fn dims(&self, value: usize) -> Dims {
        self.layers[value].dims
    }

    /// May a value be changed where it is made, because the layer being added is the only one to see it?
    fn own(&mut self, value: usize) -> Option<&mut Layer> {
        let layer = &mut self.layers[value];
        let can_end = !matches!(layer.op, Op::Sum | Op::Pool { .. } | Op::Concat);
        (layer.uses == 1 && can_end).then(|| {
            layer.uses = 0;
            layer
        })
    }

    /// A convolution; leaving pixels out before a pointwise one is its own stride.
    pub(super) fn conv(
        &mut self,
        mut x: usize,
        mut filter: Filter,
        op: impl FnOnce(Filter) -> Op,
        dims: Dims,
    ) -> usize {
        while let Op::Pool { filter: sparse, .. } = &self.layers[x].op
            && (sparse.kernel, filter.kernel) == ([1, 1], [1, 1])
            && filter.stride[1] * sparse.stride[1] <= 2
        {
            filter.stride = [0, 1].map(|axis| filter.stride[axis] * sparse.stride[axis]);
            x = self.layers[x].inputs[0];
        }
        self.push(op(filter), vec![x], dims)
    }

    /// `scale·x + shift` for each channel.
    pub(super) fn affine(&mut self, x: usize, scale: Vec<f32>, shift: Vec<f32>) -> usize {
        if let Some(end) = self.scaled_end(x, &scale, &shift)
            && matches!(self.layers[x].op, Op::Conv { .. } | Op::Affine { .. })
            && self.layers[x].inputs.len() == 1
            && let Some(layer) = self.own(x)
        {
            match &mut layer.op {
                Op::Conv { scale: inner, bias: summand, .. }
                | Op::Affine { scale: inner, shift: summand } => {
                    (0..scale.len()).for_each(|i| inner[i] *= scale[i]);
                    (0..scale.len()).for_each(|i| summand[i] = summand[i] * scale[i] + shift[i]);
                }
                _ => {}
            }
            layer.end = end;
            return x;
        }
        if let Some(scale) = uniform(&scale).filter(|scale| *scale > 0.0)
            && shift.iter().all(|shift| *shift == 0.0)
            && let End::HardSwish { slope, offset, high } = self.layers[x].end
            && let Some(layer) = self.own(x)
        {
            layer.end = End::HardSwish { slope: slope * scale, offset: offset * scale, high: high * scale };
            return x;
        }
        self.push(Op::Affine { scale, shift }, vec![x], self.dims(x))
    }

    /// The bounds of a value after `scale·x + shift`, if that can be done before them.
    fn scaled_end(&self, x: usize, scale: &[f32], shift: &[f32]) -> Option<End> {
        match self.layers[x].end {
            End::NOTHING => Some(End::NOTHING),
            End::Clamp { low, high } => {
                let (scale, shift) = (uniform(scale).filter(|scale| *scale > 0.0)?, uniform(shift)?);
                Some(End::Clamp { low: low * scale + shift, high: high * scale + shift })
            }
            _ => None,
        }
    }

    /// `end(x)`.
    pub(super) fn end(&mut self, x: usize, end: End) -> usize {
        if let Some(both) = after(self.layers[x].end, end)
            && let Some(layer) = self.own(x)
        {
            layer.end = both;
            return x;
        }
        let channels = self.dims(x).channels;
        let same = Op::Affine { scale: vec![1.0; channels], shift: vec![0.0; channels] };
        let id = self.push(same, vec![x], self.dims(x));
        self.layers[id].end = end;
        id
    }

    /// Sum of two values of one size: at the end of the convolution that is computed last, where there is one.
    pub(super) fn add(&mut self, a: usize, b: usize) -> usize {
        let (early, late) = (a.min(b), a.max(b));
        if early != late
            && self.layers[late].end == End::NOTHING
            && matches!(self.layers[late].op, Op::Conv { .. })
            && self.layers[late].inputs.len() == 1
            && let Some(layer) = self.own(late)
        {
            layer.inputs.push(early);
            return late;
        }
        self.push(Op::Combine { product: false }, vec![a, b], self.dims(a))
    }

    /// Product of two values of one size. One that is the other, bounded, is a hard swish.
    pub(super) fn multiply(&mut self, a: usize, b: usize) -> usize {
        for (x, gate) in [(a, b), (b, a)] {
            if let Some(end) = self.gate(x, gate) {
                let layer = &mut self.layers[x];
                // Both readers of x are this product and its own gate.
                if layer.uses == 2 && self.layers[gate].uses == 1 {
                    self.layers[x].uses = 1;
                }
                return self.end(x, end);
            }
        }
        self.push(Op::Combine { product: true }, vec![a, b], self.dims(a))
    }

    fn gate(&self, x: usize, gate: usize) -> Option<End> {
        let layer = &self.layers[gate];
        match (&layer.op, layer.end) {
            (Op::Affine { scale, shift }, End::Clamp { low: 0.0, high }) if layer.inputs == [x] => {
                Some(End::HardSwish { slope: uniform(scale)?, offset: uniform(shift)?, high })
            }
            _ => None,
        }
    }

    /// Leaves out what `outputs` do not depend on; gives their new places.
    pub(super) fn prune(&mut self, outputs: &[usize]) -> Vec<usize> {
        let mut needed = vec![false; self.layers.len()];
        outputs.iter().for_each(|output| needed[*output] = true);
        for at in (0..self.layers.len()).rev() {
            if needed[at] {
                self.layers[at].inputs.iter().for_each(|input| needed[*input] = true);
            }
        }
        let mut place = vec![0; self.layers.len()];
        let mut kept = Vec::new();
        for (at, mut layer) in std::mem::take(&mut self.layers).into_iter().enumerate() {
            if needed[at] {
                place[at] = kept.len();
                layer.inputs.iter_mut().for_each(|input| *input = place[*input]);
                kept.push(layer);
            }
        }
        self.layers = kept;
        self.layers.iter_mut().for_each(|layer| layer.uses = 0);
        for at in 0..self.layers.len() {
            for input in self.layers[at].inputs.clone() {
                self.layers[input].uses += 1;
            }
        }
        let outputs: Vec<usize> = outputs.iter().map(|output| place[*output]).collect();
        outputs.iter().for_each(|output| self.layers[*output].uses += 1);
        outputs
    }
}

/// One end after another as one, where that is possible.
fn after(first: End, then: End) -> Option<End> {
    match (first, then) {
        (End::NOTHING, _) => Some(then),
        (End::Clamp { low, high }, End::Clamp { low: least, high: most }) => {
            // As a maximum and then a minimum give it, also where they contradict each other.
            let bound = |value: f32| value.max(least).min(most);
            Some(End::Clamp { low: bound(low), high: bound(high) })
        }
        (End::Clamp { low, high }, End::Quantise { inverse, least, most, scale }) => {
            let bound = |value: f32| (value * inverse).round_ties_even().max(least).min(most);
            Some(End::Quantise { inverse, least: bound(low), most: bound(high), scale })
        }
        _ => None,
    }
}
