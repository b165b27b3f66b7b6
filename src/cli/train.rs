//! `graft train`: one round, now.

use super::Common;
use super::client::word;
use super::findings;
use super::output::{confusion, percent, table};
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use graft_wire::Command;
use graft_wire::command::{Method, Train};
use graft_wire::messages::JobMessage;
use serde_json::{Map, Value, json};

/// Classes of the widest confusion matrix that is printed.
const WIDEST: usize = 12;

/// Train a head on the samples there are; the gate decides whether it becomes active
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// Wait for the end and show the figures before and after
    #[arg(long)]
    wait: bool,
    /// The head to train [default: as configured]
    #[arg(long, value_parser = PossibleValuesParser::new(Method::WORDS).try_map(|word| word.parse::<Method>()))]
    method: Option<Method>,
    /// Cancel the running round; the active head stays
    #[arg(long, conflicts_with_all = ["wait", "method"])]
    cancel: bool,
}

pub fn run(args: &TrainArgs, common: &Common) -> Result<()> {
    let sent = request(args);
    if args.cancel {
        return common.send(&sent, |_| "cancelled".to_owned());
    }
    let job = common.job(&sent, args.wait)?;
    common.output().show(&json!(job), |_| if args.wait { figures(&job) } else { format!("job {}", job.id) })
}

/// The command that is sent.
pub(super) fn request(args: &TrainArgs) -> Command {
    Command::Train(match args.cancel {
        true => Train::Cancel,
        false => Train::Start { method: args.method },
    })
}

/// What a round brought: figures on bursts that the heads had not seen, then what became of its head.
pub(super) fn figures(job: &JobMessage) -> String {
    let metrics = Value::Object(job.metrics.clone());
    let result = Value::Object(job.result.clone());
    let mut text = measured(&metrics);
    let ms =
        metrics.get("train_ms").and_then(Value::as_f64).map_or(String::new(), |ms| format!(" in {ms:.0} ms"));
    let promoted = result.get("promoted") == Some(&Value::Bool(true));
    let fate = if promoted { "is active now" } else { "was rejected" };
    let (samples, bursts) = (word(&metrics, "/samples"), word(&metrics, "/bursts"));
    text.push_str(&format!(
        "\nhead {} ({}) of {samples} samples in {bursts} bursts{ms} {fate}: {}",
        word(&result, "/version"),
        word(&metrics, "/method"),
        word(&result, "/reason")
    ));
    let advice = metrics.get("advice").and_then(|advice| serde_json::from_value(advice.clone()).ok());
    if let Some(advice) = advice {
        text.push_str(&format!("\nadvice: {}", findings::advice(&advice)));
    }
    for note in metrics.get("notes").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("\nwarning: {}", note.as_str().unwrap_or_default()));
    }
    text
}

/// Figures on bursts that the head of these metrics, and the active one before it, had not seen.
pub(super) fn measured(metrics: &Value) -> String {
    let number = |pointer: &str| metrics.pointer(pointer).and_then(Value::as_f64);
    let share = |pointer: &str| number(pointer).map_or("-".to_owned(), percent);
    let interval = |name: &str| {
        let end = |end: &str| share(&format!("/{name}/{end}"));
        vec![end("value"), format!("{} to {}", end("low"), end("high"))]
    };
    let row =
        |name: &str, before: String, after: Vec<String>| [vec![name.to_owned(), before], after].concat();
    let rows = [
        row("accuracy", share("/against_active/active_accuracy"), interval("accuracy")),
        row("balanced accuracy", "-".to_owned(), interval("balanced_accuracy")),
        row("calibration error", "-".to_owned(), vec![share("/ece"), String::new()]),
        row("largest class alone", "-".to_owned(), vec![share("/majority"), String::new()]),
    ];
    let mut text = table(&["held-out bursts", "before", "after", "95 %"], rows);
    if let Some(missing) = metrics.get("missing").and_then(Value::as_str) {
        text.push_str(&format!("\nnot enough evidence for an accuracy: {missing}\n"));
    }
    if let Some(left_out @ 1..) = metrics.get("left_out").and_then(Value::as_u64) {
        let which = "samples were not judged: their labels are surely wrong, see `graft dataset suspects`";
        text.push_str(&format!("\n{left_out} {which}\n"));
    }
    if let Some(classes) = metrics.get("classes").and_then(Value::as_object) {
        text.push('\n');
        text.push_str(&per_class(classes));
        text.push_str(&confused(metrics));
    }
    text
}

/// The confusion matrix, where something was confused and it fits a terminal.
fn confused(metrics: &Value) -> String {
    let matrix = metrics.get("confusion").and_then(|matrix| serde_json::from_value(matrix.clone()).ok());
    let matrix: Vec<Vec<u32>> = matrix.unwrap_or_default();
    let names = metrics.get("class_names").and_then(|list| serde_json::from_value(list.clone()).ok());
    let names: Vec<String> = names.unwrap_or_default();
    let wrong = |(at, row): (usize, &Vec<u32>)| row.iter().enumerate().any(|(said, n)| said != at && *n > 0);
    if matrix.len() != names.len() || names.len() > WIDEST || !matrix.iter().enumerate().any(wrong) {
        return String::new();
    }
    format!("\n{}", confusion(&names, &matrix))
}

fn per_class(classes: &Map<String, Value>) -> String {
    let row = |(class, figures): (&String, &Value)| {
        let recall = figures.get("recall").and_then(Value::as_f64).map_or("-".to_owned(), percent);
        vec![class.clone(), recall, word(figures, "/samples"), word(figures, "/bursts")]
    };
    table(&["class", "recall", "samples", "bursts"], classes.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_told_in_a_table() {
        let job = json!({"id": "7", "op": "train", "status": "successful", "metrics": {
            "accuracy": {"value": 0.95, "low": 0.9, "high": 0.99}, "balanced_accuracy": {"value": 0.94, "low": 0.9, "high": 1.0},
            "ece": 0.02, "majority": 0.5, "samples": 80, "bursts": 8, "train_ms": 12.4, "method": "ridge",
            "classes": {"ok": {"recall": 0.9, "samples": 40, "bursts": 4}, "new": {"recall": null, "samples": 0, "bursts": 0}},
            "class_names": ["ok", "new"], "confusion": [[36, 4], [0, 0]],
            "against_active": {"active_accuracy": 0.6}, "notes": ["softmax was left out"]},
            "result": {"version": 3, "promoted": true, "reason": "+35.0 points"}});
        let job: JobMessage = serde_json::from_value(job).unwrap();
        let expected = "\
held-out bursts      before  after   95 %
accuracy             60.0 %  95.0 %  90.0 % to 99.0 %
balanced accuracy    -       94.0 %  90.0 % to 100.0 %
calibration error    -       2.0 %
largest class alone  -       50.0 %

class  recall  samples  bursts
new    -       0        0
ok     90.0 %  40       4

truth \\ said  ok  new
ok            36  4
new           0   0

head 3 (ridge) of 80 samples in 8 bursts in 12 ms is active now: +35.0 points
warning: softmax was left out";
        assert_eq!(figures(&job), expected);
    }
}
