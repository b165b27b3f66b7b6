//! `lab bench head`: the solvers and kernels beside other programs, in one run, each on one thread.

use super::limits::{Limits, cpu_ms, limits, machine, median_ms};
use super::{peers, sets};
use crate::shared;
use anyhow::Result;
use clap::Args;
use graft::lab::{Output, table};
use graft_learn::{Alone, Snapshot, lab};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;

/// How near to the optimum a solver has to come, relative to it.
const GAP: f64 = 1e-4;
/// λ of the ridge that linear discriminant analysis is held against.
const LAMBDA: f64 = 1e-2;

/// Solve softmax and ridge beside scikit-learn, matrixmultiply and plain loops
///
/// Times are CPU milliseconds of one thread, medians where a run is short. The objective is scikit-learn's at C = 1,
/// driven to 1e-4 of the optimum that a long run finds. Without a Python that has scikit-learn its rows are left out.
#[derive(Args, Clone, Debug)]
pub struct HeadArgs {
    /// Only a few of the sizes
    #[arg(long)]
    quick: bool,
    /// Only sizes with so many samples, and no real embeddings
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Folder of .npz files with real embeddings [default: data/features of $GRAFT_SHARED or ../shared]
    #[arg(long, value_name = "DIR")]
    features: Option<PathBuf>,
}

/// The outcome. Its keys are a contract: keep them.
#[derive(Debug, Serialize)]
struct Outcome {
    machine: String,
    peak_gflops: f64,
    bandwidth_gbs: f64,
    rows: Vec<Row>,
    /// One pass of the kernels for each size.
    kernels: Vec<Kernel>,
}

/// Ours against one peer. `ratio` is `peer_ms / ours_ms`; gaps are relative to the optimum.
#[derive(Debug, Serialize)]
struct Row {
    source: String,
    n: usize,
    d: usize,
    c: usize,
    solver: &'static str,
    ours_ms: f64,
    ours_gap: Option<f64>,
    peer: String,
    peer_ms: f64,
    peer_gap: Option<f64>,
    ratio: f64,
}

/// How near one loss and gradient comes to what the core could do.
#[derive(Debug, Serialize)]
struct Kernel {
    source: String,
    n: usize,
    d: usize,
    c: usize,
    ms: f64,
    gflops: f64,
    /// Of the time that the smaller of peak and bandwidth allows at least.
    roofline: f64,
}

pub fn run(args: &HeadArgs, output: Output) -> Result<()> {
    let python = peers::python();
    if python.is_none() {
        output.warn("no python3 here has scikit-learn: its rows are left out; `make deps-bench` installs it");
    }
    let Limits { gflops, gbs } = limits();
    let mut bench =
        Bench { limits: Limits { gflops, gbs }, python, output, rows: Vec::new(), kernels: Vec::new() };
    let sizes = grid(args.quick).into_iter();
    for (n, d, c) in sizes.filter(|(n, ..)| args.samples.is_none_or(|samples| samples == *n)) {
        bench.measure("synthetic", &sets::synthetic(n, d, c, 1))?;
    }
    match args.features.clone().or_else(|| shared::folder("data/features")) {
        _ if args.samples.is_some() => {}
        Some(folder) => {
            let sets = sets::real(&folder)?;
            let few = if args.quick { 1 } else { sets.len() };
            for (name, snapshot) in sets.into_iter().rev().take(few) {
                bench.measure(&name, &snapshot)?;
            }
        }
        None => output.warn("no real embeddings: name a folder with --features, or set GRAFT_SHARED"),
    }
    let outcome = Outcome {
        machine: machine(),
        peak_gflops: gflops,
        bandwidth_gbs: gbs,
        rows: bench.rows,
        kernels: bench.kernels,
    };
    output.show(&outcome, text)
}

/// Samples, width, classes.
fn grid(quick: bool) -> Vec<(usize, usize, usize)> {
    let all = |n: &[usize], d: &[usize], c: &[usize]| {
        let pairs = n.iter().flat_map(|&n| d.iter().map(move |&d| (n, d)));
        pairs.flat_map(|(n, d)| c.iter().map(move |&c| (n, d, c))).collect()
    };
    match quick {
        true => all(&[200, 1000], &[1280], &[2, 10]),
        false => all(&[200, 1000, 5000, 20_000], &[576, 1280, 2048], &[2, 10, 50]),
    }
}

struct Bench {
    limits: Limits,
    python: Option<&'static str>,
    output: Output,
    rows: Vec<Row>,
    kernels: Vec<Kernel>,
}

impl Bench {
    fn measure(&mut self, source: &str, snapshot: &Snapshot) -> Result<()> {
        let (n, d, c) = (snapshot.len(), snapshot.width, snapshot.classes);
        self.output.note(&format!("{source} {n} x {d} x {c}"));
        let best = lab::logistic(snapshot, 1.0, 1e-9, &Alone)?.objective;
        let mut found = lab::logistic(snapshot, 1.0, GAP, &Alone)?;
        let softmax = median_ms(|| {
            if let Ok(again) = lab::logistic(black_box(snapshot), 1.0, GAP, &Alone) {
                found = again;
            }
        });
        let gap = found.objective / best - 1.0;
        let row = |solver, ours_ms, ours_gap, peer: &str, peer_ms, peer_gap| Row {
            source: source.to_owned(),
            n,
            d,
            c,
            solver,
            ours_ms,
            ours_gap,
            peer: peer.to_owned(),
            peer_ms,
            peer_gap,
            ratio: peer_ms / ours_ms,
        };
        if let Some(python) = self.python {
            let ridge = cpu_ms(|| {
                black_box(lab::ridge(snapshot, LAMBDA)).ok();
            });
            for peer in peers::measure(python, snapshot, best, GAP)? {
                if !peer.reached {
                    self.output.warn(&format!("{} stopped at a gap of {:?}", peer.peer, peer.gap));
                }
                self.rows.push(match peer.gap {
                    Some(_) => row("softmax", softmax, Some(gap), &peer.peer, peer.ms, peer.gap),
                    None => row("ridge", ridge, None, &peer.peer, peer.ms, None),
                });
            }
        }
        let pass = lab::Pass::new(snapshot);
        let fused = median_ms(|| drop(black_box(pass.fused())));
        let product = median_ms(|| drop(black_box(pass.product())));
        let naive = cpu_ms(|| drop(black_box(pass.naive())));
        self.rows.push(row("pass", fused, None, "matrixmultiply", product, None));
        self.rows.push(row("pass", fused, None, "naive", naive, None));
        let least = (pass.flops() / self.limits.gflops).max((2 * n * d) as f64 / self.limits.gbs) / 1e6;
        let gflops = pass.flops() / fused / 1e6;
        let source = source.to_owned();
        self.kernels.push(Kernel { source, n, d, c, ms: fused, gflops, roofline: least / fused });
        Ok(())
    }
}

fn text(outcome: &Outcome) -> String {
    type Size = (String, usize, usize, usize);
    let size =
        |source: &str, n: usize, d: usize, c: usize| vec![source.to_owned(), format!("{n} x {d} x {c}")];
    let mut sizes: Vec<Size> = Vec::new();
    let mut of: BTreeMap<Size, Vec<&Row>> = BTreeMap::new();
    for row in &outcome.rows {
        let key = (row.source.clone(), row.n, row.d, row.c);
        of.entry(key.clone()).or_default().push(row);
        if sizes.last() != Some(&key) {
            sizes.push(key);
        }
    }
    let peer = |rows: &[&Row], name: &str| match rows.iter().find(|row| row.peer == name) {
        Some(row) if row.peer_gap.is_some_and(|gap| gap > GAP) => {
            format!("{:.1} ({:.0}x, gap {:.0e})", row.peer_ms, row.ratio, row.peer_gap.unwrap_or_default())
        }
        Some(row) => format!("{:.1} ({:.1}x)", row.peer_ms, row.ratio),
        None => String::new(),
    };
    let solvers = sizes.iter().map(|key| {
        let rows = &of[key];
        let ours = |solver| rows.iter().find(|row| row.solver == solver);
        let ms = |solver| ours(solver).map_or_else(String::new, |row| format!("{:.1}", row.ours_ms));
        let gap =
            ours("softmax").and_then(|row| row.ours_gap).map_or_else(String::new, |gap| format!("{gap:.0e}"));
        let mut line = size(&key.0, key.1, key.2, key.3);
        line.extend([ms("softmax"), gap]);
        line.extend(
            ["raw-1e-4", "centred-1e-4", "raw-default"].map(|p| peer(rows, &format!("sklearn-lbfgs-{p}"))),
        );
        line.extend([ms("ridge"), peer(rows, "sklearn-lda")]);
        line
    });
    let solvers = table(
        &[
            "source",
            "n x d x C",
            "softmax",
            "gap",
            "raw to 1e-4",
            "centred to 1e-4",
            "raw, default",
            "ridge",
            "LDA",
        ],
        solvers.filter(|line| !line[2].is_empty()),
    );
    let kernels = outcome.kernels.iter().map(|kernel| {
        let rows = &of[&(kernel.source.clone(), kernel.n, kernel.d, kernel.c)];
        let mut line = size(&kernel.source, kernel.n, kernel.d, kernel.c);
        line.extend([format!("{:.2}", kernel.ms), format!("{:.1}", kernel.gflops)]);
        line.push(format!("{:.0} %", 100.0 * kernel.roofline));
        line.extend(["matrixmultiply", "naive"].map(|name| peer(rows, name)));
        line
    });
    let kernels = table(
        &["source", "n x d x C", "pass", "GFLOP/s", "of roofline", "matrixmultiply", "naive loops"],
        kernels,
    );
    format!(
        "{}: {:.0} GFLOP/s at most, {:.1} GB/s from memory\n\nCPU milliseconds of one thread; how many times ours in \
         brackets\n\n{solvers}\n{kernels}",
        outcome.machine, outcome.peak_gflops, outcome.bandwidth_gbs
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_contract_are_there() {
        let output = Output { json: true, quiet: true };
        let limits = Limits { gflops: 100.0, gbs: 10.0 };
        let mut bench = Bench { limits, python: None, output, rows: Vec::new(), kernels: Vec::new() };
        bench.measure("synthetic", &sets::synthetic(60, 24, 3, 1)).unwrap();
        let rows = serde_json::to_value(&bench.rows).unwrap();
        let keys = [
            "source", "n", "d", "c", "solver", "ours_ms", "ours_gap", "peer", "peer_ms", "peer_gap", "ratio",
        ];
        assert_eq!(rows[0].as_object().unwrap().len(), keys.len());
        assert!(keys.iter().all(|key| rows[0].get(key).is_some()), "{rows}");
        assert_eq!([&rows[0]["peer"], &rows[1]["peer"]], ["matrixmultiply", "naive"]);
        assert_eq!(grid(false).len(), 36);
    }
}
