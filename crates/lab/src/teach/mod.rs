//! `lab teach`: teaches like people do, and compares what the board says of its heads with what they are worth. Without
//! camera, store and clock: labelled embeddings go into the daemon's own state machine, rounds and gate.

mod board;
mod draw;
mod drawn;
mod live;
mod load;
mod peers;
mod pictures;
mod plan;
mod rows;
mod set;
mod situation;
mod truth;

#[cfg(test)]
mod tests;

use crate::bench::peers::python;
use crate::demo::Folder;
use crate::demo::child::program;
use crate::shared;
use anyhow::{Context, Result, bail};
use clap::Args;
use graft::config::{Settings, Sources, Surroundings, load as read_settings};
use graft::lab::{Output, table};
use graft_backbone::Card;
use peers::Beside;
use rows::{Row, Taught};
use serde::Serialize;
use set::Set;
use situation::{SITUATIONS, Situation};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use truth::mean;

/// Teach like people do, and compare what the board says of its heads with the truth
///
/// Sets: clustered numbers and the built-in scene; with the measuring material beside the checkout its embeddings, and
/// its pictures as the backbone embeds them. A line is the mean over draws.
#[derive(Args, Clone, Debug)]
pub struct TeachArgs {
    /// Sets whose name begins so, with commas between them [default: all]
    #[arg(long, value_delimiter = ',')]
    sets: Vec<String>,
    /// Situations, with commas between them [default: all]
    #[arg(long, value_delimiter = ',')]
    situations: Vec<String>,
    /// Print the situations with what they are, and teach nothing
    #[arg(long)]
    list: bool,
    /// Draws of each situation
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    draws: u32,
    /// Seed of the draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// More sets: a folder of .npz files with X_train, y_train, files_train, X_val, y_val, files_val and classes
    #[arg(long, value_name = "DIR")]
    folder: Vec<PathBuf>,
    /// Network that embeds the sets of pictures [default: MobileNetV2 of the measuring material]
    #[arg(long, value_name = "FILE")]
    backbone: Option<PathBuf>,
    /// Its card [default: the .toml file or models.json beside it]
    #[arg(long, value_name = "FILE", requires = "backbone")]
    card: Option<PathBuf>,
    /// Where sets of pictures are kept once they are embedded
    #[arg(long, value_name = "DIR", default_value = "target/teach")]
    cache: PathBuf,
    /// Another value of a setting, as of `graft --set`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Draws at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Teach the real daemon over MQTT, with nothing set: it sees the frames of the stream `bottle` as a camera gives
    /// them, is taught in the first half, and scored in the second
    #[arg(long, conflicts_with_all = ["situations", "draws", "folder", "set", "peers"])]
    daemon: bool,
    /// With --daemon: the program [default: `graft` beside this one]
    #[arg(long, value_name = "PROGRAM", requires = "daemon")]
    graft: Option<PathBuf>,
    /// With --daemon: frames a second; every sixth of the recording is there, so that 5 is its own pace
    #[arg(long, default_value_t = 5.0, requires = "daemon")]
    hz: f64,
    /// Teach scikit-learn the same samples, and print how much better the board's heads are
    #[arg(long)]
    peers: bool,
}

#[derive(Debug, Serialize)]
struct Outcome {
    /// One a set, backbone and situation.
    rows: Vec<Row>,
    /// Over all rows of a situation.
    means: Vec<Mean>,
    /// With --peers: beside scikit-learn, last the mean of each peer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peers: Vec<Beside>,
}

/// The rows of one situation together.
#[derive(Debug, Serialize)]
struct Mean {
    situation: &'static str,
    rows: usize,
    no_head: f64,
    truth: Option<f64>,
    told: Option<f64>,
    within5: Option<f64>,
    covered: Option<f64>,
    width: Option<f64>,
    promoted_worse: Option<f64>,
    kept_better: Option<f64>,
    worst: Option<f64>,
}

pub fn run(args: &TeachArgs, output: Output) -> Result<()> {
    let situations = chosen(&args.situations)?;
    if args.list {
        let line = |situation: &&Situation| vec![situation.name.to_owned(), situation.about.to_owned()];
        return output.line(&table(&["situation", "what happens"], situations.iter().map(line)));
    }
    if args.daemon {
        return live(args, output);
    }
    let settings = settings(&args.set)?;
    let python = args.peers.then(python).flatten();
    if args.peers && python.is_none() {
        output.warn("no peers: this machine has no Python with scikit-learn");
    }
    let sets = sets(args, output)?;
    let (mut rows, mut peers) = (Vec::new(), Vec::new());
    let bar = output.bar((sets.len() * situations.len()) as u64, "teaching");
    for set in &sets {
        for situation in &situations {
            let draws = draws(set, situation, &settings, args);
            rows.extend(Row::of(set, situation, &draws));
            if let Some(python) = python.filter(|_| !draws.is_empty()) {
                peers.extend(peers::beside(python, set, situation.name, &draws)?);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let means = situations.iter().filter_map(|situation| Mean::of(situation.name, &rows)).collect();
    peers.extend(peers::means(&peers));
    output.show(&Outcome { rows, means, peers }, text)
}

/// The network for pictures, with its card.
fn backbone(args: &TeachArgs, output: Output) -> Result<Option<(PathBuf, Card)>> {
    let listed = || shared::folder("models").map(|m| m.join("mobilenetv2_1.0_224_imagenet.onnx"));
    let Some(backbone) = args.backbone.clone().or_else(listed) else { return Ok(None) };
    let card = pictures::card(&backbone, args.card.clone(), output)?;
    Ok(Some((backbone, card)))
}

/// With the real daemon.
fn live(args: &TeachArgs, output: Output) -> Result<()> {
    let stream = shared::folder("data/streams/bottle").context("no stream to play: set GRAFT_SHARED")?;
    let program = program(args.graft.as_deref())?;
    let play = live::Play { program, stream, backbone: backbone(args, output)?, fps: args.hz };
    let folder = Folder::new(None)?;
    output.note(
        "half a minute is taught, then the daemon waits for a quiet moment to learn in; some minutes in all",
    );
    let rows = vec![play.run(&folder.path)?];
    output.show(&Outcome { rows, means: Vec::new(), peers: Vec::new() }, text)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Situation>> {
    if names.is_empty() {
        return Ok(SITUATIONS.iter().collect());
    }
    let named = |name: &String| {
        let known = || SITUATIONS.map(|situation| situation.name).join(", ");
        Situation::named(name)
            .with_context(|| format!("no situation is called {name}; there are {}", known()))
    };
    names.iter().map(named).collect()
}

/// The board's defaults, with nothing of this machine.
fn settings(set: &[String]) -> Result<Settings> {
    let set = std::iter::once("device.id=teach".to_owned()).chain(set.iter().cloned()).collect();
    let nowhere = PathBuf::from("/nonexistent");
    let surroundings = Surroundings { variables: BTreeMap::new(), root: false, system: nowhere };
    Ok(read_settings(&Sources { file: None, set, surroundings })?)
}

fn sets(args: &TeachArgs, output: Output) -> Result<Vec<Set>> {
    let wanted =
        |name: &str| args.sets.is_empty() || args.sets.iter().any(|set| name.starts_with(set.as_str()));
    let mut sets = Vec::new();
    if wanted("numbers") {
        sets.push(drawn::numbers(args.seed));
    }
    if wanted("scene") {
        sets.push(drawn::scene()?);
    }
    let features = shared::folder("data/features");
    for folder in features.iter().chain(&args.folder) {
        sets.extend(load::folder(folder)?.into_iter().filter(|set| wanted(&set.name)));
    }
    match backbone(args, output)? {
        Some((backbone, card)) => {
            let maker = pictures::Maker::new(&backbone, card, args.cache.clone(), output);
            if let Some(folder) = shared::folder("data/trash").filter(|_| wanted("trash")) {
                sets.push(maker.photographs(&folder)?);
            }
            for name in ["bottle", "car"].into_iter().filter(|name| wanted(name)) {
                if let Some(folder) = shared::folder(&format!("data/streams/{name}")) {
                    sets.push(maker.stream(&folder)?);
                }
            }
        }
        None => output.warn("no real pictures: set GRAFT_SHARED"),
    }
    if sets.is_empty() {
        bail!("no set is called {}", args.sets.join(" or "));
    }
    Ok(sets)
}

/// All draws of a situation, in their order; empty where the set has not what it takes.
fn draws(set: &Set, situation: &Situation, settings: &Settings, args: &TeachArgs) -> Vec<Taught> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= args.draws as usize {
                return done;
            }
            let seed = args.seed.wrapping_mul(1_000_003).wrapping_add(at as u64);
            done.extend(rows::teach(set, situation, settings, seed).map(|taught| (at, taught)));
        }
    };
    let mut done: Vec<(usize, Taught)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..args.threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        // One that panicked has told so, and its draws are missing.
        done.extend(others.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, taught)| taught).collect()
}

impl Mean {
    fn of(situation: &'static str, rows: &[Row]) -> Option<Self> {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.situation == situation).collect();
        let over = |figure: fn(&Row) -> Option<f64>| mean(rows.iter().filter_map(|row| figure(row)));
        Some(Self {
            situation,
            rows: rows.len(),
            no_head: mean(rows.iter().map(|row| row.no_head))?,
            truth: over(|row| row.truth),
            told: over(|row| row.told),
            within5: over(|row| row.within5),
            covered: over(|row| row.covered),
            width: over(|row| row.width),
            promoted_worse: over(|row| row.promoted_worse),
            kept_better: over(|row| row.kept_better),
            worst: rows.iter().filter_map(|row| row.worst).reduce(f64::min),
        })
    }
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
}

fn text(outcome: &Outcome) -> String {
    let head = [
        "set",
        "backbone",
        "situation",
        "bursts",
        "no head",
        "asked",
        "truth",
        "balanced",
        "told",
        "within 5",
        "covered",
        "width",
        "shown",
        "worse",
        "kept better",
        "worst",
        "named",
        "s",
        "labels",
    ];
    let line = |row: &Row| {
        let mut line =
            vec![row.set.clone(), row.backbone.clone(), row.situation.to_owned(), row.bursts.to_string()];
        line.extend([format!("{:.2}", row.no_head), format!("{:.2}", row.asked)]);
        let figures = [
            row.truth,
            row.truth_balanced,
            row.told,
            row.within5,
            row.covered,
            row.width,
            row.shown,
            row.promoted_worse,
            row.kept_better,
            row.worst,
            row.named,
        ];
        line.extend(figures.map(figure));
        line.extend([whole(row.seconds), whole(row.labels)]);
        line
    };
    let rows = table(&head, outcome.rows.iter().map(line));
    let head = [
        "situation",
        "rows",
        "no head",
        "truth",
        "told",
        "within 5",
        "covered",
        "width",
        "worse",
        "kept better",
        "worst",
    ];
    let line = |mean: &Mean| {
        let mut line = vec![mean.situation.to_owned(), mean.rows.to_string(), format!("{:.3}", mean.no_head)];
        let figures = [
            mean.truth,
            mean.told,
            mean.within5,
            mean.covered,
            mean.width,
            mean.promoted_worse,
            mean.kept_better,
            mean.worst,
        ];
        line.extend(figures.map(figure));
        line
    };
    if outcome.means.is_empty() {
        return rows;
    }
    let means = table(&head, outcome.means.iter().map(line));
    format!("{rows}\nover all sets\n\n{means}{}", beside(&outcome.peers))
}

fn beside(peers: &[Beside]) -> String {
    if peers.is_empty() {
        return String::new();
    }
    let points = |value: f64| format!("{:+.1}", 100.0 * value);
    let line = |row: &Beside| {
        let mut line =
            vec![row.set.clone(), row.backbone.clone(), row.situation.to_owned(), row.peer.to_owned()];
        line.extend([points(row.accuracy), points(row.balanced)]);
        line
    };
    let all =
        table(&["set", "backbone", "situation", "peer", "accuracy", "balanced"], peers.iter().map(line));
    format!("\npoints above scikit-learn\n\n{all}")
}
