//! Whether what the camera shows now is what the head was taught with: a verdict over a window of bursts, never over
//! single frames.
//!
//! Two kinds of evidence, at one level shared by Bonferroni's correction among all tests made:
//! * per predicted class, a one-sided Kolmogorov–Smirnov test whether known bursts are told less surely than the
//!   snapshot's own were while they were held out (Smirnov 1939: `p = exp(−2·D²·n·m/(n + m))`);
//! * the number of bursts called unknown. The threshold of the unknown score is an order statistic of the snapshot's
//!   bursts, so for bursts of the same kind that number is negative hypergeometric, whatever the scores' distribution.
//!
//! Known bursts as sure as ever beside too many unknown ones: a new class in the old place. Anything else: a new place.

use super::held_out::HeldOut;

/// Bursts in a window.
pub const WINDOW: usize = 40;
/// Fewer bursts than this give no verdict.
pub const LEAST: usize = 8;
/// Chance of a verdict other than *same* where nothing changed, for one look at one window.
const LEVEL: f64 = 1e-2;
/// Bursts of one class, now and in the snapshot, below which its scores are not compared.
const LEAST_OF_CLASS: usize = 3;
/// A part of the window at least that must still be known for the place to count as the old one.
const STILL_KNOWN: f64 = 0.25;
/// Unknown scores are cut here.
const MOST_UNKNOWN: f32 = 5.0;
/// Values kept of one class.
const VALUES: usize = 50;

/// How the snapshot's own bursts looked to heads that had not seen them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reference {
    /// Of each class of the list, the bursts that were predicted as it.
    pub classes: Vec<Taught>,
}

/// The bursts of the snapshot that were predicted as one class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taught {
    /// Their confidences, rising.
    pub confidence: Vec<f32>,
    /// Their unknown scores, rising.
    pub unknown: Vec<f32>,
}

/// One burst as a head saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The class that most of its frames were predicted as.
    pub class: u32,
    /// Their mean confidence.
    pub confidence: f32,
    /// Mean unknown score of all its frames; above 1 the burst is unlike every class.
    pub unknown: f32,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// Nothing to speak of.
    Same,
    /// Something else comes along with what was taught.
    NewClass,
    /// What was taught looks different now, or is gone.
    NewPlace,
}

/// A verdict with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The verdict.
    pub drift: Drift,
    /// Bursts it rests on.
    pub bursts: usize,
    /// How many of them were unknown.
    pub unknown: usize,
    /// Chance of the least likely of the tests, were nothing changed; corrected for their number.
    pub p: f64,
    /// Part of the bursts, 0…1, that look as ever: twice the share that is as typical as the more typical half of the
    /// snapshot.
    pub as_ever: f64,
    /// The class whose bursts are told less surely than ever, where there is one.
    pub class: Option<u32>,
}

impl Reference {
    /// From the held-out predictions and unknown scores of a round, one a sample.
    pub(crate) fn new(
        labels: &[u32],
        bursts: &[u64],
        held_out: &[HeldOut],
        unknown: &[f32],
        classes: usize,
    ) -> Self {
        let mut order: Vec<usize> = (0..labels.len().min(bursts.len()).min(held_out.len())).collect();
        order.sort_by_key(|&i| (bursts[i], labels[i]));
        let mut out = Self { classes: vec![Taught::default(); classes] };
        let mut tally = Tally::new(classes);
        for (at, &i) in order.iter().enumerate() {
            tally.add(held_out[i].predicted, held_out[i].confidence, unknown[i]);
            let next = order.get(at + 1).map(|&next| (bursts[next], labels[next]));
            if next != Some((bursts[i], labels[i]))
                && let Some(burst) = tally.take()
                && let Some(taught) = out.classes.get_mut(burst.class as usize)
            {
                taught.confidence.push(burst.confidence);
                taught.unknown.push(burst.unknown);
            }
        }
        for taught in &mut out.classes {
            for values in [&mut taught.confidence, &mut taught.unknown] {
                values.sort_unstable_by(f32::total_cmp);
                let all = values.len();
                if all > VALUES {
                    *values = (0..VALUES).map(|at| values[(2 * at + 1) * all / (2 * VALUES)]).collect();
                }
            }
        }
        out
    }

    /// From the lists of a head file: of each class that is `present`, how many values there are, and these.
    pub(crate) fn from_lists(
        classes: usize,
        present: &[usize],
        counts: &[usize],
        confidence: &[f32],
        unknown: &[f32],
    ) -> Option<Self> {
        let total = counts.iter().try_fold(0usize, |sum, &count| sum.checked_add(count));
        let fits = counts.len() == present.len() && total == Some(confidence.len());
        if !fits || unknown.len() != confidence.len() {
            return None;
        }
        let mut out = Self { classes: vec![Taught::default(); classes] };
        let mut from = 0;
        for (&class, &count) in present.iter().zip(counts) {
            let part = from..from + count;
            from += count;
            let rising = |values: &[f32]| values.windows(2).all(|two| two[0] <= two[1]);
            let (confidence, unknown) = (confidence.get(part.clone())?, unknown.get(part)?);
            if !rising(confidence) || !rising(unknown) {
                return None;
            }
            *out.classes.get_mut(class)? =
                Taught { confidence: confidence.to_vec(), unknown: unknown.to_vec() };
        }
        Some(out)
    }

    /// The verdict on a window of bursts; none while it holds too few.
    pub fn assess(&self, window: &[Burst]) -> Option<Assessment> {
        if window.len() < LEAST {
            return None;
        }
        let unknown = window.iter().filter(|burst| burst.unknown > 1.0).count();
        let mut least = 1.0f64;
        let mut tests = 0;
        let mut test = |p: f64| {
            tests += 1;
            least = least.min(p);
            p
        };
        let of = |at: usize| window.iter().filter(move |burst| burst.class as usize == at);
        let mut suspect = (1.0, None);
        for (class, taught) in self.classes.iter().enumerate() {
            // Below 0, so that less sure is larger as well as less typical.
            let taught: Vec<f32> = taught.confidence.iter().rev().map(|value| -value).collect();
            let now: Vec<f32> = of(class).map(|burst| -burst.confidence).collect();
            if now.len().min(taught.len()) >= LEAST_OF_CLASS {
                let p = test(larger(&[(taught, now)]));
                if p < suspect.0 {
                    suspect = (p, Some(class as u32));
                }
            }
        }
        let scores: Vec<(Vec<f32>, Vec<f32>)> = self
            .classes
            .iter()
            .enumerate()
            .map(|(class, taught)| (taught.unknown.clone(), of(class).map(|burst| burst.unknown).collect()))
            .filter(|(taught, now): &(Vec<f32>, Vec<f32>)| !taught.is_empty() && !now.is_empty())
            .collect();
        if !scores.is_empty() {
            test(larger(&scores));
            let all = || self.classes.iter().flat_map(|taught| &taught.unknown);
            let above = all().filter(|score| **score > 1.0).count();
            test(exceeding(all().count(), above, window.len(), unknown));
        }
        let as_ever = as_ever(&scores);
        let p = (least * f64::from(tests.max(1))).min(1.0);
        let drift = match p < LEVEL {
            false => Drift::Same,
            true if as_ever >= STILL_KNOWN => Drift::NewClass,
            true => Drift::NewPlace,
        };
        Some(Assessment { drift, bursts: window.len(), unknown, p, as_ever, class: suspect.1 })
    }
}

/// Frames of one burst, counted without keeping them.
#[derive(Clone, Debug)]
pub struct Tally {
    /// By class of the list: frames predicted so, and their summed confidence.
    classes: Vec<(u32, f32)>,
    unknown: f32,
    frames: u32,
}

impl Tally {
    /// For heads of this many classes.
    pub fn new(classes: usize) -> Self {
        Self { classes: vec![(0, 0.0); classes], unknown: 0.0, frames: 0 }
    }

    /// Counts one frame.
    pub fn add(&mut self, class: u32, confidence: f32, unknown: f32) {
        if let Some(of_class) = self.classes.get_mut(class as usize) {
            of_class.0 += 1;
            of_class.1 += confidence;
            self.frames += 1;
            // One wild frame must not speak for the burst.
            self.unknown += unknown.min(MOST_UNKNOWN);
        }
    }

    /// The burst, if there was a frame; counting starts anew.
    pub fn take(&mut self) -> Option<Burst> {
        let mut class = 0;
        for (at, (frames, _)) in self.classes.iter().enumerate() {
            if *frames > self.classes[class].0 {
                class = at;
            }
        }
        let burst = (self.frames > 0).then(|| {
            let (frames, sum) = self.classes[class];
            Burst {
                class: class as u32,
                confidence: sum / frames.max(1) as f32,
                unknown: self.unknown / self.frames as f32,
            }
        });
        self.classes.fill((0, 0.0));
        (self.unknown, self.frames) = (0.0, 0);
        burst
    }
}

/// Chance that values as large as those now come from the distributions of those taught, in one test over all classes
/// that does not mind how often each is seen: every value counts by its rank among those taught of its class. Ties make
/// the chance larger.
fn larger(classes: &[(Vec<f32>, Vec<f32>)]) -> f64 {
    let mut ranks: Vec<f64> =
        classes.iter().flat_map(|(taught, now)| now.iter().map(|&v| rank(taught, v))).collect();
    ranks.sort_unstable_by(f64::total_cmp);
    let all = ranks.len() as f64;
    // Ranks are uniform where nothing changed, but for the error of the classes' own distributions.
    let distance =
        ranks.iter().enumerate().map(|(at, rank)| rank - (at + 1) as f64 / all).fold(0.0, f64::max);
    let error: f64 =
        classes.iter().map(|(taught, now)| (now.len() as f64 / all).powi(2) / taught.len() as f64).sum();
    (-2.0 * distance * distance / (1.0 / all + error)).exp()
}

/// Part of the values taught (rising) that are smaller.
fn rank(taught: &[f32], value: f32) -> f64 {
    taught.partition_point(|&other| other < value) as f64 / taught.len() as f64
}

/// See [`Assessment::as_ever`]; 1 without scores.
fn as_ever(classes: &[(Vec<f32>, Vec<f32>)]) -> f64 {
    let all: usize = classes.iter().map(|(_, now)| now.len()).sum();
    let typical = classes
        .iter()
        .flat_map(|(taught, now)| now.iter().map(|&v| rank(taught, v)))
        .filter(|rank| *rank < 0.5);
    if all == 0 { 1.0 } else { (2.0 * typical.count() as f64 / all as f64).min(1.0) }
}

/// Chance that at least `seen` of `new` values exceed a threshold that `above` of `old` exchangeable ones exceed.
fn exceeding(old: usize, above: usize, new: usize, seen: usize) -> f64 {
    // P(j exceed) = C(j + above, j)·C(new − j + below, new − j) / C(old + new, new), with `below` values under the
    // one that is the threshold.
    let above = above.min(old - 1);
    let below = old - above - 1;
    let choose = |n: usize, k: usize| -> f64 {
        (0..k.min(n - k)).map(|i| (((n - i) as f64) / ((i + 1) as f64)).ln()).sum()
    };
    let all = choose(old + new, new);
    (seen..=new)
        .map(|j| (choose(j + above, j) + choose(new - j + below, new - j) - all).exp())
        .sum::<f64>()
        .min(1.0)
}
