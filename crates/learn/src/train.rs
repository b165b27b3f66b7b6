//! One round: candidates, their figures on bursts they never saw, the choice, the final head.

use std::ops::ControlFlow;

use super::advice::{self, Advice};
use super::calibration::largest;
use super::candidates::{self, STEPS, Step, Trained};
use super::coordinates::Coordinates;
use super::curve::{Curve, CurvePoint};
use super::drift::Reference;
use super::evaluation::{Judged, Report, report};
use super::head::{ABSENT_BIAS, Head};
use super::held_out::HeldOut;
use super::notes::Note;
use super::options::{Choice, Method, Options, Progress};
use super::problem::Problem;
use super::reject::{self, Reject};
use super::snapshot::{LearnError, Snapshot};
use super::suspects::{Suspect, mislabelled, suspects};
use super::workers::Workers;

/// A trained head with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// How the head was trained.
    pub method: Method,
    /// Trained on every sample of the snapshot.
    pub head: Head,
    /// Figures of the held-out predictions.
    pub report: Report,
    /// Everything that was tried, the winner included.
    pub candidates: Vec<Candidate>,
    /// Per sample of the snapshot, in its order.
    pub held_out: Vec<HeldOut>,
    /// Labels that the other bursts speak against, worst first.
    pub suspects: Vec<Suspect>,
    /// Whether a label is so surely wrong that figures and comparisons are truer without the sample, per sample of the
    /// snapshot.
    pub mislabelled: Vec<bool>,
    /// Part of the bursts of a class that a head of the folds was trained on, 0…1.
    pub part: f64,
    /// Accuracy of ridge against the number of bursts, rising; empty for imprint alone.
    pub curve: Vec<CurvePoint>,
    /// What would help most.
    pub advice: Advice,
    /// What the round had to do without; empty but for faults of the program. Every number of the round is finite all the
    /// same.
    pub notes: Vec<Note>,
}

/// One method of a round.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The method.
    pub method: Method,
    /// Its L2 penalty, as a multiple of the mean square norm of the centred embeddings; 0 for imprint.
    pub lambda: f64,
    /// Figures of its held-out predictions.
    pub report: Report,
}

/// Trains a head on a snapshot. Same snapshot and options → the same round, bit for bit.
///
/// Every figure is cross-fitted: each burst is judged by a head that never saw it, on folds of bursts that are balanced
/// as the snapshot is and the same for every method. Softmax is taken unless another method has a clearly lower log-loss
/// on them. `progress` is called before every λ and every pass of softmax; `Break` cancels.
/// Classes of the list without samples are allowed and never predicted.
///
/// # Errors
/// [`LearnError::Shape`] and [`LearnError::NonFinite`] for a broken snapshot, [`LearnError::NotEnough`] with fewer
/// than two classes that have samples, [`LearnError::Diverged`] where no head of finite numbers came out,
/// [`LearnError::Cancelled`].
pub fn train(
    snapshot: &Snapshot,
    options: &Options,
    workers: &dyn Workers,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Round, LearnError> {
    let mut step = |phase, done| match progress(Progress { phase, done, total: STEPS.max(done) }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(LearnError::Cancelled),
    };
    step("ridge", 0)?;
    let problem = Problem::new(snapshot, options.folds, options.seed, &mut || step("ridge", 0))?;
    let mut trained = Vec::new();
    let mut curve = None;
    let mut notes = Vec::new();
    let tiny = class_bursts(&problem).contains(&1);
    let wanted = |method| match options.choice {
        Choice::Auto => method != Method::Imprint || tiny,
        Choice::Only(only) => method == only,
    };
    if options.choice != Choice::Only(Method::Imprint) {
        let coordinates = Coordinates::of(&problem, &mut notes, &mut || step("ridge", 0))?;
        let mut solve = |coordinates: Option<&Coordinates>| {
            solve(&problem, coordinates, &wanted, options.seed, workers, &mut step)
        };
        (trained, curve) = solve(coordinates.as_ref())?;
        let mut left_out = leave_out_unsound(&problem, snapshot, &mut trained);
        if trained.is_empty() && coordinates.is_some() {
            notes.push(Note::AllNumbers);
            (trained, curve) = solve(None)?;
            left_out = leave_out_unsound(&problem, snapshot, &mut trained);
        }
        notes.extend(left_out);
    }
    if wanted(Method::Imprint) {
        let mut imprint = vec![candidates::imprint(&problem, &mut step)?];
        notes.extend(leave_out_unsound(&problem, snapshot, &mut imprint));
        trained.append(&mut imprint);
    }
    trained.sort_by_key(|trained| trained.method);
    conclude(&problem, snapshot, options, Tried { trained, curve, notes }, workers, &mut step)
}

/// Ridge, softmax and their blend, those that are wanted, judged in these coordinates or in all numbers; and the learning
/// curve.
fn solve(
    problem: &Problem,
    coordinates: Option<&Coordinates>,
    wanted: &dyn Fn(Method) -> bool,
    seed: u64,
    workers: &dyn Workers,
    step: Step,
) -> Result<(Vec<Trained>, Option<Curve>), LearnError> {
    let mut trained = Vec::new();
    let few = coordinates.map(|coordinates| coordinates.problem(problem));
    let few = few.as_ref().unwrap_or(problem);
    let mut ridge = candidates::ridge(few, step)?;
    let curve = ridge.is_finite().then(|| Curve::measure(few, &ridge, seed, step)).transpose()?;
    if let Some(coordinates) = coordinates {
        coordinates.expand(problem, &mut ridge.linear);
    }
    if wanted(Method::Softmax) || wanted(Method::Blend) {
        let mut softmax = candidates::softmax(few, workers, step)?;
        if let Some(coordinates) = coordinates {
            coordinates.expand(problem, &mut softmax.linear);
            if !coordinates.are_all() {
                candidates::go_on(problem, &mut softmax, workers, step)?;
            }
        }
        if wanted(Method::Blend) {
            trained.push(candidates::blend(few, &ridge, &softmax, &mut || step("softmax", STEPS))?);
        }
        trained.extend(wanted(Method::Softmax).then_some(softmax));
    }
    trained.extend(wanted(Method::Ridge).then_some(ridge));
    Ok((trained, curve))
}

/// Takes out the candidates whose figures or head, in the precision that heads have, are not finite: a loss that is not a
/// number would win or lose against every other by the order of comparison alone.
fn leave_out_unsound(problem: &Problem, snapshot: &Snapshot, trained: &mut Vec<Trained>) -> Vec<Note> {
    let unsound = |trained: &mut Trained| {
        !(trained.is_finite() && head(problem, snapshot, trained, None).check().is_ok())
    };
    trained.extract_if(.., unsound).map(|lost| Note::LeftOut(lost.method)).collect()
}

/// What the methods of a round gave, sound candidates only.
struct Tried {
    trained: Vec<Trained>,
    curve: Option<Curve>,
    notes: Vec<Note>,
}

fn conclude(
    problem: &Problem,
    snapshot: &Snapshot,
    options: &Options,
    Tried { mut trained, curve, mut notes }: Tried,
    workers: &dyn Workers,
    step: Step,
) -> Result<Round, LearnError> {
    if trained.is_empty() {
        return Err(LearnError::Diverged { samples: snapshot.len() });
    }
    let best = choose(problem, &trained);
    let chosen = held_out(problem, &trained[best]);
    let wrong = mislabelled(&snapshot.labels, &snapshot.bursts, &chosen);
    candidates::without(problem, &mut trained[best], &wrong, workers, step)?;
    let proceed = &mut || step("evaluation", 0);
    let mut candidates = Vec::with_capacity(trained.len());
    for trained in &trained {
        proceed()?;
        let report = judge(problem, snapshot, &held_out(problem, trained), &wrong);
        candidates.push(Candidate { method: trained.method, lambda: trained.lambda, report });
    }
    let fitted = reject::fit(problem, &trained[best].held_out, options.reject_rate, proceed)?;
    let reject = fitted.and_then(|(mut reject, scores): (Reject, Vec<f32>)| {
        let mut unknown = vec![f32::NAN; problem.len()];
        problem.order.iter().zip(scores).for_each(|(&row, score)| unknown[row as usize] = score);
        let (labels, bursts) = (&snapshot.labels, &snapshot.bursts);
        reject.usual = Reference::new(labels, bursts, &chosen, &unknown, snapshot.classes);
        let sound = reject.check(snapshot.width, snapshot.classes).is_ok();
        notes.extend((!sound).then_some(Note::NoUnknown));
        sound.then_some(reject)
    });
    let head = head(problem, snapshot, &trained[best], reject);
    proceed()?;
    let (curve, doubled) = curve
        .map(|curve| curve.conclude(problem, &trained[best].held_out, options.bootstrap, options.seed))
        .unzip();
    let report = candidates[best].report.clone();
    let similarity = advice::similarity(problem, report.balanced_accuracy.value);
    Ok(Round {
        suspects: suspects(&snapshot.labels, &snapshot.bursts, &chosen),
        mislabelled: wrong,
        part: problem.part(),
        curve: curve.unwrap_or_default(),
        advice: advice::advise(&report, doubled, similarity, options.target),
        method: trained[best].method,
        head,
        report,
        candidates,
        held_out: chosen,
        notes,
    })
}

/// Bursts of each class that has samples.
fn class_bursts(problem: &Problem) -> Vec<usize> {
    let mut seen = vec![Vec::new(); problem.classes()];
    for (&label, &row) in problem.labels.iter().zip(&problem.order) {
        seen[label].push(problem.burst(row));
    }
    let distinct = |mut bursts: Vec<u64>| {
        bursts.sort_unstable();
        bursts.dedup();
        bursts.len()
    };
    seen.into_iter().map(distinct).collect()
}

/// Class means where no class has a second burst: nothing can be judged then, and they are the best guess. Else softmax,
/// unless another method is clearly better on the same folds; without softmax the one of least loss.
fn choose(problem: &Problem, trained: &[Trained]) -> usize {
    let first = class_bursts(problem).into_iter().all(|bursts| bursts == 1);
    if let Some(imprint) = trained.iter().position(|trained| first && trained.method == Method::Imprint) {
        return imprint;
    }
    let loss = |at: &usize| trained[*at].losses.iter().sum::<f64>();
    let least = |among: &mut dyn Iterator<Item = usize>| among.min_by(|a, b| loss(a).total_cmp(&loss(b)));
    match trained.iter().position(|trained| trained.method == Method::Softmax) {
        Some(usual) => {
            let better = |at: &usize| trained[*at].is_clearly_better(&trained[usual], problem);
            least(&mut (0..trained.len()).filter(better)).unwrap_or(usual)
        }
        None => least(&mut (0..trained.len())).unwrap_or_default(),
    }
}

/// Figures of held-out predictions, without the samples that are surely mislabelled unless that leaves a class without any.
fn judge(problem: &Problem, snapshot: &Snapshot, held_out: &[HeldOut], wrong: &[bool]) -> Report {
    let mut kept: Vec<usize> = (0..snapshot.len()).filter(|&row| !wrong[row]).collect();
    let mut seen: Vec<u32> = kept.iter().map(|&row| snapshot.labels[row]).collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < problem.classes() {
        kept = (0..snapshot.len()).collect();
    }
    let labels: Vec<u32> = kept.iter().map(|&row| snapshot.labels[row]).collect();
    let bursts: Vec<u64> = kept.iter().map(|&row| snapshot.bursts[row]).collect();
    let predicted: Vec<u32> = kept.iter().map(|&row| held_out[row].predicted).collect();
    let confidence: Vec<f32> = kept.iter().map(|&row| held_out[row].confidence).collect();
    let judged = Judged {
        labels: &labels,
        bursts: &bursts,
        predicted: &predicted,
        confidence: &confidence,
        classes: snapshot.classes,
    };
    let report = report(&judged, Some(problem.part()));
    Report { left_out: snapshot.len() - kept.len(), ..report }
}

/// Held-out predictions in the order of the snapshot.
fn held_out(problem: &Problem, trained: &Trained) -> Vec<HeldOut> {
    let blank = HeldOut { predicted: 0, confidence: 0.0, margin: 0.0 };
    let mut out = vec![blank; problem.len()];
    for ((row, &label), &i) in
        trained.held_out.chunks_exact(problem.classes()).zip(&problem.labels).zip(&problem.order)
    {
        let class = largest(row);
        let sum: f64 = row.iter().map(|score| ((score - row[class]) / trained.temperature).exp()).sum();
        let others = row.iter().enumerate().filter(|(other, _)| *other != label);
        let rival = others.map(|(_, &score)| score).fold(f64::NEG_INFINITY, f64::max);
        out[i as usize] = HeldOut {
            predicted: problem.present[class] as u32,
            confidence: (1.0 / sum) as f32,
            margin: ((row[label] - rival) / trained.temperature) as f32,
        };
    }
    out
}

fn head(problem: &Problem, snapshot: &Snapshot, trained: &Trained, reject: Option<Reject>) -> Head {
    let width = snapshot.width;
    let mut linear = trained.linear.clone();
    linear.centre();
    let (weight, bias) = linear.unfold(problem);
    let mut head = Head {
        classes: snapshot.classes,
        width,
        weight: vec![0.0; snapshot.classes * width],
        bias: vec![ABSENT_BIAS; snapshot.classes],
        temperature: trained.temperature as f32,
        reject,
    };
    for (at, &class) in problem.present.iter().enumerate() {
        head.weight[class * width..(class + 1) * width]
            .copy_from_slice(&weight[at * width..(at + 1) * width]);
        head.bias[class] = bias[at];
    }
    head
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Recipe, clusters};
    use super::super::workers::Alone;
    use super::*;

    type Spoil = fn(&mut Trained);

    const SPOILS: [Spoil; 6] = [
        |t| t.linear.weight[3] = f64::NAN,
        // Finite, but not in the precision of a head.
        |t| t.linear.weight[3] = 1e300,
        |t| t.linear.bias[1] = f64::NEG_INFINITY,
        |t| t.held_out[5] = f64::INFINITY,
        |t| t.temperature = f64::NAN,
        |t| t.losses[2] = f64::NAN,
    ];

    #[test]
    fn a_candidate_that_is_not_finite_never_hides_a_good_one() {
        let recipe =
            Recipe { width: 16, classes: 3, bursts: 5, per_burst: 3, spread: [1.0, 0.4, 0.3], seed: 1 };
        let snapshot = clusters(recipe);
        let problem = Problem::new(&snapshot, 5, 0, &mut || Ok(())).unwrap();
        let options = Options { bootstrap: 10, ..Options::default() };
        let all = |spoil: Spoil, which: &[usize]| {
            let step = &mut |_: &'static str, _: usize| Ok(());
            let mut all = vec![
                candidates::imprint(&problem, step).unwrap(),
                candidates::ridge(&problem, step).unwrap(),
            ];
            which.iter().for_each(|&at| spoil(&mut all[at]));
            let notes = leave_out_unsound(&problem, &snapshot, &mut all);
            let tried = Tried { trained: all, curve: None, notes };
            conclude(&problem, &snapshot, &options, tried, &Alone, step)
        };
        for spoil in SPOILS {
            for (bad, good) in [(0, Method::Ridge), (1, Method::Imprint)] {
                let round = all(spoil, &[bad]).unwrap();
                assert_eq!(round.method, good);
                round.head.check().unwrap();
                assert!(round.report.accuracy.value > 0.9);
                assert_eq!(round.notes, [Note::LeftOut([Method::Imprint, Method::Ridge][bad])]);
            }
            assert_eq!(all(spoil, &[0, 1]).unwrap_err(), LearnError::Diverged { samples: snapshot.len() });
        }
        assert_eq!(all(|_| {}, &[0, 1]).unwrap().notes, []);
    }
}
