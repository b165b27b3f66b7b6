//! Running a typed graph: by tract alone, or with our own operators in it where they agree with tract and are faster.

use std::time::{Duration, Instant};

use tract_onnx::prelude::*;

use super::super::BackboneError;
use super::super::contain::contained;
use super::kernels::Isa;
use super::program::Program;
use super::rewrite::{Rewritten, rewrite};

/// Embeddings of our operators and of tract may differ by this much of the largest number.
const TOLERANCE: f32 = 1e-4;
/// In a quantised network a difference in the last bit can move a number by a whole step, and many do in the end: there the
/// angle between both embeddings has to be small.
const LEAST_COSINE: f64 = 0.995;
/// Both ways are run at most this often on the golden picture.
const RUNS: usize = 3;

/// A plan of tract's with the state that holds its buffers.
pub(in super::super) struct Runner {
    plan: Arc<TypedSimplePlan>,
    state: TypedSimpleState,
    programs: Vec<Arc<Program>>,
}

/// A runner, and why it is not ours, if it should have been.
pub(in super::super) struct Chosen {
    pub(in super::super) runner: Runner,
    pub(in super::super) complaint: Option<String>,
}

/// Our operators beside tract's.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Faster,
    Slower,
    Apart,
}

/// Are both the embedding of one picture?
pub(super) fn agree(wanted: &[f32], found: &[f32], quantised: bool) -> bool {
    if quantised {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        return dot(wanted, found) >= LEAST_COSINE * (dot(wanted, wanted) * dot(found, found)).sqrt();
    }
    let largest = wanted.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|(wanted, found)| (wanted - found).abs() <= TOLERANCE * largest)
}

impl Runner {
    /// tract alone.
    ///
    /// # Errors
    /// When tract cannot optimise the graph.
    pub(in super::super) fn plain(typed: TypedModel) -> Result<Self, BackboneError> {
        contained("optimise the graph", || {
            let plan = typed.into_optimized()?.into_runnable()?;
            let state = plan.spawn()?;
            Ok(Self { plan, state, programs: Vec::new() })
        })
    }

    /// With our operators in it; `None` where none fits.
    ///
    /// # Errors
    /// When tract refuses the rewritten graph.
    pub(super) fn ours(typed: &TypedModel) -> Result<Option<Self>, BackboneError> {
        Self::ours_with(typed, Isa::best())
    }

    pub(super) fn ours_with(typed: &TypedModel, isa: Isa) -> Result<Option<Self>, BackboneError> {
        let rewritten = contained("rewrite the graph", || rewrite(typed, isa))?;
        let Some(Rewritten { model, programs }) = rewritten else { return Ok(None) };
        Ok(Some(Self { programs, ..Self::plain(model)? }))
    }

    /// Ours where it agrees with tract's on a golden picture and is faster, else tract's.
    ///
    /// # Errors
    /// When tract cannot run the graph.
    pub(in super::super) fn chosen(typed: TypedModel, golden: &Tensor) -> Result<Chosen, BackboneError> {
        let ours = Self::ours(&typed);
        let mut plain = Self::plain(typed)?;
        let tried = ours.and_then(|ours| match ours {
            Some(mut ours) => plain.outdone_by(&mut ours, golden).map(|outcome| Some((ours, outcome))),
            None => Ok(None),
        });
        Ok(match tried {
            Ok(Some((ours, Outcome::Faster))) => Chosen { runner: ours, complaint: None },
            Ok(Some((_, Outcome::Slower)) | None) => Chosen { runner: plain, complaint: None },
            Ok(Some((_, Outcome::Apart))) => {
                Chosen { runner: plain, complaint: Some("our embedding differs from tract's".into()) }
            }
            Err(error) => Chosen { runner: plain, complaint: Some(error.to_string()) },
        })
    }

    /// How ours does beside this one: in turn, until one is clearly faster.
    fn outdone_by(&mut self, ours: &mut Self, golden: &Tensor) -> Result<Outcome, BackboneError> {
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..RUNS {
            let mut embeddings = [Vec::new(), Vec::new()];
            for (way, runner) in [&mut *ours, self].into_iter().enumerate() {
                let start = Instant::now();
                embeddings[way] = runner.run(golden.clone())?;
                fastest[way] = fastest[way].min(start.elapsed());
            }
            let quantised = ours.programs.iter().any(|program| program.is_quantised());
            if !agree(&embeddings[1], &embeddings[0], quantised) {
                return Ok(Outcome::Apart);
            }
            if fastest[0].max(fastest[1]) > 2 * fastest[0].min(fastest[1]) {
                break;
            }
        }
        Ok(if fastest[0] <= fastest[1] { Outcome::Faster } else { Outcome::Slower })
    }

    /// What computes, for people: `tract`, or the instructions of our operators.
    pub(in super::super) fn name(&self) -> &'static str {
        self.programs.first().map_or("tract", |program| program.isa.name())
    }

    /// Our operators.
    pub(super) fn programs(&self) -> &[Arc<Program>] {
        &self.programs
    }

    /// Runs one picture; the numbers may be of any float type.
    ///
    /// # Errors
    /// When the network fails on it.
    pub(in super::super) fn run(&mut self, input: Tensor) -> Result<Vec<f32>, BackboneError> {
        let (plan, state) = (&self.plan, &mut self.state);
        let embedding = contained("run the network", || {
            let outputs = state.run(tvec!(input.into()))?;
            let output = outputs.into_iter().next().ok_or_else(|| TractError::msg("no output"))?;
            Ok(output.cast_to::<f32>()?.to_plain_array_view::<f32>()?.iter().copied().collect::<Vec<f32>>())
        });
        if embedding.is_err() {
            // A state that was left in the middle of a turn is not used again.
            self.state = contained("start the network", || plan.spawn())?;
        }
        embedding
    }
}
