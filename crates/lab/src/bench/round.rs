//! `lab bench round`: whole rounds beside one softmax solve, and how soon a head is good enough.

use super::limits::{machine, median_ms};
use super::sets;
use anyhow::Result;
use clap::Args;
use graft::lab::BackboneArgs;
use graft::lab::{Output, table};
use graft_camera::pattern::{PatternSettings, Scene};
use graft_learn::{Alone, Head, Options, Snapshot, evaluate, lab, train};
use serde::Serialize;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A head within this of the best accuracy is good enough.
const NEAR: f64 = 0.005;

/// Time complete rounds, and the softmax solve until it is as accurate as it will be
///
/// CPU milliseconds of one thread. With --backbone, one embedding of a frame is timed beside them.
#[derive(Args, Clone, Debug)]
pub struct RoundArgs {
    /// ONNX file of a backbone whose embedding of one frame is timed as well, or the word `tiny`
    #[arg(long, value_name = "FILE")]
    backbone: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    machine: String,
    rounds: Vec<Round>,
    accurate: Accurate,
    embed_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Round {
    n: usize,
    d: usize,
    c: usize,
    softmax_ms: f64,
    round_ms: f64,
    ratio: f64,
}

/// The loosest solve within half a point of the best validation accuracy.
#[derive(Debug, Serialize)]
struct Accurate {
    n: usize,
    d: usize,
    c: usize,
    best_accuracy: f64,
    accuracy: f64,
    passes: usize,
    ms: f64,
}

pub fn run(args: &RoundArgs, output: Output) -> Result<()> {
    let mut rounds = Vec::new();
    for (n, d, c) in [(200, 1280, 10), (1000, 1280, 10), (5000, 1280, 10)] {
        let snapshot = sets::synthetic(n, d, c, 1);
        let softmax_ms = median_ms(|| drop(black_box(lab::logistic(&snapshot, 1.0, 1e-4, &Alone))));
        let options = Options::default();
        let round_ms = median_ms(|| {
            drop(black_box(train(&snapshot, &options, &Alone, &mut |_| ControlFlow::Continue(()))));
        });
        rounds.push(Round { n, d, c, softmax_ms, round_ms, ratio: round_ms / softmax_ms });
    }
    let embed_ms = args.backbone.clone().map(|file| embed_ms(file, output)).transpose()?;
    let outcome = Outcome { machine: machine(), rounds, accurate: accurate(5000, 1280, 10)?, embed_ms };
    output.show(&outcome, text)
}

fn embed_ms(backbone: PathBuf, output: Output) -> Result<f64> {
    let args = BackboneArgs { backbone, card: None, features: None, threads: 1 };
    let mut backbone = args.load(&args.card(output)?)?;
    let frame = Scene::new(PatternSettings::default()).render(0);
    Ok(median_ms(|| drop(black_box(backbone.embed(&frame, None)))))
}

fn accurate(n: usize, d: usize, c: usize) -> Result<Accurate> {
    let (snapshot, fresh) = (sets::synthetic(n, d, c, 1), sets::synthetic(2000, d, c, 2));
    let right = |found: &lab::Logistic| accuracy(found, &fresh);
    let best_accuracy = right(&lab::logistic(&snapshot, 1.0, 1e-6, &Alone)?);
    let mut gap = 1.0;
    loop {
        let found = lab::logistic(&snapshot, 1.0, gap, &Alone)?;
        let accuracy = right(&found);
        if accuracy >= best_accuracy - NEAR || gap < 1e-6 {
            let ms = median_ms(|| drop(black_box(lab::logistic(&snapshot, 1.0, gap, &Alone))));
            return Ok(Accurate { n, d, c, best_accuracy, accuracy, passes: found.passes, ms });
        }
        gap /= 2.0;
    }
}

/// Of more than two classes.
fn accuracy(found: &lab::Logistic, fresh: &Snapshot) -> f64 {
    let head = Head {
        classes: fresh.classes,
        width: fresh.width,
        weight: found.weight.clone(),
        bias: found.bias.clone(),
        temperature: 1.0,
        reject: None,
    };
    evaluate(&head, fresh).accuracy.value
}

fn text(outcome: &Outcome) -> String {
    let rows = outcome.rounds.iter().map(|round| {
        vec![
            format!("{} x {} x {}", round.n, round.d, round.c),
            format!("{:.1}", round.softmax_ms),
            format!("{:.1}", round.round_ms),
            format!("{:.1}x", round.ratio),
        ]
    });
    let rounds = table(&["n x d x C", "softmax to 1e-4", "complete round", ""], rows);
    let a = &outcome.accurate;
    let embed = outcome.embed_ms.map_or_else(String::new, |ms| format!("\none frame embedded: {ms:.1} ms"));
    format!(
        "{}\nCPU milliseconds of one thread\n\n{rounds}\n{} x {} x {}: {:.1} % of new samples right after {} passes, \
         {:.1} ms (best {:.1} %){embed}",
        outcome.machine,
        a.n,
        a.d,
        a.c,
        100.0 * a.accuracy,
        a.passes,
        a.ms,
        100.0 * a.best_accuracy
    )
}
