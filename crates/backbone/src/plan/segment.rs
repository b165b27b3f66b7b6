//! tract's view of a [`Program`]: one operator of its graph.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use super::program::{Memory, Program};

/// Layers of a network as one operator.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) program: Arc<Program>,
    /// Shapes of the outputs as tract wants them.
    pub(super) shapes: Vec<TVec<usize>>,
}

impl PartialEq for Segment {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.program, &other.program) && self.shapes == other.shapes
    }
}
impl Eq for Segment {}

impl Op for Segment {
    fn name(&self) -> StaticName {
        "Segment".into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for Segment {
    not_out_of_plan!();

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(Slots { memory: self.program.memory(), outputs: TVec::new() })))
    }
}

impl TypedOp for Segment {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.shapes.iter().map(f32::fact).collect())
    }

    as_op!();
}

/// The memory of a [`Program`]: nothing is allocated for a frame, unless somebody still holds what the last one gave.
#[derive(Clone, Debug)]
struct Slots {
    memory: Memory,
    outputs: TVec<Arc<Tensor>>,
}

impl OpState for Slots {
    fn eval(&mut self, _: &EvalContext, op: &dyn Op, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let segment = op.downcast_ref::<Segment>().context("the state of a segment")?;
        let Self { memory, outputs } = self;
        for shape in segment.shapes.iter().skip(outputs.len()) {
            outputs.push(Tensor::zero::<f32>(shape)?.into_arc_tensor());
        }
        {
            let views: TVec<_> =
                inputs.iter().map(|input| input.try_as_plain_ram()).collect::<TractResult<_>>()?;
            let from: TVec<&[f32]> =
                views.iter().map(|view| view.as_slice::<f32>()).collect::<TractResult<_>>()?;
            let mut views: TVec<_> = outputs
                .iter_mut()
                .map(|output| Arc::make_mut(output).try_as_plain_ram_mut())
                .collect::<TractResult<_>>()?;
            let mut to: TVec<&mut [f32]> =
                views.iter_mut().map(|view| view.as_slice_mut::<f32>()).collect::<TractResult<_>>()?;
            segment.program.run(memory, &from, &mut to);
        }
        Ok(outputs.iter().map(|output| Arc::clone(output).into_tvalue()).collect())
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}
