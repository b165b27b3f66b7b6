//! Where the time of our operators goes.

use serde::Serialize;
use tract_onnx::prelude::Arc;

use super::program::{Program, Step, Work};

/// Time of all operators of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorTime {
    /// What it computes.
    pub kind: String,
    /// How many of them a frame has.
    pub calls: usize,
    /// Milliseconds of a frame, all of them together, on average.
    pub ms: f64,
    /// Multiplications with addition of a frame, all of them together.
    pub macs: u64,
}

/// Times by kind, the slowest first.
pub(super) fn operators(programs: &[Arc<Program>]) -> Vec<OperatorTime> {
    let mut all: Vec<OperatorTime> = Vec::new();
    for program in programs {
        for (step, ms) in program.steps.iter().zip(program.times()) {
            let kind = kind(step);
            match all.iter_mut().find(|time| time.kind == kind) {
                Some(time) => {
                    time.calls += 1;
                    time.ms += ms;
                    time.macs += step.macs;
                }
                None => all.push(OperatorTime { kind, calls: 1, ms, macs: step.macs }),
            }
        }
    }
    all.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    all
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
