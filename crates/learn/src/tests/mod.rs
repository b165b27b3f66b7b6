//! Tests of whole rounds.

mod drifting;
mod exactness;
pub(crate) mod features;
mod figures;
mod honesty;
mod judging;
mod robustness;
mod spectra;
mod threads;
mod traps;

use std::ops::ControlFlow;

use super::{Alone, LearnError, Options, Round, Snapshot, train};

/// A round without anyone watching.
pub(crate) fn round(snapshot: &Snapshot, options: &Options) -> Result<Round, LearnError> {
    train(snapshot, options, &Alone, &mut |_| ControlFlow::Continue(()))
}

/// A number from the normal distribution (sum of twelve uniform ones, near enough).
pub(crate) fn normal(random: &mut fastrand::Rng) -> f32 {
    (0..12).map(|_| random.f32()).sum::<f32>() - 6.0
}

/// How synthetic embeddings are made.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub width: usize,
    pub classes: usize,
    pub bursts: usize,
    pub per_burst: usize,
    /// Spread of class centres, of bursts about their class, of frames about their burst.
    pub spread: [f32; 3],
    pub seed: u64,
}

/// Clusters of classes, of bursts in a class, of frames in a burst. The class centres are the same for every seed,
/// so another seed gives an independent set of the same kind.
pub(crate) fn clusters(recipe: Recipe) -> Snapshot {
    let mut centres = fastrand::Rng::with_seed(99);
    let mut random = fastrand::Rng::with_seed(recipe.seed);
    let mut snapshot = Snapshot::new(recipe.width, recipe.classes);
    let [class_spread, burst_spread, frame_spread] = recipe.spread;
    let mut burst = 0;
    for class in 0..recipe.classes as u32 {
        let centre: Vec<f32> = (0..recipe.width).map(|_| class_spread * normal(&mut centres)).collect();
        for _ in 0..recipe.bursts {
            burst += 1;
            let place: Vec<f32> = centre.iter().map(|c| c + burst_spread * normal(&mut random)).collect();
            for _ in 0..recipe.per_burst {
                let row: Vec<f32> = place.iter().map(|p| p + frame_spread * normal(&mut random)).collect();
                snapshot.push(&row, class, burst).unwrap();
            }
        }
    }
    snapshot
}
