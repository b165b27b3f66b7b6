//! `graft eval`: how good a head on this backbone gets, judged on pictures it never saw.

use super::embedding::{BackboneArgs, Embedded, Skipped};
use super::failure::Usage;
use super::output::{Output, confusion, percent, table};
use super::pictures::{self, Folder};
use crate::config::choice;
use anyhow::Result;
use clap::Args;
use graft_learn::{self as learn, Alone, CurvePoint, Next, Options, Report, Round, Snapshot, Suspect};
use graft_store::group_pictures;
use regex::Regex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Train a head on one folder of pictures and judge it on another
///
/// Both folders hold one folder of pictures a class. Every choice is made on --train alone; --val is only judged.
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    backbone: BackboneArgs,
    /// Pictures to train on, one folder a class
    #[arg(long, value_name = "DIR")]
    train: PathBuf,
    /// Pictures to judge on, one folder a class
    #[arg(long, value_name = "DIR")]
    val: PathBuf,
    /// Pictures whose file names agree in the first capture group of REGEX are one burst: never split while
    /// choosing [default: found by the names of the files, else by how alike pictures are]
    #[arg(long, value_name = "REGEX", value_parser = groups)]
    groups: Option<Regex>,
    /// Head to train
    #[arg(long, default_value = "auto", value_parser = ["auto", "imprint", "ridge", "softmax"])]
    head: String,
    /// Seed of folds and intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn groups(text: &str) -> Result<Regex, String> {
    let regex = Regex::new(text).map_err(|e| e.to_string())?;
    match regex.captures_len() {
        1 => Err("it has no capture group; put ( ) around the part that names the burst".to_owned()),
        _ => Ok(regex),
    }
}

/// The outcome. Its keys are a contract: keep them.
#[derive(Debug, Serialize)]
struct Outcome {
    val_accuracy: f64,
    balanced_accuracy: f64,
    n_val: usize,
    lobo_accuracy: f64,
    lobo_interval: [f64; 2],
    ece: f64,
    embed_ms_per_image: f64,
    train_ms: f64,
    head: &'static str,
    /// `[truth][said]`, in the order of `classes`.
    confusion: Vec<Vec<u32>>,
    val_interval: [f64; 2],
    n_train: usize,
    train_bursts: usize,
    /// What was assumed of pictures taken together; none with --groups.
    assumed: Option<String>,
    classes: Vec<String>,
    recall: Vec<Option<f64>>,
    width: usize,
    skipped: Vec<Skipped>,
    /// What would help most, measured against `target`.
    advice: &'static str,
    /// Classes that need more labels, the neediest first.
    advice_classes: Vec<String>,
    target: f64,
    /// Estimate with twice the pictures.
    doubled: Option<f64>,
    doubled_interval: Option<[f64; 2]>,
    similarity: f64,
    curve: Vec<Point>,
    suspects: Vec<Suspicion>,
}

/// A point of the learning curve.
#[derive(Debug, Serialize)]
struct Point {
    samples: usize,
    bursts: usize,
    accuracy: f64,
    interval: [f64; 2],
}

/// A picture of --train that probably lies in the wrong folder.
#[derive(Debug, Serialize)]
struct Suspicion {
    file: String,
    class: String,
    said: String,
    margin: f32,
}

pub fn run(args: &EvalArgs, output: Output) -> Result<()> {
    let (train, val) = (classed(&args.train, output)?, classed(&args.val, output)?);
    let classes = union(&train, &val)?;
    let card = args.backbone.card(output)?;
    let train_set = args.backbone.embed(&card, &train.pictures, "embedding --train", output)?;
    let val_set = args.backbone.embed(&card, &val.pictures, "embedding --val", output)?;
    let mut train_snapshot = snapshot(&train_set, &train, &classes, args.groups.as_ref())?;
    let assumed = args.groups.is_none().then(|| group(&train_set, &mut train_snapshot));
    let val_snapshot = snapshot(&val_set, &val, &classes, args.groups.as_ref())?;
    let options = Options { choice: choice(&args.head), seed: args.seed, ..Options::default() };
    let start = Instant::now();
    let round = learn::train(&train_snapshot, &options, &Alone, &mut |_| ControlFlow::Continue(()))?;
    let train_ms = start.elapsed().as_secs_f64() * 1e3;
    round.notes.iter().for_each(|note| output.warn(&note.to_string()));
    let report = learn::evaluate(&round.head, &val_snapshot);
    let suspects = suspects(&round, &train_set, &train_snapshot, &classes);
    let skipped = train_set.skipped.into_iter().chain(val_set.skipped).collect();
    let outcome = Outcome {
        embed_ms_per_image: train_set.ms_per_image,
        width: train_set.width,
        skipped,
        suspects,
        assumed,
        ..outcome(classes, &round, report, train_ms)
    };
    output.show(&outcome, text)
}

fn outcome(classes: Vec<String>, round: &Round, report: Report, train_ms: f64) -> Outcome {
    Outcome {
        val_accuracy: report.accuracy.value,
        balanced_accuracy: report.balanced_accuracy.value,
        n_val: report.samples,
        lobo_accuracy: round.report.accuracy.value,
        lobo_interval: [round.report.accuracy.low, round.report.accuracy.high],
        ece: report.ece,
        embed_ms_per_image: 0.0,
        train_ms,
        head: round.method.as_str(),
        confusion: report.confusion,
        val_interval: [report.accuracy.low, report.accuracy.high],
        assumed: None,
        n_train: round.report.samples,
        train_bursts: round.report.bursts,
        recall: report.recall,
        width: 0,
        skipped: Vec::new(),
        advice: round.advice.next.as_str(),
        advice_classes: match &round.advice.next {
            Next::MoreLabels(named) => {
                named.iter().filter_map(|&c| classes.get(c as usize).cloned()).collect()
            }
            _ => Vec::new(),
        },
        target: round.advice.target,
        doubled: round.advice.doubled.map(|doubled| doubled.value),
        doubled_interval: round.advice.doubled.map(|doubled| [doubled.low, doubled.high]),
        similarity: round.advice.similarity,
        curve: round.curve.iter().map(point).collect(),
        suspects: Vec::new(),
        classes,
    }
}

fn point(point: &CurvePoint) -> Point {
    let accuracy = point.accuracy;
    Point {
        samples: point.samples,
        bursts: point.bursts,
        accuracy: accuracy.value,
        interval: [accuracy.low, accuracy.high],
    }
}

fn suspects(round: &Round, set: &Embedded, snapshot: &Snapshot, classes: &[String]) -> Vec<Suspicion> {
    let name = |class: u32| classes.get(class as usize).cloned();
    let suspicion = |suspect: &Suspect| {
        let row = suspect.row as usize;
        Some(Suspicion {
            file: set.pictures.get(row)?.file.clone(),
            class: name(*snapshot.labels.get(row)?)?,
            said: name(suspect.said)?,
            margin: suspect.margin,
        })
    };
    round.suspects.iter().filter_map(suspicion).collect()
}

fn text(o: &Outcome) -> String {
    let interval = |[low, high]: [f64; 2]| format!("{} to {}", percent(low), percent(high));
    let rows = [
        ("head", o.head.to_owned(), format!("{} numbers wide, trained in {:.0} ms", o.width, o.train_ms)),
        ("--val accuracy", percent(o.val_accuracy), interval(o.val_interval)),
        ("balanced accuracy", percent(o.balanced_accuracy), format!("{} pictures", o.n_val)),
        ("calibration error", percent(o.ece), "of the confidence, on --val".to_owned()),
        ("estimate from --train", percent(o.lobo_accuracy), interval(o.lobo_interval)),
        (
            "",
            String::new(),
            format!("{} pictures in {} bursts, one left out at a time", o.n_train, o.train_bursts),
        ),
        ("", String::new(), o.assumed.clone().unwrap_or_default()),
        ("embedding", format!("{:.1} ms", o.embed_ms_per_image), "a picture, median".to_owned()),
        ("advice", o.advice.to_owned(), advice(o)),
        (
            "suspects",
            o.suspects.len().to_string(),
            "pictures of --train in a wrong folder, by --json".to_owned(),
        ),
        ("left out", o.skipped.len().to_string(), "unreadable pictures".to_owned()),
    ];
    let rows = rows.into_iter().filter(|row| !(row.0.is_empty() && row.2.is_empty()));
    let figures = table(&["what", "value", ""], rows.map(|(a, b, c)| vec![a.to_owned(), b, c]));
    if o.classes.len() > 20 {
        return format!("{figures}\n{} classes: the confusion matrix is in --json", o.classes.len());
    }
    format!("{figures}\n{}", confusion(&o.classes, &o.confusion))
}

/// The evidence of the advice.
fn advice(o: &Outcome) -> String {
    let classes = if o.advice_classes.is_empty() {
        String::new()
    } else {
        format!("{}; ", o.advice_classes.join(", "))
    };
    let doubled = o.doubled.map_or("-".to_owned(), percent);
    format!(
        "{classes}{} wanted, twice the pictures {doubled}, similarity {:.2}",
        percent(o.target),
        o.similarity
    )
}

fn classed(folder: &Path, output: Output) -> Result<Folder> {
    let found = pictures::list(folder)?;
    if found.classes.is_empty() {
        let text = "has no class folders; put the pictures of each class into a folder of its name";
        return Err(Usage(format!("{} {text}", folder.display())).into());
    }
    for file in &found.stray {
        output.warn(&format!("{file} is left out: it lies beside the class folders"));
    }
    Ok(found)
}

/// The class list: that of --train. A class that only --val has cannot be learnt.
fn union(train: &Folder, val: &Folder) -> Result<Vec<String>> {
    let unknown: Vec<&str> =
        val.classes.iter().filter(|class| !train.classes.contains(class)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let text = "add pictures to --train, or take the folder out of --val";
        return Err(Usage(format!("only --val has the class {}: {text}", unknown.join(", "))).into());
    }
    Ok(train.classes.clone())
}

fn snapshot(set: &Embedded, folder: &Folder, classes: &[String], groups: Option<&Regex>) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new(set.width, classes.len());
    let mut bursts: BTreeMap<String, u64> = BTreeMap::new();
    for (picture, embedding) in set.pictures.iter().zip(set.values.chunks_exact(set.width.max(1))) {
        let class = folder.classes.get(picture.class).and_then(|name| classes.iter().position(|c| c == name));
        let label = class.and_then(|c| u32::try_from(c).ok()).unwrap_or(u32::MAX);
        let next = bursts.len() as u64;
        let burst = *bursts.entry(burst(&picture.file, groups)).or_insert(next);
        snapshot.push(embedding, label, burst)?;
    }
    Ok(snapshot)
}

/// Gives the pictures the bursts that they seem to have; what was assumed.
fn group(set: &Embedded, snapshot: &mut Snapshot) -> String {
    let files: Vec<&Path> = set.pictures.iter().map(|picture| Path::new(&picture.file)).collect();
    let (first, assumed) = group_pictures(&files, snapshot);
    snapshot.bursts = first.iter().map(|first| *first as u64).collect();
    assumed.to_string()
}

/// The burst of a file: the first capture group of its name, else the file itself.
fn burst(file: &str, groups: Option<&Regex>) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    match groups.and_then(|regex| regex.captures(name)).and_then(|found| found.get(1)) {
        Some(group) => format!("group {}", group.as_str()),
        None => format!("file {file}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_come_from_the_capture_group_of_the_file_name() {
        let regex = groups(r"^b(\d+)_").unwrap();
        assert_eq!(burst("ok/b12_3.jpg", Some(&regex)), burst("bad/b12_9.jpg", Some(&regex)));
        assert_ne!(burst("ok/b12_3.jpg", Some(&regex)), burst("ok/b13_3.jpg", Some(&regex)));
        assert_ne!(burst("ok/x.jpg", Some(&regex)), burst("bad/x.jpg", Some(&regex)));
        assert_ne!(burst("ok/b1_1.jpg", None), burst("ok/b1_2.jpg", None));
        assert!(groups("b[0-9]+").unwrap_err().contains("capture group"));
    }

    #[test]
    fn a_class_that_only_val_has_is_refused_with_advice() {
        let folder = |classes: &[&str]| Folder {
            classes: classes.iter().map(|c| (*c).to_owned()).collect(),
            ..Folder::default()
        };
        assert_eq!(union(&folder(&["a", "b"]), &folder(&["b"])).unwrap(), ["a", "b"]);
        let error = union(&folder(&["a"]), &folder(&["a", "z"])).unwrap_err().to_string();
        assert_eq!(
            error,
            "only --val has the class z: add pictures to --train, or take the folder out of --val"
        );
    }
}
