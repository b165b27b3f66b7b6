//! The methods of a round, each trained on all samples and scored on bursts it did not see.

use std::rc::Rc;

use super::calibration::Scored;
use super::cancel::Proceed;
use super::imprint;
use super::linear::Linear;
use super::options::Method;
use super::problem::Problem;
use super::ridge::Ridge;
use super::search::{Bounds, gain, search};
use super::snapshot::LearnError;
use super::softmax::{self, Precision, Task};
use super::spectrum::Spectrum;
use super::workers::Workers;

/// λ of ridge, a multiple of the mean square norm of an embedding.
const RIDGE: Bounds = Bounds { low: 1e-6, high: 1e2, care: 0.0, worth: 0.0 };
const RIDGE_START: f64 = 1e-2;
/// λ of softmax. Accuracy on other bursts is flat over two decades about 1e-3 on most sets, and with few bursts the
/// held-out loss tells nothing about it: another λ has to be clearly better.
const SOFTMAX: Bounds = Bounds { low: 1e-6, high: 1.0, care: 1.0, worth: 5e-3 };
const SOFTMAX_START: f64 = 1e-3;
/// Standard errors by which a method has to be better than softmax.
const CARE: f64 = 2.0;
/// How far folds (a fraction of what is worth another λ) and the head itself are driven, in nats above the minimum. Not
/// further apart, or temperature and thresholds, which are fitted on the folds' scores, would not suit those of the head.
const FOLD: Precision = Precision { gap: 3e-4, steps: 200 };
const WHOLE: Precision = Precision { gap: 1e-4, steps: 300 };
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
    /// Scores of each sample by a head that never saw its fold, `[n, K]`: the same folds for every method.
    pub held_out: Vec<f64>,
    /// Fitted on them.
    pub temperature: f64,
    /// Weighted log-loss of each sample at that temperature, `[n]`.
    pub losses: Vec<f64>,
}

impl Trained {
    fn new(
        problem: &Problem,
        method: Method,
        lambda: f64,
        linear: Linear,
        held_out: Vec<f64>,
        proceed: Proceed,
    ) -> Result<Self, LearnError> {
        let scored = scored(problem, &held_out);
        let temperature = scored.temperature(problem.bursts, proceed)?;
        let losses = scored.losses(temperature);
        Ok(Self { method, lambda, linear, held_out, temperature, losses })
    }

    /// Whether all its numbers are.
    pub(crate) fn is_finite(&self) -> bool {
        let figures = [self.lambda, self.temperature];
        let linear = self.linear.weight.iter().chain(&self.linear.bias);
        figures.iter().chain(linear).chain(&self.held_out).chain(&self.losses).all(|value| value.is_finite())
    }

    /// Whether its held-out loss is clearly below that of another: by more than the standard error of the paired
    /// difference over bursts.
    pub(crate) fn is_clearly_better(&self, other: &Self, problem: &Problem) -> bool {
        let (gain, error) = gain(&problem.groups, &other.losses, &self.losses);
        gain > CARE * error
    }
}

fn scored<'a>(problem: &'a Problem, scores: &'a [f64]) -> Scored<'a> {
    Scored { scores, labels: &problem.labels, weights: &problem.weights, classes: problem.classes() }
}

/// Normalised class means.
pub(crate) fn imprint(problem: &Problem, step: Step) -> Result<Trained, LearnError> {
    step("imprint", 0)?;
    let linear = imprint::fit(problem);
    let held_out = imprint::held_out(problem, &problem.folds);
    Trained::new(problem, Method::Imprint, 0.0, linear, held_out, &mut || step("imprint", 0))
}

/// Ridge at the λ of least held-out loss.
pub(crate) fn ridge(problem: &Problem, step: Step) -> Result<Trained, LearnError> {
    step("ridge", 0)?;
    let mut ridge = Ridge::new(problem, &mut || step("ridge", 0))?;
    let mut tried = Vec::new();
    let lambda = search(&problem.groups, RIDGE_START, &RIDGE, &mut |lambda| {
        let proceed = &mut || step("ridge", tried.len() + 1);
        ridge.solve(lambda, proceed)?;
        let scores = ridge.held_out(&problem.folds, proceed)?;
        // At their own temperature: the scale of a least-squares score means nothing by itself.
        let scored = scored(problem, &scores);
        let losses = scored.losses(scored.temperature(problem.bursts, proceed)?);
        tried.push((lambda, ridge.solution(), scores));
        Ok(losses)
    })?;
    let done = tried.len() + 1;
    let at = tried.iter().position(|(tried, ..)| *tried == lambda).unwrap_or_default();
    let (_, solution, held_out) = tried.swap_remove(at);
    ridge.resume(solution);
    Trained::new(problem, Method::Ridge, lambda, ridge.linear(), held_out, &mut || step("ridge", done))
}

/// Softmax at a λ chosen on folds of bursts.
pub(crate) fn softmax(problem: &Problem, workers: &dyn Workers, step: Step) -> Result<Trained, LearnError> {
    let proceed = &mut || step("softmax", 0);
    let samples = problem.samples();
    let scatter = Spectrum::of(&samples, proceed)?.map(Rc::new);
    // Folds start from nothing: a head that has seen the whole snapshot would let them see what they must not.
    let mut heads = vec![Linear::zero(samples.width, samples.classes); problem.folds.len()];
    let mut tried: Vec<(f64, Vec<f64>, Linear)> = Vec::new();
    let lambda = search(&problem.groups, SOFTMAX_START, &SOFTMAX, &mut |lambda| {
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
        // At temperature 1: the likelihood of the method itself, which tells λ apart where accuracy does not.
        let losses = scored(problem, &scores).losses(1.0);
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
    Trained::new(problem, Method::Softmax, lambda, linear, scores, proceed)
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

/// Goes on with the chosen softmax head without the samples that are surely mislabelled. Other suspects stay: hard samples
/// are what a head learns most from.
pub(crate) fn without(
    problem: &Problem,
    own: &mut Trained,
    wrong: &[bool],
    workers: &dyn Workers,
    step: Step,
) -> Result<(), LearnError> {
    let kept: Vec<usize> = (0..problem.len()).filter(|&i| !wrong[problem.order[i] as usize]).collect();
    if kept.len() == problem.len() || own.method != Method::Softmax {
        return Ok(());
    }
    let rest = problem.only(&kept);
    if (0..problem.classes()).any(|class| !rest.labels.contains(&class)) {
        return Ok(());
    }
    let proceed = &mut || step("softmax", STEPS);
    let samples = rest.samples();
    let scatter = Spectrum::of(&samples, proceed)?.map(Rc::new);
    let task = Task { held_out: 0..0, start: own.linear.clone() };
    let lambda = own.lambda * problem.len() as f64 / rest.len() as f64;
    let heads = softmax::fit(&samples, scatter.as_ref(), lambda, vec![task], ON, workers, proceed)?;
    let found = Linear::mean(&heads);
    // Whether the head is sound was asked before.
    if found.weight.iter().chain(&found.bias).all(|value| value.is_finite()) {
        own.linear = found;
    }
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
    Trained::new(problem, Method::Blend, softmax.lambda, linear, held_out, proceed)
}
