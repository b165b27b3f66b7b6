//! A file that others made is first looked at by a child process of this program, under limits of memory and time.
//!
//! tract may panic, allocate gigabytes or never come back on a file that the scan lets pass. In the child that costs the
//! child. What it learned comes back as one JSON object; the daemon itself loads a file only after that.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use graft_base::child::Child;
use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use super::card::Card;
use super::inspect::{Inspection, inspect};
use super::plan::Backbone;
use super::scan::Limits;

/// The word of the command line that makes this program the child.
pub const WORDS: [&str; 2] = ["backbone", "admit"];
/// This program, even where its file was replaced meanwhile.
pub const PROGRAM: &str = "/proc/self/exe";
/// Seconds of processor time that the child may take.
const CPU_S: u64 = 120;
/// It is ended after this long, however little it computed.
const WALL: Duration = Duration::from_secs(600);
/// Memory of the child beside what the file needs: the program itself, stacks, tract's own.
const BASE_BYTES: u64 = 768 << 20;
/// Memory for each byte of the file: read, parsed, typed, packed, with some to spare.
const FOLD: u64 = 8;
/// Largest answer that is read.
const MOST_ANSWER: u64 = 1 << 20;
/// Embeddings may differ from the golden ones by this share of their largest number.
pub const GOLDEN_TOLERANCE: f32 = 1e-3;

/// What both sides must reproduce: normalised pixels and what comes out of them.
#[derive(Clone, Debug, Default)]
pub struct Golden {
    /// Each `[3, size, size]`, red plane first.
    pub inputs: Vec<Vec<f32>>,
    /// Each `[width]`.
    pub embeddings: Vec<Vec<f32>>,
}

/// What the child learned about a file that may be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// The file and its cut.
    pub inspection: Inspection,
    /// Golden vectors replayed, and the largest difference as a share of the largest number.
    pub golden: Option<(usize, f32)>,
}

/// Why a file is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// One word for programs.
    pub reason: String,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal for `reason`.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The file may be used.
    Admitted(Box<Admission>),
    Refused(Refusal),
}

/// What comes with a backbone from a host, to be checked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFiles {
    /// The manifest, JSON.
    pub manifest: PathBuf,
    /// The head it was trained with, safetensors.
    pub head: PathBuf,
    /// Golden vectors, safetensors.
    pub golden: PathBuf,
}

/// What the child is asked to look at.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub onnx: &'a Path,
    /// Its card; `None`: the one beside it, else guessed.
    pub card: Option<&'a Path>,
    /// Cut at this tensor instead.
    pub features: Option<&'a str>,
    /// The files that came with it from a host.
    pub result: Option<&'a ResultFiles>,
    /// Bytes of memory for the child; `None`: by the size of the file.
    pub memory_bytes: Option<u64>,
}

impl<'a> Question<'a> {
    /// About a file with the card that lies beside it.
    pub fn of(onnx: &'a Path) -> Self {
        Self { onnx, card: None, features: None, result: None, memory_bytes: None }
    }
}

/// Asks a child process of `program` about a file.
///
/// # Errors
/// [`Refusal`]: the file's fault, or that the child went over its limits or could not be started.
pub fn ask(program: &Path, question: &Question<'_>) -> Result<Admission, Refusal> {
    let mut command = Command::new(program);
    command.env_clear().args(WORDS).arg(question.onnx);
    if let Some(card) = question.card {
        command.arg("--card").arg(card);
    }
    if let Some(ResultFiles { manifest, head, golden }) = question.result {
        command.arg("--manifest").arg(manifest).arg("--head").arg(head).arg("--golden").arg(golden);
    }
    if let Some(tensor) = question.features {
        command.arg("--features").arg(tensor);
    }
    if let Some(bytes) = question.memory_bytes {
        command.arg("--memory-bytes").arg(bytes.to_string());
    }
    let unavailable = |why: &dyn std::fmt::Display| {
        Refusal::new("admission_unavailable", format!("no child process could look at the file: {why}"))
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Child::start(&mut command).map_err(|e| unavailable(&e))?;
    let stdout = child.take_stdout();
    // The answer is read beside the waiting: a full pipe would stop the child.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.map(|pipe| pipe.take(MOST_ANSWER).read_to_end(&mut text));
        read.is_some_and(|read| read.is_ok()).then_some(text)
    });
    let status = child.wait(WALL).map_err(|e| unavailable(&e))?;
    // A child that still runs would keep the pipe open.
    child.kill().map_err(|e| unavailable(&e))?;
    let text = reader.join().ok().flatten().unwrap_or_default();
    match (serde_json::from_slice(&text), status) {
        (Ok(Answer::Admitted(admission)), Some(status)) if status.success() => Ok(*admission),
        (Ok(Answer::Refused(refusal)), _) => Err(refusal),
        (_, status) => Err(died(status)),
    }
}

/// Why a child gave no answer.
fn died(status: Option<ExitStatus>) -> Refusal {
    let signal = status.and_then(|status| status.signal());
    if status.is_none() || signal == Some(Signal::XCPU.as_raw()) || signal == Some(Signal::KILL.as_raw()) {
        return Refusal::new(
            "admission_time",
            format!(
                "looking at the file took more than {CPU_S} s of processor time: it is no backbone for this board"
            ),
        );
    }
    if signal == Some(Signal::ABORT.as_raw()) {
        return Refusal::new(
            "admission_memory",
            "looking at the file took more memory than a backbone of its size can need: use another export",
        );
    }
    let how = status.map_or_else(String::new, |status| status.to_string());
    Refusal::new("admission_crashed", format!("the child process that looked at the file ended with {how}"))
}

/// Takes the limits on: called by the child before it reads the file.
///
/// # Errors
/// When the system refuses a limit.
pub fn confine(onnx: &Path, memory_bytes: Option<u64>) -> std::io::Result<()> {
    let size = std::fs::metadata(onnx).map_or(0, |about| about.len()).min(Limits::default().file_bytes);
    let memory = memory_bytes.unwrap_or(BASE_BYTES + FOLD * size);
    let limit = |resource, current: u64| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(current), maximum: Some(current) })
    };
    limit(Resource::Core, 0)?;
    limit(Resource::As, memory)?;
    limit(Resource::Cpu, CPU_S)?;
    // It has nothing to write but its answer, which goes into a pipe.
    limit(Resource::Fsize, 0)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::nice(10)?;
    Ok(())
}

/// Looks at a file, in the child.
///
/// # Errors
/// Every reason to refuse a file.
pub fn examine(
    onnx: &Path,
    card: Option<&Card>,
    features: Option<&str>,
    golden: Option<&Golden>,
) -> Result<Admission, Refusal> {
    let refused = |e: super::BackboneError| Refusal::new(e.reason(), e.to_string());
    let inspection = inspect(onnx, card, features).map_err(refused)?;
    let golden = match golden {
        None => None,
        Some(golden) => {
            let mut backbone = Backbone::load(onnx, &inspection.card).map_err(refused)?;
            Some(replay(&mut backbone, golden)?)
        }
    };
    Ok(Admission { inspection, golden })
}

/// Runs golden inputs; gives their number and the largest difference as a share of the largest number.
///
/// # Errors
/// `golden_shape` when they do not fit the backbone, `golden_mismatch` when it gives something else.
pub fn replay(backbone: &mut Backbone, golden: &Golden) -> Result<(usize, f32), Refusal> {
    let shape = |what: String| {
        Refusal::new("golden_shape", format!("the golden vectors do not fit the backbone: {what}"))
    };
    if golden.inputs.is_empty() || golden.inputs.len() != golden.embeddings.len() {
        return Err(shape(format!(
            "{} inputs and {} embeddings",
            golden.inputs.len(),
            golden.embeddings.len()
        )));
    }
    let mut worst = 0.0f32;
    for (pixels, wanted) in golden.inputs.iter().zip(&golden.embeddings) {
        let found = backbone.embed_pixels(pixels).map_err(|e| shape(e.to_string()))?;
        if found.len() != wanted.len() {
            return Err(shape(format!("they have {} numbers, it gives {}", wanted.len(), found.len())));
        }
        let largest = wanted.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let off = found.iter().zip(wanted).fold(0.0f32, |most, (a, b)| {
            let off = (a - b).abs();
            // NaN must not pass as small.
            if off.is_nan() { f32::INFINITY } else { most.max(off) }
        });
        worst = worst.max(off / largest.max(1e-6));
    }
    if worst.is_nan() || worst > GOLDEN_TOLERANCE {
        return Err(Refusal::new(
            "golden_mismatch",
            format!(
                "the backbone gives other embeddings than it should (off by {worst:e} of the largest number): the file is not the one that was checked, or this engine computes it differently"
            ),
        ));
    }
    Ok((golden.inputs.len(), worst))
}
