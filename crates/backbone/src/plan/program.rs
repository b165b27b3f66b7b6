//! From a [`Network`] to steps on memory that is laid out once.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use graft_simd::Isa;

use super::kernels::{BLOCK, Buffer, Conv, Depthwise, End, Filter, Grid, Halo, Weights};
use super::network::{Dims, Layer, Network, Op, PLANAR};

/// A value in memory: the block of channels that it starts at lies `start` floats into a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: usize,
    pub(super) start: usize,
    pub(super) grid: Grid,
}

/// A convolution and the depthwise one that alone reads it, a few channels at a time: what lies between them stays in the
/// cache.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) conv: Conv,
    /// A panel of what lies between them.
    pub(super) middle: Grid,
    pub(super) depthwise: Depthwise,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    Take {
        input: usize,
        end: End,
    },
    Conv(Conv),
    Depthwise(Depthwise),
    Pair(Box<Pair>),
    Affine {
        scale: Buffer,
        shift: Buffer,
        end: End,
    },
    Combine {
        product: bool,
        end: End,
    },
    Weigh {
        zeros: Buffer,
        end: End,
    },
    /// Without a factor a mean is over what the window sees.
    Pool {
        largest: bool,
        filter: Filter,
        factor: Option<f32>,
    },
    Join,
}

/// One step of a frame.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) from: Vec<Place>,
    pub(super) to: Place,
    pub(super) macs: u64,
}

/// The memory of a [`Program`].
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) slots: Vec<Buffer>,
    /// One for each thread that has shared a frame so far.
    pub(super) between: Vec<Mutex<Between>>,
}

impl Clone for Memory {
    /// As empty as at first: nothing is kept from frame to frame.
    fn clone(&self) -> Self {
        let slots = self.slots.iter().map(|slot| Buffer::zeros(slot.len())).collect();
        Self { slots, between: Vec::new() }
    }
}

/// A thread's memory for what lies within a [`Pair`].
#[derive(Debug)]
pub(super) struct Between {
    pub(super) buffer: Buffer,
    /// The grid whose halo was cleared last.
    pub(super) clear: Option<Grid>,
}

/// Steps, and how much memory they need.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) isa: Isa,
    pub(super) steps: Vec<Step>,
    pub(super) outputs: Vec<Place>,
    sizes: Vec<usize>,
    between: usize,
    quantised: bool,
    /// Time of each step over all frames, and how many those were.
    pub(super) nanoseconds: Vec<AtomicU64>,
    pub(super) frames: AtomicU64,
}

impl Program {
    /// Lays a network out; `None` where it holds something that the kernels do not know.
    pub(super) fn new(network: &Network, outputs: &[usize], isa: Isa) -> Option<Self> {
        let mut layout = Layout::new(network, outputs, isa);
        let mut steps = Vec::new();
        for at in 0..network.layers.len() {
            if layout.fused[at].is_none() {
                layout.acquire(at);
                steps.extend(layout.step(at)?);
                layout.release(at);
            }
        }
        let outputs = outputs.iter().map(|output| layout.places[*output]).collect::<Option<_>>()?;
        let quantised = network.layers.iter().any(|layer| matches!(layer.end, End::Quantise { .. }));
        let nanoseconds = steps.iter().map(|_| AtomicU64::new(0)).collect();
        Some(Self {
            isa,
            steps,
            outputs,
            sizes: layout.sizes,
            between: layout.between,
            quantised,
            nanoseconds,
            frames: AtomicU64::new(0),
        })
    }

    /// Does it round numbers to steps?
    pub(super) fn is_quantised(&self) -> bool {
        self.quantised
    }

    /// Memory for one who runs it.
    pub(super) fn memory(&self) -> Memory {
        let slots = self.sizes.iter().map(|size| Buffer::zeros(*size)).collect();
        Memory { slots, between: Vec::new() }
    }

    /// Memory for what lies within a [`Pair`].
    pub(super) fn between(&self) -> Mutex<Between> {
        Mutex::new(Between { buffer: Buffer::zeros(self.between), clear: None })
    }
}

struct Layout<'a> {
    layers: &'a [Layer],
    isa: Isa,
    grids: Vec<Grid>,
    places: Vec<Option<Place>>,
    /// The concatenation whose memory a layer writes to, and at which block.
    part_of: Vec<Option<(usize, usize)>>,
    /// The depthwise convolution that a convolution is computed with.
    fused: Vec<Option<usize>>,
    /// The last step that needs a value.
    last: Vec<usize>,
    sizes: Vec<usize>,
    free: Vec<bool>,
    /// Floats of the largest [`Pair::middle`].
    between: usize,
}

/// Is it a convolution of each channel by itself?
fn is_depthwise(layer: &Layer, input: Dims) -> bool {
    let Op::Conv { filter, groups, .. } = &layer.op else { return false };
    Depthwise::knows(filter)
        && *groups == input.channels
        && layer.dims.channels == input.channels
        && layer.inputs.len() == 1
}

/// What a filter reads around its input.
fn halo(filter: &Filter, input: Dims, output: Dims) -> Halo {
    let beyond = |axis: usize, out: usize, size: usize| {
        let end = (out - 1) * filter.stride[axis] + (filter.kernel[axis] - 1) * filter.dilation[axis] + 1;
        end.saturating_sub(filter.pad[axis] + size)
    };
    Halo {
        top: filter.pad[0],
        left: filter.pad[1],
        bottom: beyond(0, output.height, input.height),
        right: beyond(1, output.width, input.width),
    }
}

impl<'a> Layout<'a> {
    fn new(network: &'a Network, outputs: &[usize], isa: Isa) -> Self {
        let layers = &network.layers[..];
        let count = layers.len();
        let dense = |dims: Dims| Grid::blocked(dims.channels, dims.height, dims.width);
        let mut layout = Self {
            layers,
            isa,
            grids: layers.iter().map(|layer| dense(layer.dims)).collect(),
            places: vec![None; count],
            part_of: vec![None; count],
            fused: vec![None; count],
            last: (0..count).collect(),
            sizes: Vec::new(),
            free: Vec::new(),
            between: 0,
        };
        for (at, layer) in layers.iter().enumerate() {
            // A picture is read as it comes if nothing but convolutions do so.
            let readers = || layers.iter().filter(|reader| reader.inputs.contains(&at));
            let plain = |reader: &Layer| {
                matches!(reader.op, Op::Conv { .. })
                    && reader.inputs == [at]
                    && !is_depthwise(reader, layer.dims)
            };
            if matches!(layer.op, Op::Input(_)) && layer.dims.channels <= PLANAR && readers().all(plain) {
                layout.grids[at].block = 1;
            }
            if let Op::Conv { filter, .. } = &layer.op {
                let input = layer.inputs[0];
                let needed = halo(filter, layers[input].dims, layer.dims);
                layout.grids[input].halo = layout.grids[input].halo.or(needed);
                let before = &layers[input];
                let alone =
                    before.uses == 1 && before.inputs.len() == 1 && matches!(before.op, Op::Conv { .. });
                if alone && is_depthwise(layer, before.dims) {
                    let twice = is_depthwise(before, layers[before.inputs[0]].dims);
                    layout.fused[input] = (!twice).then_some(at);
                }
            }
        }
        for at in 0..count {
            layout.join(at);
        }
        for (at, layer) in layers.iter().enumerate() {
            let when = layout.fused[at].unwrap_or(at);
            for input in &layer.inputs {
                layout.last[*input] = layout.last[*input].max(when);
            }
        }
        outputs.iter().for_each(|output| layout.last[*output] = count);
        layout
    }

    /// Lets the parts of a concatenation be written where it wants them, if each but the last fills whole blocks.
    fn join(&mut self, at: usize) {
        let layer = &self.layers[at];
        if !matches!(layer.op, Op::Concat) {
            return;
        }
        let (last, others) = layer.inputs.split_last().unwrap_or((&at, &[]));
        let fits = |part: &usize| {
            let part = &self.layers[*part];
            part.uses == 1 && !matches!(part.op, Op::Input(_) | Op::Concat)
        };
        let whole = |part: &usize| self.layers[*part].dims.channels.is_multiple_of(BLOCK);
        if layer.inputs.iter().all(fits) && others.iter().all(whole) && fits(last) {
            let mut block = 0;
            for part in &layer.inputs {
                self.part_of[*part] = Some((at, block));
                self.grids[*part].halo = self.grids[at].halo;
                block += self.grids[*part].blocks();
            }
        }
    }

    fn slot(&mut self, size: usize) -> usize {
        let fitting = (0..self.sizes.len()).filter(|slot| self.free[*slot] && self.sizes[*slot] >= size);
        let largest = (0..self.sizes.len()).filter(|slot| self.free[*slot]);
        let found = fitting.min_by_key(|slot| self.sizes[*slot]);
        let slot = found.or_else(|| largest.max_by_key(|slot| self.sizes[*slot])).unwrap_or_else(|| {
            self.sizes.push(0);
            self.free.push(false);
            self.sizes.len() - 1
        });
        self.sizes[slot] = self.sizes[slot].max(size);
        self.free[slot] = false;
        slot
    }

    /// Finds memory for a value.
    fn acquire(&mut self, at: usize) {
        let (owner, block) = self.part_of[at].unwrap_or((at, 0));
        if self.places[owner].is_none() {
            let slot = self.slot(self.grids[owner].len());
            self.places[owner] = Some(Place { slot, start: 0, grid: self.grids[owner] });
        }
        if let Some(place) = self.places[owner]
            && owner != at
        {
            let start = block * place.grid.plane();
            self.places[at] = Some(Place { start, grid: self.grids[at], ..place });
        }
    }

    /// Gives the memory back of what nobody needs after a step.
    fn release(&mut self, at: usize) {
        for value in 0..=at {
            if self.last[value] == at
                && self.part_of[value].is_none()
                && self.fused[value].is_none()
                && let Some(place) = self.places[value]
            {
                self.free[place.slot] = true;
            }
        }
    }

    /// Hands a convolution's filter and weights over.
    fn packed<T>(&self, at: usize, pack: impl FnOnce(&Filter, &Weights) -> Option<T>) -> Option<T> {
        let Op::Conv { filter, groups, weights, scale, bias } = &self.layers[at].op else { return None };
        let values = weights.try_as_plain_ram().ok()?;
        let values = values.as_slice::<f32>().ok()?;
        pack(filter, &Weights { values, scale, bias, groups: *groups })
    }

    fn conv(&self, at: usize, output: &Grid) -> Option<Conv> {
        let layer = &self.layers[at];
        let residual = layer.inputs.get(1).map(|residual| &self.grids[*residual]);
        let input = &self.grids[layer.inputs[0]];
        self.packed(at, |filter, weights| {
            Conv::new(self.isa, filter, weights, input, output, residual, layer.end)
        })
    }

    fn depthwise(&self, at: usize, output: &Grid) -> Option<Depthwise> {
        let layer = &self.layers[at];
        let input = &self.grids[layer.inputs[0]];
        self.packed(at, |filter, weights| Depthwise::new(self.isa, filter, weights, input, output, layer.end))
    }

    /// `None`: the kernels cannot do it. An empty list: nothing is left to do.
    fn step(&mut self, at: usize) -> Option<Option<Step>> {
        let layer = &self.layers[at];
        let to = self.places[at]?;
        let mut inputs = layer.inputs.clone();
        let mut macs = self.macs(at);
        let end = layer.end;
        let work = match &layer.op {
            Op::Input(input) => Work::Take { input: *input, end },
            Op::Conv { .. } if is_depthwise(layer, self.layers[inputs[0]].dims) => {
                let depthwise = self.depthwise(at, &to.grid)?;
                let first = inputs[0];
                if self.fused[first] == Some(at) {
                    inputs = self.layers[first].inputs.clone();
                    macs += self.macs(first);
                    let conv = self.conv(first, &self.grids[first])?;
                    let widest = (0..conv.panels()).map(|panel| conv.blocks(panel).len()).max()?;
                    let middle = Grid { channels: widest * BLOCK, ..self.grids[first] };
                    self.between = self.between.max(middle.len());
                    Work::Pair(Box::new(Pair { conv, middle, depthwise }))
                } else {
                    Work::Depthwise(depthwise)
                }
            }
            Op::Conv { .. } => Work::Conv(self.conv(at, &to.grid)?),
            Op::Affine { scale, shift } => {
                Work::Affine { scale: Buffer::of(scale), shift: Buffer::of(shift), end }
            }
            Op::Combine { product } => Work::Combine { product: *product, end },
            Op::Weigh => Work::Weigh { zeros: Buffer::zeros(layer.dims.channels), end },
            Op::Pool { largest, count_all, filter } => {
                let taps = (filter.kernel[0] * filter.kernel[1]) as f32;
                let factor = if *largest { Some(1.0) } else { count_all.then_some(1.0 / taps) };
                Work::Pool { largest: *largest, filter: *filter, factor }
            }
            Op::Sum => {
                let dims = self.layers[inputs[0]].dims;
                let kernel = [dims.height, dims.width];
                let filter = Filter { kernel, stride: [1, 1], dilation: [1, 1], pad: [0, 0] };
                Work::Pool { largest: false, filter, factor: Some(1.0) }
            }
            Op::Concat if inputs.iter().all(|part| self.part_of[*part].is_some()) => return Some(None),
            Op::Concat => Work::Join,
        };
        let from = inputs.iter().map(|input| self.places[*input]).collect::<Option<Vec<_>>>()?;
        let gate_is_row = !matches!(work, Work::Weigh { .. }) || from[1].grid.is_dense();
        gate_is_row.then_some(Some(Step { work, from, to, macs }))
    }

    fn macs(&self, at: usize) -> u64 {
        match &self.layers[at].op {
            Op::Conv { weights, .. } => weights.len() as u64 * self.layers[at].dims.area() as u64,
            _ => 0,
        }
    }
}
