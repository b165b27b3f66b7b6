//! L-BFGS as a value that is asked where to look and told what was found there, so that several problems can be
//! evaluated in one pass over the embeddings and a round can be cancelled between any two evaluations.
//!
//! Two-loop recursion (Nocedal 1980) with a weak-Wolfe line search by bracketing (Lewis & Overton 2013). In the first
//! steps, which change the curvature most, the pairs alone give the directions; from where the value falls slowly they
//! are helped by the curvature that the embeddings' scatter implies.

use std::collections::VecDeque;
use std::rc::Rc;

use super::cholesky::dot;
use super::matmul::fused::{self, add_scaled};
use super::spectrum::Spectrum;
use graft_simd::Isa;

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 10;
/// Sufficient decrease and curvature of the line search.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const TRIALS: usize = 20;
/// The first step, as a multiple of the negative gradient by the curvature of a sample.
const FIRST: f64 = 5.0;
/// How much less than asked must be left, as far as it can be told: what is not yet seen of a flat valley comes on top.
const NEAR: f64 = 0.2;
/// A step that lowers the value by less than this part of it begins the end.
const SLOW: f64 = 0.2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// As near as was asked, or no further decrease can be found in the precision at hand.
    Done,
}

/// When a solution is near enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// Done when the Euclidean norm of the gradient is at most this.
    pub norm: f64,
    /// Done when what is left, as far as it can be told, is at most this part of the value.
    pub part: f64,
    /// Most steps.
    pub steps: usize,
}

/// Value and gradient at a point.
pub(crate) struct Found {
    pub value: f64,
    pub gradient: Vec<f64>,
    /// Mean curvature of a sample in one column, at least 0.
    pub curvature: f64,
}

pub(crate) struct Lbfgs {
    isa: Isa,
    x: Vec<f64>,
    f: f64,
    gradient: Vec<f64>,
    trial: Vec<f64>,
    direction: Vec<f32>,
    slope: f64,
    step: f64,
    low: f64,
    high: f64,
    trials: usize,
    iterations: usize,
    curvature: f64,
    stop: Stop,
    history: VecDeque<Pair>,
    /// The values of the last five steps, the newest last.
    values: VecDeque<f64>,
    scatter: Option<(Rc<Spectrum>, f64)>,
    slow: bool,
    status: Status,
    started: bool,
}

/// Kept in f32: half the memory traffic of the two loops, and only the quality of the direction rests on it.
struct Pair {
    step: Vec<f32>,
    change: Vec<f32>,
    curvature: f64,
    /// `‖change‖²`.
    square: f64,
}

impl Lbfgs {
    /// Starts at `x`. `scatter` is that of the embeddings with the λ of the objective.
    pub(crate) fn new(x: Vec<f64>, scatter: Option<(Rc<Spectrum>, f64)>, stop: Stop) -> Self {
        Self {
            isa: Isa::detect(),
            trial: x.clone(),
            gradient: Vec::new(),
            direction: vec![0.0; x.len()],
            x,
            f: f64::INFINITY,
            slope: 0.0,
            step: 1.0,
            low: 0.0,
            high: f64::INFINITY,
            trials: 0,
            iterations: 0,
            curvature: 1.0,
            stop,
            history: VecDeque::new(),
            values: VecDeque::new(),
            scatter,
            slow: false,
            status: Status::Running,
            started: false,
        }
    }

    /// Where to evaluate next.
    pub(crate) fn point(&self) -> &[f64] {
        &self.trial
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// The value at the best point so far.
    pub(crate) fn value(&self) -> f64 {
        self.f
    }

    /// The best point so far.
    pub(crate) fn into_best(self) -> Vec<f64> {
        self.x
    }

    /// Takes value and gradient at [`Lbfgs::point`].
    pub(crate) fn tell(&mut self, found: Found) -> Status {
        if self.status == Status::Done {
            return self.status;
        }
        let Found { value: f, gradient, curvature } = found;
        self.curvature = curvature.max(f64::MIN_POSITIVE);
        if !self.started {
            self.started = true;
            (self.f, self.gradient) = (f, gradient);
            self.begin();
            return self.status;
        }
        self.trials += 1;
        let slope = self.along(&gradient);
        // A value that is not a number fails the comparison and shortens the step.
        let decreased = f <= self.f + DECREASE * self.step * self.slope && slope.is_finite();
        let exhausted = self.trials >= TRIALS;
        if decreased && (slope >= CURVATURE * self.slope || exhausted) {
            self.accept(f, gradient);
            return self.status;
        }
        if exhausted {
            self.status = Status::Done;
            return self.status;
        }
        if decreased {
            self.low = self.step;
            self.step = if self.high.is_finite() { 0.5 * (self.low + self.high) } else { 3.0 * self.step };
        } else {
            self.high = self.step;
            let span = self.high - self.low;
            // The minimum of the parabola through value, slope and trial, kept inside the bracket.
            let parabola = -0.5 * self.slope * self.step * self.step / (f - self.f - self.slope * self.step);
            let inside = parabola.is_finite() && self.low == 0.0;
            self.step = if inside {
                parabola.clamp(self.low + 0.1 * span, self.high - 0.4 * span)
            } else {
                self.low + 0.5 * span
            };
        }
        self.place();
        self.status
    }

    /// Slope of a gradient along the direction.
    fn along(&self, gradient: &[f64]) -> f64 {
        let mut lanes = [0.0; 4];
        let (gradients, directions) = (gradient.chunks_exact(4), self.direction.chunks_exact(4));
        let rest = gradients.remainder().iter().zip(directions.remainder());
        let tail: f64 = rest.map(|(g, &d)| g * f64::from(d)).sum();
        for (g, d) in gradients.zip(directions) {
            for lane in 0..4 {
                lanes[lane] += g[lane] * f64::from(d[lane]);
            }
        }
        (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
    }

    fn accept(&mut self, f: f64, gradient: Vec<f64>) {
        let mut pair = match self.history.len() {
            MEMORY => self.history.pop_front().unwrap_or_else(|| Pair::blank(self.x.len())),
            _ => Pair::blank(self.x.len()),
        };
        let (mut curvature, mut square, mut length) = (0.0, 0.0, 0.0);
        for (at, &new) in gradient.iter().enumerate() {
            let (step, change) = (self.trial[at] - self.x[at], new - self.gradient[at]);
            (pair.step[at], pair.change[at]) = (step as f32, change as f32);
            curvature += step * change;
            square += change * change;
            length += step * step;
        }
        if curvature > 1e-12 * (square * length).sqrt() {
            (pair.curvature, pair.square) = (curvature, square);
            self.history.push_back(pair);
        }
        self.slow |= f > (1.0 - SLOW) * self.f;
        self.x.copy_from_slice(&self.trial);
        (self.f, self.gradient) = (f, gradient);
        self.iterations += 1;
        self.values.push_back(f);
        if self.values.len() > 5 {
            self.values.pop_front();
        }
        self.begin();
    }

    /// Chooses a direction and the first step along it.
    fn begin(&mut self) {
        let norm = dot(&self.gradient, &self.gradient).sqrt();
        // Written so that a norm that is not a number also ends it.
        if !(norm > self.stop.norm && norm.is_finite()) || self.iterations >= self.stop.steps {
            self.status = Status::Done;
            return;
        }
        let direction = &mut self.direction;
        direction.iter_mut().zip(&self.gradient).for_each(|(d, &g)| *d = -g as f32);
        let mut along = vec![0.0; self.history.len()];
        for (pair, along) in self.history.iter().zip(&mut along).rev() {
            *along = f64::from(fused::dot(self.isa, &pair.step, direction)) / pair.curvature;
            add_scaled(self.isa, direction, -*along as f32, &pair.change);
        }
        if let Some(last) = self.history.back() {
            // The scale that the newest pair asks for, of the plain direction or of the divided one.
            let mut square = last.square;
            if let Some((scatter, lambda)) = self.scatter.as_ref().filter(|_| self.slow) {
                let mut change = last.change.clone();
                scatter.divide(self.isa, &mut change, self.curvature, *lambda);
                square = f64::from(fused::dot(self.isa, &change, &last.change));
                scatter.divide(self.isa, direction, self.curvature, *lambda);
            }
            let scale = (last.curvature / square) as f32;
            direction.iter_mut().for_each(|d| *d *= scale);
        }
        for (pair, along) in self.history.iter().zip(&along) {
            let back = f64::from(fused::dot(self.isa, &pair.change, direction)) / pair.curvature;
            add_scaled(self.isa, direction, (along - back) as f32, &pair.step);
        }
        self.slope = self.along(&self.gradient);
        if !(self.slope < 0.0 && self.slope.is_finite()) {
            self.history.clear();
            self.direction.iter_mut().zip(&self.gradient).for_each(|(d, &g)| *d = -g as f32);
            self.slope = -norm * norm;
        }
        if self.left().max(-0.5 * self.slope) <= NEAR * self.stop.part * self.f {
            self.status = Status::Done;
            return;
        }
        self.step = if self.history.is_empty() { FIRST / self.curvature } else { 1.0 };
        (self.low, self.high, self.trials) = (0.0, f64::INFINITY, 0);
        self.place();
    }

    /// What the values still promise to fall, if they go on as geometrically as in the last four steps.
    fn left(&self) -> f64 {
        let [a, _, b, _, c] = *self.values.iter().copied().collect::<Vec<f64>>() else {
            return f64::INFINITY;
        };
        let ratio = ((b - c) / (a - b)).clamp(0.0, 0.95);
        (b - c) * ratio / (1.0 - ratio)
    }

    fn place(&mut self) {
        for ((trial, &x), &d) in self.trial.iter_mut().zip(&self.x).zip(&self.direction) {
            *trial = x + self.step * f64::from(d);
        }
    }
}

impl Pair {
    fn blank(size: usize) -> Self {
        Self { step: vec![0.0; size], change: vec![0.0; size], curvature: 0.0, square: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minimise(start: Vec<f64>, f: impl Fn(&[f64]) -> (f64, Vec<f64>), limit: usize) -> (Vec<f64>, usize) {
        let mut solver = Lbfgs::new(start, None, Stop { norm: 1e-9, part: 0.0, steps: limit });
        let mut evaluations = 0;
        while solver.status() == Status::Running {
            let (value, gradient) = f(solver.point());
            solver.tell(Found { value, gradient, curvature: FIRST });
            evaluations += 1;
        }
        (solver.into_best(), evaluations)
    }

    #[test]
    fn finds_the_floor_of_the_curved_valley() {
        let (x, evaluations) = minimise(
            vec![-1.2, 1.0],
            |x| {
                let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
                (a * a + 100.0 * b * b, vec![-2.0 * a - 400.0 * x[0] * b, 200.0 * b])
            },
            200,
        );
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 1.0).abs() < 1e-6, "{x:?}");
        assert!(evaluations < 100, "{evaluations}");
    }

    #[test]
    fn a_function_that_is_nowhere_a_number_ends() {
        let (x, evaluations) = minimise(vec![1.0], |_| (f64::NAN, vec![f64::NAN]), 100);
        assert_eq!((x, evaluations), (vec![1.0], 1));
        let (x, _) = minimise(
            vec![1.0],
            |x| if x[0] == 1.0 { (1.0, vec![1.0]) } else { (f64::NAN, vec![f64::NAN]) },
            100,
        );
        assert_eq!(x, vec![1.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn solves_stretched_bowls(exponents in prop::collection::vec(-2.0f64..2.0, 1..12), seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let centre: Vec<f64> = exponents.iter().map(|_| random.f64() * 10.0 - 5.0).collect();
            let (x, _) = minimise(vec![0.0; centre.len()], |x| {
                let terms = x.iter().zip(&centre).zip(&exponents);
                let f = terms.clone().map(|((x, c), e)| 0.5 * 10f64.powf(*e) * (x - c).powi(2)).sum();
                (f, terms.map(|((x, c), e)| 10f64.powf(*e) * (x - c)).collect())
            }, 2000);
            for (x, c) in x.iter().zip(&centre) {
                prop_assert!((x - c).abs() < 1e-5, "{x} {c}");
            }
        }
    }
}
