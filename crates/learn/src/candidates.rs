//! The methods of a round, each trained on all samples and scored on bursts it did not see.

use std::ops::Range;
use std::rc::Rc;

use super::calibration::Scored;
use super::cancel::Proceed;
use super::imprint;
use super::linear::Linear;
use super::options::Method;
use super::problem::Problem;
use super::ridge::Ridge;
use super::search::{Bounds, search};
use super::snapshot::LearnError;
use super::softmax::{self, Precision, Task};
use super::spectrum::Spectrum;
use super::workers::Workers;

/// λ of ridge, a multiple of the mean square norm of an embedding. Its held-out loss is exact and cheap, so the least
/// one is taken as it stands.
const RIDGE: Bounds = Bounds { low: 1e-6, high: 1e2, care: 0.0, worth: 0.0 };
const RIDGE_START: f64 = 1e-2;
/// λ of softmax. Its loss is flat and noisy towards weak λ, hence the care; below 1e-5 it was never better in our runs.
const SOFTMAX: Bounds = Bounds { low: 1e-5, high: 1.0, care: 1.0, worth: 1e-2 };
/// Softmax starts its search at this multiple of the λ of ridge, where it was found to lie most often.
const SOFTMAX_START: f64 = 0.1;
/// Samples whose bursts choose λ of ridge when there are more samples than dimensions; the head sees all.
const PATH_SAMPLES: usize = 2048;
/// How far folds (half of what is worth a weaker λ) and the head itself are driven, in nats above the minimum.
const FOLD: Precision = Precision { gap: 5e-3, steps: 100 };
const WHOLE: Precision = Precision { gap: 1e-5, steps: 300 };
/// The same from the best head in fewer coordinates, which is near already.
const ON: Precision = Precision { gap: 1e-4, steps: 100 };
/// Steps that a phase may report, for a progress bar.
pub(crate) const STEPS: usize = 8;

/// Called with a phase and the steps of it that are done; its error ends the round.
pub(crate) type Step<'s> = &'s mut dyn FnMut(&'static str, usize) -> Result<(), LearnError>;

/// A trained candidate: problem order, compact classes.
pub(crate) struct Trained {
    pub method: Method,
    pub lambda: f64,
    pub linear: Linear,
    /// Scores of each sample by a head that never saw its burst, `[n, K]`.
    pub held_out: Vec<f64>,
    /// Fitted on them.
    pub temperature: f64,
    /// The same by folds: equal splits for every method, so that none wins by having seen more of the snapshot.
    folds: Vec<f64>,
    /// Log-loss of the fold-wise scores at their own temperature.
    pub fold_loss: f64,
}

impl Trained {
    fn new(
        problem: &Problem,
        method: Method,
        lambda: f64,
        linear: Linear,
        held_out: Vec<f64>,
        folds: Vec<f64>,
        proceed: Proceed,
    ) -> Result<Self, LearnError> {
        let (temperature, _) = judge(problem, &held_out, proceed)?;
        let (own, fold_loss) = judge(problem, &folds, proceed)?;
        let folds = folds.iter().map(|score| score / own).collect();
        Ok(Self { method, lambda, linear, held_out, temperature, folds, fold_loss })
    }

    /// Whether all its numbers are.
    pub(crate) fn is_finite(&self) -> bool {
        let figures = [self.lambda, self.temperature, self.fold_loss];
        let linear = self.linear.weight.iter().chain(&self.linear.bias);
        figures.iter().chain(linear).chain(&self.held_out).chain(&self.folds).all(|value| value.is_finite())
    }
}

/// The temperature of held-out scores and their log-loss at it.
fn judge(problem: &Problem, scores: &[f64], proceed: Proceed) -> Result<(f64, f64), LearnError> {
    let scored =
        Scored { scores, labels: &problem.labels, weights: &problem.weights, classes: problem.classes() };
    let temperature = scored.temperature(problem.bursts, proceed)?;
    proceed()?;
    Ok((temperature, scored.log_loss(temperature)))
}

/// Normalised class means.
pub(crate) fn imprint(problem: &Problem, step: Step) -> Result<Trained, LearnError> {
    step("imprint", 0)?;
    let linear = imprint::fit(problem);
    let held_out = imprint::held_out(problem, &problem.groups);
    let folds = imprint::held_out(problem, &problem.folds);
    Trained::new(problem, Method::Imprint, 0.0, linear, held_out, folds, &mut || step("imprint", 0))
}

/// Ridge at the λ of least leave-one-burst-out loss.
pub(crate) fn ridge(problem: &Problem, step: Step) -> Result<Trained, LearnError> {
    step("ridge", 0)?;
    let mut ridge = Ridge::new(problem, &mut || step("ridge", 0))?;
    let chosen = Chosen::new(problem, ridge.is_dual());
    let mut tried = Vec::new();
    let lambda = search(&chosen.groups, RIDGE_START, &RIDGE, &mut |lambda| {
        let proceed = &mut || step("ridge", tried.len() + 1);
        ridge.solve(lambda, proceed)?;
        let scores = ridge.held_out(&chosen.parts, proceed)?;
        let losses = chosen.losses(problem, &scores, proceed)?;
        tried.push((lambda, ridge.solution(), if chosen.all { scores } else { Vec::new() }));
        Ok(losses)
    })?;
    let done = tried.len() + 1;
    let proceed = &mut || step("ridge", done);
    let at = tried.iter().position(|(tried, ..)| *tried == lambda).unwrap_or_default();
    let (_, solution, mut held_out) = tried.swap_remove(at);
    ridge.resume(solution);
    if !chosen.all {
        held_out = ridge.held_out(&problem.groups, proceed)?;
    }
    let folds = ridge.held_out(&problem.folds, proceed)?;
    Trained::new(problem, Method::Ridge, lambda, ridge.linear(), held_out, folds, proceed)
}

/// The bursts that choose λ.
struct Chosen {
    /// In problem order.
    parts: Vec<Range<usize>>,
    /// Whether these are all bursts.
    all: bool,
    /// Where their losses lie.
    groups: Vec<Range<usize>>,
    labels: Vec<usize>,
    weights: Vec<f64>,
}

impl Chosen {
    fn new(problem: &Problem, all: bool) -> Self {
        let stride = if all { 1 } else { problem.len().div_ceil(PATH_SAMPLES) };
        let mut chosen = Self {
            parts: Vec::new(),
            all: stride == 1,
            groups: Vec::new(),
            labels: Vec::new(),
            weights: Vec::new(),
        };
        for part in problem.groups.iter().step_by(stride) {
            let start = chosen.labels.len();
            chosen.parts.push(part.clone());
            chosen.groups.push(start..start + part.len());
            chosen.labels.extend(&problem.labels[part.clone()]);
            chosen.weights.extend(&problem.weights[part.clone()]);
        }
        chosen
    }

    /// Losses at the temperature of these scores: the scale of a least-squares score means nothing by itself.
    fn losses(&self, problem: &Problem, scores: &[f64], proceed: Proceed) -> Result<Vec<f64>, LearnError> {
        let classes = problem.classes();
        let scores: Vec<f64> = self
            .parts
            .iter()
            .flat_map(|part| &scores[part.start * classes..part.end * classes])
            .copied()
            .collect();
        let scored = Scored { scores: &scores, labels: &self.labels, weights: &self.weights, classes };
        Ok(scored.losses(scored.temperature(problem.bursts, proceed)?))
    }
}

/// Softmax at a λ chosen on folds of bursts.
pub(crate) fn softmax(
    problem: &Problem,
    ridge: &Trained,
    workers: &dyn Workers,
    step: Step,
) -> Result<Trained, LearnError> {
    let proceed = &mut || step("softmax", 0);
    let samples = problem.samples();
    let scatter = Spectrum::of(&samples, proceed)?.map(Rc::new);
    // Folds start from nothing: a head that has seen the whole snapshot would let them see what they must not.
    let mut heads = vec![Linear::zero(samples.width, samples.classes); problem.folds.len()];
    let mut tried: Vec<(f64, Vec<f64>, Linear)> = Vec::new();
    let lambda = search(&problem.groups, SOFTMAX_START * ridge.lambda, &SOFTMAX, &mut |lambda| {
        let starts = std::mem::take(&mut heads);
        let tasks = problem
            .folds
            .iter()
            .zip(starts)
            .map(|(fold, start)| Task { held_out: fold.clone(), start })
            .collect();
        heads = softmax::fit(&samples, scatter.as_ref(), lambda, tasks, FOLD, workers, &mut || {
            step("softmax", tried.len())
        })?;
        let scores = softmax::held_out(&samples, &problem.folds, &heads);
        let (labels, weights) = (&problem.labels, &problem.weights);
        let scored = Scored { scores: &scores, labels, weights, classes: samples.classes };
        // At temperature 1: the likelihood of the method itself, which tells λ apart where accuracy does not.
        let losses = scored.losses(1.0);
        tried.push((lambda, scores, Linear::mean(&heads)));
        Ok(losses)
    })?;
    let chosen = tried.iter().position(|(tried, ..)| *tried == lambda).unwrap_or_default();
    // The mean of the folds' heads, each of which saw most of the snapshot, lies nearer than the head of ridge.
    let (_, scores, start) = tried.swap_remove(chosen);
    let proceed = &mut || step("softmax", tried.len() + 1);
    let whole = vec![Task { held_out: 0..0, start }];
    let mut heads = softmax::fit(&samples, scatter.as_ref(), lambda, whole, WHOLE, workers, proceed)?;
    let linear = heads.pop().unwrap_or_else(|| Linear::zero(samples.width, samples.classes));
    Trained::new(problem, Method::Softmax, lambda, linear, scores.clone(), scores, proceed)
}

/// Goes on with softmax in all numbers of an embedding, from the best head in its leading directions.
pub(crate) fn go_on(
    problem: &Problem,
    softmax: &mut Trained,
    workers: &dyn Workers,
    step: Step,
) -> Result<(), LearnError> {
    let proceed = &mut || step("softmax", STEPS);
    let samples = problem.samples();
    let scatter = Spectrum::of(&samples, proceed)?.map(Rc::new);
    let task = Task { held_out: 0..0, start: softmax.linear.clone() };
    let heads = softmax::fit(&samples, scatter.as_ref(), softmax.lambda, vec![task], ON, workers, proceed)?;
    softmax.linear = Linear::mean(&heads);
    Ok(())
}

/// The mean of the calibrated scores of ridge and softmax: one linear head again.
pub(crate) fn blend(
    problem: &Problem,
    ridge: &Trained,
    softmax: &Trained,
    proceed: Proceed,
) -> Result<Trained, LearnError> {
    let mean = |a: &[f64], b: &[f64], a_scale: f64, b_scale: f64| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| 0.5 * (a / a_scale + b / b_scale)).collect()
    };
    let (a, b) = (ridge.temperature, softmax.temperature);
    let linear = Linear {
        weight: mean(&ridge.linear.weight, &softmax.linear.weight, a, b),
        bias: mean(&ridge.linear.bias, &softmax.linear.bias, a, b),
    };
    let held_out = mean(&ridge.held_out, &softmax.held_out, a, b);
    let folds = mean(&ridge.folds, &softmax.folds, 1.0, 1.0);
    Trained::new(problem, Method::Blend, softmax.lambda, linear, held_out, folds, proceed)
}
