//! Where the time of our operators goes, for `lab`.

use tract_onnx::prelude::Arc;

use super::program::{Program, Step, Work};

/// Time of one operator of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTime {
    /// What it computes, with the size of its kernel.
    pub kind: String,
    /// Milliseconds of a frame, on average over the frames so far.
    pub ms: f64,
    /// Multiplications with addition of a frame.
    pub macs: u64,
}

/// Times in the order in which the operators run.
pub(super) fn operators(programs: &[Arc<Program>]) -> Vec<OperatorTime> {
    let steps = programs.iter().flat_map(|program| program.steps.iter().zip(program.times()));
    steps.map(|(step, ms)| OperatorTime { kind: kind(step), ms, macs: step.macs }).collect()
}

fn kind(step: &Step) -> String {
    let size = |kernel: [usize; 2]| format!("{}×{}", kernel[0], kernel[1]);
    match &step.work {
        Work::Take { .. } => "input".into(),
        Work::Conv(conv) if step.from[0].grid.block == 1 => format!("stem {}", size(conv.kernel())),
        Work::Conv(conv) => format!("convolution {}", size(conv.kernel())),
        Work::Depthwise(depthwise) => format!("depthwise {}", size(depthwise.kernel())),
        Work::Pair(pair) => {
            let (first, second) = (pair.conv.kernel(), pair.depthwise.kernel());
            format!("convolution {} + depthwise {}", size(first), size(second))
        }
        Work::Affine { .. } => "activation".into(),
        Work::Combine { .. } => "sum or product".into(),
        Work::Weigh { .. } => "channel weights".into(),
        Work::Pool { .. } => "pooling".into(),
        Work::Join => "concatenation".into(),
    }
}
