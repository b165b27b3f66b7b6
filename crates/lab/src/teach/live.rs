//! `lab teach --daemon`: the same with the real daemon, which sees the frames of a stream as a camera gives them and is
//! taught over MQTT. Nothing is configured but where things lie.

use super::pictures::listing;
use super::rows::Row;
use crate::demo::child::Daemon;
use anyhow::{Context, Result, bail, ensure};
use graft_backbone::Card;
use graft_testing::broker::Broker;
use graft_testing::operator::{Message, Operator};
use graft_wire::command::{Capture, Mode, Train};
use graft_wire::messages::{JobMessage, PredictionMessage};
use graft_wire::{ClassName, Command};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Long, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Passes of the stream until somebody asks for a round, and until the head is given up.
const PASSES: (u64, u64) = (3, 5);

/// What is played to which program.
pub struct Play {
    /// The program `graft`.
    pub program: PathBuf,
    /// Of the stream: `labels.csv`, and `frames` with one picture a line that names one.
    pub stream: PathBuf,
    /// The network and its card; `None`: the built-in one.
    pub backbone: Option<(PathBuf, Card)>,
    /// Frames a second.
    pub fps: f64,
}

/// The labels of the frames, and what is known of them so far.
struct Teacher {
    operator: Operator,
    heard: u64,
    labels: Vec<String>,
    begun: Instant,
    /// The class that is captured now.
    capturing: Option<String>,
    bursts: BTreeMap<String, usize>,
    asked: bool,
    first: Option<Duration>,
    /// Of the round that gave the serving head.
    told: Option<JobMessage>,
    score: Score,
}

/// Predictions of the second half.
#[derive(Debug, Default)]
struct Score {
    /// The pass that is scored.
    pass: Option<u64>,
    shown: u32,
    /// By class: right and all.
    classes: BTreeMap<String, (u32, u32)>,
}

impl Play {
    /// Teaches the first half of the stream, and scores the second.
    ///
    /// # Errors
    /// When broker, daemon or a command fails.
    pub fn run(&self, folder: &Path) -> Result<Row> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.play(folder))
    }

    async fn play(&self, folder: &Path) -> Result<Row> {
        let labels: Vec<String> = listing(&self.stream)?.into_iter().map(|(_, label, _)| label).collect();
        ensure!(labels.len() > 1, "{} names no frames", self.stream.display());
        let broker = Broker::start(folder)?;
        let config = folder.join("config.toml");
        std::fs::write(&config, self.config(folder, broker.port())?)?;
        let mut daemon = Daemon::start(&self.program, folder, &config, &["run"])?;
        let taught = tokio::select! {
            taught = teach(broker.port(), labels) => taught,
            reason = daemon.ended() => Err(anyhow::anyhow!("the daemon ended: {reason}")),
        };
        let teacher = taught.with_context(|| format!("the daemon's log ends:\n{}", daemon.log_tail()))?;
        daemon.stop();
        Ok(teacher.row(self))
    }

    /// Where things lie.
    fn config(&self, folder: &Path, port: u16) -> Result<String> {
        let text = |path: &Path| Value::from(path.display().to_string()).to_string();
        let mut config = format!(
            "[device]\nid = \"teach\"\n[camera]\nsource = \"directory\"\npath = {}\nfps = {:?}\nrepeat = true\n\
             [store]\ndir = {}\n[socket]\npath = {}\n[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n",
            text(&std::path::absolute(self.stream.join("frames"))?),
            self.fps,
            text(&folder.join("state")),
            text(&folder.join("graft.sock")),
        );
        if let Some((file, card)) = &self.backbone {
            let path = folder.join("backbone.toml");
            std::fs::write(&path, card.to_toml())?;
            let (file, card) = (text(&std::path::absolute(file)?), text(&path));
            config += &format!("[backbone]\nfile = {file}\ncard = {card}\n");
        }
        Ok(config)
    }
}

async fn teach(port: u16, labels: Vec<String>) -> Result<Teacher> {
    let mut operator = Operator::connect("127.0.0.1", port, "graft/teach").await?;
    let there = |m: &Message| m.topic.ends_with("/availability") && m.payload == "online";
    operator.wait_for(0, PATIENCE, "the daemon to come online", there).await?;
    let heard = operator.now();
    let mut teacher = Teacher {
        operator,
        heard,
        labels,
        begun: Instant::now(),
        capturing: None,
        bursts: BTreeMap::new(),
        asked: false,
        first: None,
        told: None,
        score: Score::default(),
    };
    teacher.command(Command::Mode(Mode::Adapt)).await?;
    while !teacher.step().await? {}
    Ok(teacher)
}

impl Teacher {
    async fn command(&mut self, command: Command) -> Result<()> {
        let (op, body) = (command.op().as_str(), command.to_value());
        let reply = self.operator.command(op, &body, PATIENCE).await?;
        if reply["status"] == "error" {
            bail!(
                "{op} {body} was refused: {}",
                reply["error"]["message"].as_str().unwrap_or("no reason given")
            );
        }
        Ok(())
    }

    /// Takes the next message; whether all is done.
    async fn step(&mut self) -> Result<bool> {
        let wanted = |m: &Message| m.topic.ends_with("/prediction") || m.topic.contains("/job/");
        let message = self.operator.wait_for(self.heard, PATIENCE, "a prediction", wanted).await?;
        self.heard = message.number;
        if message.topic.ends_with("/prediction") {
            return self.predicted(serde_json::from_slice(&message.payload)?).await;
        }
        // Of a job that is over its topic is cleared.
        if let Ok(job) = serde_json::from_slice::<JobMessage>(&message.payload)
            && job.op == "train"
            && job.result.get("promoted") == Some(&true.into())
        {
            self.told = Some(job);
        }
        Ok(false)
    }

    async fn predicted(&mut self, said: PredictionMessage) -> Result<bool> {
        let count = self.labels.len() as u64;
        let (pass, row) = ((said.frame - 1) / count, ((said.frame - 1) % count) as usize);
        let teaching = pass == 0 && row < self.labels.len() / 2;
        // It ends with the last frame that shows the class.
        let next = self.labels.get(row + 1).filter(|_| teaching && row + 1 < self.labels.len() / 2).cloned();
        let label = self.labels.get(row).cloned().filter(|label| teaching && label != "unclear");
        if let Some(class) = self.capturing.take_if(|class| Some(&*class) != next.as_ref()) {
            *self.bursts.entry(class).or_default() += 1;
            self.command(Command::Capture(Capture::Stop)).await?;
        } else if let Some(class) =
            label.filter(|class| self.capturing.is_none() && Some(class) == next.as_ref())
        {
            let class_name = ClassName::new(&class)?;
            let start = Capture::Start { class: class_name, hz: None, seconds: None, max: None, burst: None };
            self.command(Command::Capture(start)).await?;
            self.capturing = Some(class);
        }
        if said.head == 0 {
            if pass == PASSES.0 && !self.asked {
                self.asked = true;
                self.command(Command::Train(Train::Start { method: None })).await?;
            }
            return Ok(pass >= PASSES.1);
        }
        self.first.get_or_insert(self.begun.elapsed());
        Ok(self.score.takes(pass, row, &self.labels, &said))
    }

    fn row(&self, play: &Play) -> Row {
        let figure = |name: &str, part: &str| self.told.as_ref()?.metrics.get(name)?.get(part)?.as_f64();
        let (right, all) = self.score.classes.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let classes = self.score.classes.values();
        let recalls = classes.map(|(right, all)| f64::from(*right) / f64::from(*all));
        let truth = (all > 0).then(|| f64::from(right) / f64::from(all));
        let told = figure("accuracy", "value");
        let interval = figure("accuracy", "low").zip(figure("accuracy", "high"));
        let both = truth.zip(told);
        let held = truth.zip(interval).map(|(truth, (low, high))| low <= truth && truth <= high);
        let name = play.stream.file_name().unwrap_or_default().to_string_lossy();
        let backbone = play.backbone.as_ref().map_or("tiny".into(), |(_, card)| card.name.clone());
        Row {
            bursts: self.bursts.values().copied().min().unwrap_or(0),
            no_head: f64::from(u8::from(self.first.is_none())),
            asked: f64::from(u8::from(self.asked)),
            truth,
            truth_balanced: super::truth::mean(recalls),
            told,
            within5: both.map(|(truth, told)| f64::from(u8::from((truth - told).abs() <= 0.05))),
            covered: held.map(|held| f64::from(u8::from(held))),
            width: interval.map(|(low, high)| high - low),
            shown: truth.map(|_| f64::from(self.score.shown) / f64::from(all)),
            seconds: self.first.map(|first| first.as_secs_f64()),
            labels: self.told.as_ref().and_then(|job| job.metrics.get("samples")?.as_f64()),
            ..Row::empty(&name, &backbone, "daemon")
        }
    }
}

impl Score {
    /// Counts a prediction of the second half, from its beginning on; whether that is over.
    fn takes(&mut self, pass: u64, row: usize, labels: &[String], said: &PredictionMessage) -> bool {
        let half = labels.len() / 2;
        match self.pass {
            None if row < half => self.pass = Some(pass),
            Some(begun) if pass > begun => return true,
            _ => {}
        }
        if self.pass != Some(pass) || row < half || labels[row] == "unclear" {
            return false;
        }
        let of = self.classes.entry(labels[row].clone()).or_default();
        of.0 += u32::from(said.label.as_ref() == Some(&Some(labels[row].clone())));
        of.1 += 1;
        self.shown += u32::from(matches!(said.label, Some(Some(_))));
        false
    }
}
