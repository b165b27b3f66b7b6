//! Replaces the parts of a typed graph that we compute ourselves by [`Segment`]s.

use std::collections::{BTreeMap, HashMap, HashSet};

use graft_simd::Isa;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;

use super::facts::{shape, uses};
use super::network::{Network, Op};
use super::program::Program;
use super::read::Reader;
use super::segment::Segment;

/// A graph with segments, and what they do.
pub(super) struct Rewritten {
    pub(super) model: TypedModel,
    pub(super) programs: Vec<Arc<Program>>,
}

/// Rewrites a decluttered graph. `Ok(None)`: there is nothing in it for us.
///
/// # Errors
/// When tract refuses the new graph.
pub(super) fn rewrite(model: &TypedModel, isa: Isa) -> TractResult<Option<Rewritten>> {
    let order = model.eval_order()?;
    let mut left = HashSet::new();
    loop {
        let mut levels = Levels::new(model, &order, &left);
        match levels.segments(model, &order, isa) {
            Ok(segments) if segments.is_empty() => return Ok(None),
            Ok(segments) => return assemble(model, &order, &levels.of, segments).map(Some),
            // What cannot be one operator is left to tract, and the rest looked at again.
            Err(level) => left.extend(order.iter().copied().filter(|id| levels.of[id] == level)),
        }
    }
}

/// Every node has a level, odd ones for what we read and even ones for the rest, which never falls along an edge.
/// So everything on one odd level can be one operator: no path leaves the level and comes back.
struct Levels {
    of: HashMap<usize, usize>,
    readers: Vec<Reader>,
}

/// An operator of ours, and what of the old graph it reads and makes.
struct Place {
    segment: Segment,
    inputs: Vec<OutletId>,
    outputs: Vec<OutletId>,
}

impl Levels {
    fn new(model: &TypedModel, order: &[usize], left: &HashSet<usize>) -> Self {
        let mut levels = Self { of: HashMap::new(), readers: Vec::new() };
        for &id in order {
            let node = &model.nodes[id];
            let before = node.inputs.iter().map(|input| levels.of[&input.node]).max().unwrap_or(0);
            let ours = before + 1 - before % 2;
            levels.readers.resize_with(levels.readers.len().max(ours / 2 + 1), Reader::default);
            let may = !node.inputs.is_empty() && !left.contains(&id);
            let is_read = may && levels.readers[ours / 2].read(model, id).is_some();
            levels.of.insert(id, if is_read { ours } else { before.next_multiple_of(2) });
        }
        levels
    }

    /// The operators by their level, or a level that makes none.
    fn segments(
        &mut self,
        model: &TypedModel,
        order: &[usize],
        isa: Isa,
    ) -> Result<BTreeMap<usize, Place>, usize> {
        let mut segments = BTreeMap::new();
        for (half, reader) in std::mem::take(&mut self.readers).into_iter().enumerate() {
            let level = 2 * half + 1;
            // What is read from outside the level.
            let outputs: Vec<OutletId> = order
                .iter()
                .filter(|id| self.of[*id] == level)
                .map(|id| OutletId::new(*id, 0))
                .filter(|outlet| {
                    let read = &model.nodes[outlet.node].outputs[0].successors;
                    model.outputs.contains(outlet) || read.iter().any(|inlet| self.of[&inlet.node] != level)
                })
                .collect();
            if !outputs.is_empty() {
                segments.insert(level, segment(model, reader, outputs, isa).ok_or(level)?);
            }
        }
        Ok(segments)
    }
}

fn assemble(
    model: &TypedModel,
    order: &[usize],
    levels: &HashMap<usize, usize>,
    mut segments: BTreeMap<usize, Place>,
) -> TractResult<Rewritten> {
    let programs = segments.values().map(|place| place.segment.program.clone()).collect();
    let mut new = TypedModel::default();
    let mut wires: HashMap<OutletId, OutletId> = HashMap::new();
    for level in 0..=levels.values().max().copied().unwrap_or(0) {
        if let Some(Place { segment, inputs, outputs }) = segments.remove(&level) {
            let inputs: TVec<OutletId> = inputs.iter().map(|input| wires[input]).collect();
            let made = new.wire_node(format!("segment.{level}"), segment, &inputs)?;
            wires.extend(outputs.into_iter().zip(made));
            continue;
        }
        for &id in order.iter().filter(|id| levels[*id] == level) {
            let node = &model.nodes[id];
            // What segments have taken in is not kept twice.
            if node.op.is::<Const>() && is_taken(model, id, levels) {
                continue;
            }
            let made = match model.inputs.iter().any(|input| input.node == id) {
                true => tvec!(new.add_source(&node.name, node.outputs[0].fact.clone())?),
                false => {
                    let inputs: TVec<OutletId> = node.inputs.iter().map(|input| wires[input]).collect();
                    new.wire_node(&node.name, node.op.clone(), &inputs)?
                }
            };
            wires.extend(made.into_iter().enumerate().map(|(slot, wire)| (OutletId::new(id, slot), wire)));
        }
    }
    let outputs: Vec<OutletId> = model.outputs.iter().map(|output| wires[output]).collect();
    new.select_output_outlets(&outputs)?;
    Ok(Rewritten { model: new, programs })
}

/// Is a constant read by segments alone?
fn is_taken(model: &TypedModel, id: usize, level: &HashMap<usize, usize>) -> bool {
    let outlet = OutletId::new(id, 0);
    let readers = &model.nodes[id].outputs[0].successors;
    uses(model, outlet) == readers.len() && readers.iter().all(|inlet| level[&inlet.node] % 2 == 1)
}

/// The operator for what was read, and its inputs. `None` where the kernels do not know it, or there is too little in it
/// to be worth the change of layout.
fn segment(model: &TypedModel, reader: Reader, outputs: Vec<OutletId>, isa: Isa) -> Option<Place> {
    let Reader { mut network, inputs, values } = reader;
    let made: Vec<usize> = outputs.iter().map(|output| values.get(output).copied()).collect::<Option<_>>()?;
    let made = network.prune(&made);
    if !convolves(&network) {
        return None;
    }
    let program = Arc::new(Program::new(&network, &made, isa)?);
    let shapes = outputs.iter().map(|output| shape(model, *output).map(TVec::from)).collect::<Option<_>>()?;
    Some(Place { segment: Segment { program, shapes }, inputs, outputs })
}

fn convolves(network: &Network) -> bool {
    network.layers.iter().any(|layer| matches!(layer.op, Op::Conv { .. }))
}
