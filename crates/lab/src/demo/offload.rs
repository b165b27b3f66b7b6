//! `lab demo-offload`: broker, board, host and training engine on one machine. The scene is shifted so far that a head on
//! the tiny backbone is poor; the host fine-tunes the backbone, the board gates and promotes it. Succeeds only if the
//! board is really better afterwards, on objects that were never labelled.

use super::child::{Daemon, program};
use super::operator::{Bursts, Visit};
use super::output::Output;
use super::score::Score;
use super::{Folder, toml_text};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use graft_camera::pattern::{CLASSES, PatternSettings, Scene};
use graft_host as host;
use graft_testing::broker::Broker;
use graft_testing::operator::Message;
use graft_wire::Command;
use graft_wire::command::{Mode, Offload};
use graft_wire::messages::{JobMessage, JobStatus};
use graft_wire::offload::Recipe;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Show offload in some minutes: board, broker, host and training engine on this machine, without a GPU
///
/// Runs the real daemon on a scene that its backbone was not trained for, a real host, and the real engine on the CPU. Fails if
/// the board is not really better with the fine-tuned backbone than with a new head alone.
#[derive(Args, Clone, Debug)]
pub struct DemoOffloadArgs {
    /// Folder of the training engine
    #[arg(long, value_name = "DIR", default_value = "trainer")]
    trainer: PathBuf,
    /// Python with PyTorch, ONNX and Pillow
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    /// Seconds that the engine may train
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Seed of the scene
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the state in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The program to show, built with the feature `host` [default: `graft` beside this one]
    #[arg(long, value_name = "PROGRAM")]
    graft: Option<PathBuf>,
}

const FPS: f64 = 30.0;
/// Frames that one object stays: a second.
const HOLD_FRAMES: u32 = 30;
/// Bursts labelled of each class: a backbone needs more of them than a head.
const BURSTS: Bursts = Bursts { each: 24, hz: 8, samples: 4 };
/// Appearances watched before and after.
const WATCHED: usize = 48;
/// As far from what the backbone was made for as the scene goes.
const SHIFT: f64 = 2.0;
/// Long, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Runs it; `Ok(true)` when the board is really better.
///
/// # Errors
/// When broker, board, host or a command fails; the text says where to look.
pub fn run(arguments: &DemoOffloadArgs, json: bool) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments, json))
}

fn board_config(folder: &Path, port: u16, seed: u64, key: &str) -> String {
    let path = |name: &str| toml_text(&folder.join(name).display().to_string());
    format!(
        "[device]\nid = \"demo\"\n\
         [camera]\nsource = \"pattern\"\nfps = {FPS:?}\nseed = {seed}\nhold_frames = {HOLD_FRAMES}\nwidth = 320\n\
         height = 240\nshift = {SHIFT:?}\n\
         [capture]\nring_hz = 10.0\nskip_above = 1.0\n\
         [learn]\nmin_samples_per_class = 5\nnew_samples = 20\nidle_s = 1.0\n\
         [predict]\nmax_hz = 10.0\n\
         [offload]\nhost_keys = [{key}]\nmax_frame_ms = 60000.0\nprobation_s = 5.0\n\
         [store]\ndir = {state}\nfree_floor = \"0 B\"\nquota = \"100 MB\"\n\
         [mqtt]\nport = {port}\n\
         [socket]\npath = {socket}\n",
        key = toml_text(key),
        state = path("state"),
        socket = path("graft.sock"),
    )
}

fn host_config(folder: &Path, port: u16, arguments: &DemoOffloadArgs) -> Result<String> {
    let trainer = arguments.trainer.canonicalize().with_context(|| {
        format!("{} is not there; name the folder with --trainer", arguments.trainer.display())
    })?;
    Ok(format!(
        "id = \"demo-host\"\ndir = {dir}\n\
         [mqtt]\nport = {port}\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [engine]\ncommand = [{python}, \"-m\", \"graft_trainer\"]\npythonpath = {trainer}\ndevices = [\"cpu\"]\n\
         seconds = {seconds}.0\nflip = true\n",
        dir = toml_text(&folder.join("host").display().to_string()),
        python = toml_text(&arguments.python),
        trainer = toml_text(&trainer.display().to_string()),
        seconds = arguments.seconds,
    ))
}

async fn play(arguments: &DemoOffloadArgs, json: bool) -> Result<bool> {
    let begun = Instant::now();
    let output = Output { json };
    let program = program(arguments.graft.as_deref())?;
    let folder = Folder::new(arguments.state.clone())?;
    let broker = Broker::start(&folder.path)?;
    let key = host::public_key(&folder.path.join("host"))?.base64();
    let files = [
        ("board.toml", board_config(&folder.path, broker.port(), arguments.seed, &key)),
        ("host.toml", host_config(&folder.path, broker.port(), arguments)?),
    ];
    for (name, text) in &files {
        std::fs::write(folder.path.join(name), text)?;
    }
    output.say(&format!(
        "graft {} demo of offload: board, broker, host and training engine on this machine\n",
        env!("CARGO_PKG_VERSION")
    ));
    let mut host = Daemon::start(&program, &folder.path, &folder.path.join("host.toml"), &["host", "run"])?;
    let mut board = Daemon::start(&program, &folder.path, &folder.path.join("board.toml"), &["run"])?;
    output.say(&format!("  state and logs in {}", folder.path.display()));
    let scene = Scene::new(PatternSettings {
        fps: FPS,
        seed: arguments.seed,
        hold_frames: HOLD_FRAMES,
        width: 320,
        height: 240,
        shift: SHIFT,
    });
    output.say(&format!(
        "  scene: {}, under bands of negative that the backbone has never seen\n",
        CLASSES.join(", ")
    ));
    let outcome = tokio::select! {
        outcome = visit(&output, &scene, broker.port()) => outcome,
        reason = board.ended() => Err(anyhow::anyhow!("the daemon ended: {reason}")),
        reason = host.ended() => Err(anyhow::anyhow!("the host ended: {reason}")),
    };
    let (before, after, job) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            output.say(&format!("\nThe end of the host's log:\n{}", host.log_tail()));
            output.say(&format!("\nThe end of the daemon's log:\n{}", board.log_tail()));
            return Err(error);
        }
    };
    // Beyond luck: even the lower end of what the objects at the end allow is above what the head alone did.
    let better = after.interval().0 > before.fraction();
    let seconds = begun.elapsed().as_secs();
    output.say(&format!(
        "\n{}  head alone {before}   fine-tuned {after}   ({seconds} s)",
        if better { "The board is really better." } else { "The board is NOT better." },
    ));
    if json {
        let told = json!({"better": better, "before": before.to_json(), "after": after.to_json(), "job": job, "seconds": seconds});
        println!("{told}");
    }
    host.stop();
    board.stop();
    Ok(better)
}

async fn visit(output: &Output, scene: &Scene, port: u16) -> Result<(Score, Score, Map<String, Value>)> {
    let mut visit = Visit::begin(output, scene, "127.0.0.1", port).await?;
    output.say(&format!("1  Capturing {} labelled bursts of each class", BURSTS.each));
    visit.add_classes(&CLASSES).await?;
    visit.capture(BURSTS).await?;
    output.say("\n2  A head on the backbone as it is");
    let round = visit.adapt().await?;
    let before = visit.watch(WATCHED, round.version).await?;
    output.say(&format!("   right on objects that were never labelled: {before}\n"));
    output.say("3  Offloading: the host fine-tunes the backbone");
    // Rounds of the board itself would change the head that is compared.
    visit.command(Command::Mode(Mode::Infer)).await?;
    let job = visit.offload().await?;
    let version = job.get("version").and_then(Value::as_u64).context("the job has no head version")?;
    output.say("4  The same camera with the new pair");
    let after = visit.watch(WATCHED, version).await?;
    output.say(&format!("   right: {after}"));
    visit.end().await;
    Ok((before, after, job))
}

impl Visit<'_> {
    /// Starts an offload job and follows it to its end; gives its result.
    async fn offload(&mut self) -> Result<Map<String, Value>> {
        let mut heard = self.operator.now();
        let reply =
            self.command(Command::Offload(Offload::Start { recipe: Some(Recipe::default()) })).await?;
        let id = reply["job"].as_str().context("offload start gave no job")?.to_owned();
        let mut step = String::new();
        loop {
            let ours = |m: &Message| m.topic.ends_with(&format!("/job/{id}"));
            let message = self.operator.wait_for(heard, PATIENCE, "the job's next step", ours).await?;
            heard = message.number;
            let job: JobMessage = serde_json::from_slice(&message.payload)?;
            // A recipe counts its stages behind a space: one line for each stage would be too many.
            let now = job.step.as_deref().unwrap_or_default().split(' ').next().unwrap_or_default();
            if !now.is_empty() && now != step {
                now.clone_into(&mut step);
                self.output().say(&format!("   {step}"));
            }
            match job.status {
                JobStatus::Successful => {
                    let reason = job.result.get("reason").and_then(Value::as_str).unwrap_or("");
                    ensure!(
                        job.result.get("promoted") == Some(&true.into()),
                        "the board kept its pair: {reason}"
                    );
                    self.output().say(&format!("   gate: promoted ({reason})\n"));
                    return Ok(job.result);
                }
                JobStatus::Failed | JobStatus::Canceled => {
                    bail!("the job failed: {}", job.error.map_or_else(String::new, |e| e.message));
                }
                JobStatus::Init | JobStatus::Executing => {}
            }
        }
    }
}
