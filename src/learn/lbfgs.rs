//! L-BFGS as a value that is asked where to look and told what was found there, so that several problems can be
//! evaluated in one pass over the embeddings and a round can be cancelled between any two evaluations.
//!
//! Two-loop recursion (Nocedal 1980) with a weak-Wolfe line search by bracketing (Lewis & Overton 2013).

use std::collections::VecDeque;

use super::cholesky::dot;

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 10;
/// Sufficient decrease and curvature of the line search.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Evaluations of one line search.
const TRIALS: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// The gradient is small, or no further decrease can be found in the precision at hand.
    Done,
}

pub(crate) struct Lbfgs {
    x: Vec<f64>,
    f: f64,
    gradient: Vec<f64>,
    trial: Vec<f64>,
    direction: Vec<f64>,
    slope: f64,
    step: f64,
    low: f64,
    high: f64,
    trials: usize,
    iterations: usize,
    tolerance: f64,
    limit: usize,
    history: VecDeque<Pair>,
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
    /// Starts at `x`; done when the Euclidean norm of the gradient is at most `tolerance`, or after `limit` steps.
    pub(crate) fn new(x: Vec<f64>, tolerance: f64, limit: usize) -> Self {
        Self {
            trial: x.clone(),
            gradient: Vec::new(),
            direction: Vec::new(),
            x,
            f: f64::INFINITY,
            slope: 0.0,
            step: 1.0,
            low: 0.0,
            high: f64::INFINITY,
            trials: 0,
            iterations: 0,
            tolerance,
            limit,
            history: VecDeque::new(),
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

    /// The best point so far.
    pub(crate) fn into_best(self) -> Vec<f64> {
        self.x
    }

    /// Takes value and gradient at [`Lbfgs::point`].
    pub(crate) fn tell(&mut self, f: f64, gradient: Vec<f64>) -> Status {
        if self.status == Status::Done {
            return self.status;
        }
        if !self.started {
            self.started = true;
            (self.f, self.gradient) = (f, gradient);
            self.begin();
            return self.status;
        }
        self.trials += 1;
        let slope = dot(&gradient, &self.direction);
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

    fn accept(&mut self, f: f64, gradient: Vec<f64>) {
        let step: Vec<f64> = self.trial.iter().zip(&self.x).map(|(new, old)| new - old).collect();
        let change: Vec<f64> = gradient.iter().zip(&self.gradient).map(|(new, old)| new - old).collect();
        let (curvature, square) = (dot(&step, &change), dot(&change, &change));
        if curvature > 1e-12 * square.sqrt() * dot(&step, &step).sqrt() {
            if self.history.len() == MEMORY {
                self.history.pop_front();
            }
            let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
            self.history.push_back(Pair { step: single(&step), change: single(&change), curvature, square });
        }
        self.x.copy_from_slice(&self.trial);
        (self.f, self.gradient) = (f, gradient);
        self.iterations += 1;
        self.begin();
    }

    /// Chooses a direction and the first step along it.
    fn begin(&mut self) {
        let norm = dot(&self.gradient, &self.gradient).sqrt();
        // Written so that a norm that is not a number also ends it.
        if !(norm > self.tolerance && norm.is_finite()) || self.iterations >= self.limit {
            self.status = Status::Done;
            return;
        }
        let mut direction: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        let mut along = vec![0.0; self.history.len()];
        for (pair, along) in self.history.iter().zip(&mut along).rev() {
            *along = dot_mixed(&pair.step, &direction) / pair.curvature;
            add_mixed(&mut direction, &pair.change, -*along);
        }
        if let Some(last) = self.history.back() {
            let scale = last.curvature / last.square;
            direction.iter_mut().for_each(|d| *d *= scale);
        }
        for (pair, along) in self.history.iter().zip(&along) {
            let back = dot_mixed(&pair.change, &direction) / pair.curvature;
            add_mixed(&mut direction, &pair.step, along - back);
        }
        self.slope = dot(&direction, &self.gradient);
        if !(self.slope < 0.0 && self.slope.is_finite()) {
            self.history.clear();
            direction = self.gradient.iter().map(|g| -g).collect();
            self.slope = -norm * norm;
        }
        self.direction = direction;
        (self.step, self.low, self.high, self.trials) = (1.0, 0.0, f64::INFINITY, 0);
        self.place();
    }

    fn place(&mut self) {
        self.trial.copy_from_slice(&self.x);
        add(&mut self.trial, &self.direction, self.step);
    }
}

fn add(target: &mut [f64], values: &[f64], factor: f64) {
    for (target, value) in target.iter_mut().zip(values) {
        *target += factor * value;
    }
}

fn add_mixed(target: &mut [f64], values: &[f32], factor: f64) {
    for (target, &value) in target.iter_mut().zip(values) {
        *target += factor * f64::from(value);
    }
}

/// As [`dot`], with one side in f32.
fn dot_mixed(a: &[f32], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(&a, b)| f64::from(a) * b).sum();
    for (a, b) in a4.zip(b4) {
        for lane in 0..4 {
            lanes[lane] += f64::from(a[lane]) * b[lane];
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minimise(start: Vec<f64>, f: impl Fn(&[f64]) -> (f64, Vec<f64>), limit: usize) -> (Vec<f64>, usize) {
        let mut solver = Lbfgs::new(start, 1e-9, limit);
        let mut evaluations = 0;
        while solver.status() == Status::Running {
            let (value, gradient) = f(solver.point());
            solver.tell(value, gradient);
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
