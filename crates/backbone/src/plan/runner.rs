//! Running a typed graph: by tract alone, or with our own operators in it where they agree with tract and are faster.

use std::time::{Duration, Instant};

use graft_simd::Isa;
use graft_wire::digest::hex;
use sha2::{Digest, Sha256};
use tract_onnx::prelude::*;

use super::super::BackboneError;
use super::super::contain::contained;
use super::program::Program;
use super::rewrite::{Rewritten, rewrite};
use super::threads::FrameThreads;

/// Embeddings of our operators and of tract may differ by this much of the largest number.
const TOLERANCE: f32 = 1e-4;
/// In a quantised network a difference in the last bit can move a number by a whole step, and many do in the end: there the
/// angle between both embeddings has to be small.
const LEAST_COSINE: f64 = 0.995;
/// Both ways are run at most this often on the golden picture.
const RUNS: usize = 3;
/// Tract has lost when it takes so many times as long.
const CLEAR: f64 = 1.3;

/// A plan of tract's with the state that holds its buffers.
pub(crate) struct Runner {
    plan: Arc<TypedSimplePlan>,
    state: TypedSimpleState,
    programs: Vec<Arc<Program>>,
    threads: FrameThreads,
    /// The embedding of the last picture.
    embedding: Vec<f32>,
}

/// A runner that has run the golden picture, and why it is not ours, if it should have been.
pub(crate) struct Chosen {
    pub(crate) runner: Runner,
    pub(crate) embedding: Vec<f32>,
    /// [`digest`] of the embedding, where it is ours.
    pub(crate) proof: Option<String>,
    pub(crate) complaint: Option<String>,
    /// Both ways were run.
    pub(crate) compared: bool,
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

/// SHA-256 of an embedding, bit for bit: the same program on the same processor makes the same of a picture.
pub(super) fn digest(embedding: &[f32]) -> String {
    let mut all = Sha256::new();
    embedding.iter().for_each(|value| all.update(value.to_bits().to_le_bytes()));
    format!("sha256:{}", hex(&all.finalize()))
}

impl Runner {
    /// tract alone.
    ///
    /// # Errors
    /// When tract cannot optimise the graph.
    pub(crate) fn plain(typed: TypedModel) -> Result<Self, BackboneError> {
        contained("optimise the graph", || {
            let plan = typed.into_optimized()?.into_runnable()?;
            let state = plan.spawn()?;
            Ok(Self {
                plan,
                state,
                programs: Vec::new(),
                threads: FrameThreads::default(),
                embedding: Vec::new(),
            })
        })
    }

    /// With our operators in it; `None` where none fits.
    ///
    /// # Errors
    /// When tract refuses the rewritten graph.
    pub(crate) fn ours(typed: &TypedModel) -> Result<Option<Self>, BackboneError> {
        Self::ours_with(typed, Isa::detect())
    }

    pub(super) fn ours_with(typed: &TypedModel, isa: Isa) -> Result<Option<Self>, BackboneError> {
        let rewritten = contained("rewrite the graph", || rewrite(typed, isa))?;
        let Some(Rewritten { model, programs }) = rewritten else { return Ok(None) };
        Ok(Some(Self { programs, ..Self::plain(model)? }))
    }

    /// Ours where it agrees with tract's on a golden picture and is faster, else tract's. Where ours makes the very numbers
    /// of it that passed that comparison before, by their [`digest`], there is none.
    ///
    /// # Errors
    /// When tract cannot run the graph.
    pub(crate) fn chosen(
        typed: TypedModel,
        golden: &Arc<Tensor>,
        proof: Option<&str>,
    ) -> Result<Chosen, BackboneError> {
        let mut ours = Self::ours(&typed);
        if let Some(proof) = proof
            && let Ok(Some(mut runner)) = ours
        {
            if let Ok(embedding) = runner.run(golden)
                && digest(embedding) == proof
            {
                let (embedding, proof) = (embedding.to_vec(), Some(proof.to_owned()));
                return Ok(Chosen { runner, embedding, proof, complaint: None, compared: false });
            }
            ours = Ok(Some(runner));
        }
        let mut plain = Self::plain(typed)?;
        let start = Instant::now();
        let embedding = plain.run(golden)?.to_vec();
        let time = start.elapsed();
        let tried = ours.and_then(|ours| match ours {
            Some(mut ours) => {
                plain.outdone_by(&mut ours, golden, &embedding, time).map(|how| Some((ours, how)))
            }
            None => Ok(None),
        });
        let (runner, complaint) = match tried {
            Ok(Some((ours, Outcome::Faster))) => (ours, None),
            Ok(Some((_, Outcome::Slower)) | None) => (plain, None),
            Ok(Some((_, Outcome::Apart))) => (plain, Some("our embedding differs from tract's".into())),
            Err(error) => (plain, Some(error.to_string())),
        };
        let proof = (!runner.programs.is_empty()).then(|| digest(&runner.embedding));
        Ok(Chosen { runner, embedding, proof, complaint, compared: true })
    }

    /// How ours does beside this one, whose first run gave `wanted` in `first`: in turn, until ours is clearly faster.
    fn outdone_by(
        &mut self,
        ours: &mut Self,
        golden: &Arc<Tensor>,
        wanted: &[f32],
        first: Duration,
    ) -> Result<Outcome, BackboneError> {
        let quantised = ours.programs.iter().any(|program| program.is_quantised());
        let (mut plain_time, mut our_time) = (first, Duration::MAX);
        for turn in 0..RUNS {
            if turn > 0 {
                let start = Instant::now();
                self.run(golden)?;
                plain_time = plain_time.min(start.elapsed());
            }
            let start = Instant::now();
            let found = ours.run(golden)?;
            our_time = our_time.min(start.elapsed());
            if !agree(wanted, found, quantised) {
                return Ok(Outcome::Apart);
            }
            // A busy machine may have stopped ours in its only run, so that only a victory ends it early.
            if our_time.as_secs_f64() * CLEAR < plain_time.as_secs_f64() {
                break;
            }
        }
        Ok(if our_time <= plain_time { Outcome::Faster } else { Outcome::Slower })
    }

    /// What computes, for people: `tract`, or the instructions of our operators.
    pub(crate) fn name(&self) -> &'static str {
        self.programs.first().map_or("tract", |program| program.isa.name())
    }

    /// Has so many threads share each frame; only our operators know how to.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(crate) fn share(&mut self, threads: usize) -> Result<(), BackboneError> {
        self.threads = contained("start threads", || Ok(FrameThreads::new(threads)?))?;
        Ok(())
    }

    pub(super) fn programs(&self) -> &[Arc<Program>] {
        &self.programs
    }

    /// Runs one picture; the numbers may be of any float type.
    ///
    /// # Errors
    /// When the network fails on it.
    pub(crate) fn run(&mut self, input: &Arc<Tensor>) -> Result<&[f32], BackboneError> {
        let Self { plan, state, threads, embedding, .. } = self;
        let ran = contained("run the network", || {
            let outputs = threads.run(|| state.run(tvec!(Arc::clone(input).into_tvalue())))?;
            let output = outputs.into_iter().next().ok_or_else(|| TractError::msg("no output"))?;
            embedding.clear();
            embedding.extend(output.cast_to::<f32>()?.to_plain_array_view::<f32>()?.iter());
            Ok(())
        });
        if let Err(error) = ran {
            // A state that was left in the middle of a turn is not used again.
            self.state = contained("start the network", || plan.spawn())?;
            return Err(error);
        }
        Ok(&self.embedding)
    }
}
