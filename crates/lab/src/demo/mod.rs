//! `lab demo`: the real daemon as a child process on the built-in scene, a broker on loopback, and a
//! scripted operator who does over MQTT what a person would do. Succeeds only if the new head is really
//! better on objects that were never labelled, and if what was published verifies.

pub(crate) mod child;
pub mod offload;
mod operator;
mod output;
mod score;

use anyhow::{Context, Result};
use clap::Args;
use graft_camera::pattern::{CLASSES, PatternSettings, Scene};
use graft_testing::broker::Broker;
use operator::{Bursts, Published, Round, Visit};
use output::Output;
use score::Score;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Show the whole thing in about a minute: no camera, broker or internet needed
///
/// Runs the real daemon in a temporary folder on a moving scene, labels bursts over MQTT as a person would, adapts,
/// and verifies the published head. Fails if the new head is not really better.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Stay up afterwards, to play with it
    #[arg(long)]
    keep: bool,
    /// Seed of the scene
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use this MQTT broker instead of the built-in one
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Keep the state in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The program to show [default: `graft` beside this one]
    #[arg(long, value_name = "PROGRAM")]
    graft: Option<PathBuf>,
}

/// Frames a second of the scene.
const FPS: f64 = 20.0;
/// Frames that one object stays: two seconds.
const HOLD_FRAMES: u32 = 40;
/// What guessing would get right.
const CHANCE: f64 = 1.0 / CLASSES.len() as f64;
/// Appearances watched at the end.
const WATCHED_AFTER: usize = 12;
/// Bursts labelled of each class.
const BURSTS: Bursts = Bursts { each: 4, hz: 4, samples: 6 };

/// A folder that goes with its owner unless it was given.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    temporary: bool,
}

impl Folder {
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self> {
        let temporary = given.is_none();
        let path = match given {
            Some(path) => path,
            None => std::env::temp_dir().join(format!("graft-demo-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Runs the demo; `Ok(true)` when the head is really better and verified.
///
/// # Errors
/// When broker, daemon or a command fails; the text says where to look.
pub fn run(arguments: &DemoArgs, json: bool) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments, json))
}

fn config(folder: &Path, host: &str, port: u16, seed: u64) -> String {
    let path = |name: &str| toml_text(&folder.join(name).display().to_string());
    format!(
        "[device]\nid = \"demo\"\n\
         [camera]\nsource = \"pattern\"\nfps = {FPS:?}\nseed = {seed}\nhold_frames = {HOLD_FRAMES}\nwidth = 320\nheight = 240\n\
         [capture]\nring_hz = 10.0\nskip_above = 1.0\n\
         [learn]\nmin_samples_per_class = 5\nnew_samples = 20\nidle_s = 1.0\n\
         [predict]\nmax_hz = 10.0\n\
         [store]\ndir = {state}\nfree_floor = \"0 B\"\nquota = \"100 MB\"\n\
         [mqtt]\nhost = {host}\nport = {port}\n\
         [socket]\npath = {socket}\n",
        state = path("state"),
        host = toml_text(host),
        socket = path("graft.sock"),
    )
}

/// A TOML basic string; JSON's escapes are TOML's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn address(broker: &str) -> Result<(String, u16)> {
    let (host, port) = broker.rsplit_once(':').context("--broker takes HOST:PORT, like 127.0.0.1:1883")?;
    Ok((host.to_owned(), port.parse().context("the port of --broker is not a number")?))
}

async fn play(arguments: &DemoArgs, json: bool) -> Result<bool> {
    let begun = Instant::now();
    let output = Output { json };
    let program = child::program(arguments.graft.as_deref())?;
    let folder = Folder::new(arguments.state.clone())?;
    let (broker, host, port) = match &arguments.broker {
        Some(given) => {
            let (host, port) = address(given)?;
            (None, host, port)
        }
        None => {
            let broker = Broker::start(&folder.path)?;
            let port = broker.port();
            (Some(broker), "127.0.0.1".to_owned(), port)
        }
    };
    output.say(&format!(
        "graft {} demo: the whole job, without camera, broker or GPU\n",
        env!("CARGO_PKG_VERSION")
    ));
    output.say(&format!(
        "  broker   {host}:{port}{}",
        if broker.is_some() { " (started for this demo)" } else { "" }
    ));
    let config_file = folder.path.join("config.toml");
    std::fs::write(&config_file, config(&folder.path, &host, port, arguments.seed))?;
    let mut daemon = child::Daemon::start(&program, &folder.path, &config_file, &["run"])?;
    output.say(&format!("  daemon   state and log in {}", folder.path.display()));
    let scene = Scene::new(PatternSettings {
        fps: FPS,
        seed: arguments.seed,
        hold_frames: HOLD_FRAMES,
        width: 320,
        height: 240,
        ..PatternSettings::default()
    });
    output.say(&format!("  camera   a moving scene of {}\n", CLASSES.join(", ")));

    let outcome = tokio::select! {
        outcome = visit(&output, &scene, &host, port) => outcome,
        reason = daemon.ended() => Err(anyhow::anyhow!("the daemon ended: {reason}")),
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            output.say(&format!("\nThe end of the daemon's log:\n{}", daemon.log_tail()));
            return Err(error);
        }
    };
    let better = outcome.better();
    let seconds = begun.elapsed().as_secs();
    output.say(&format!(
        "\n{}  {}   ({seconds} s)",
        if better {
            "The head is really better than guessing."
        } else {
            "The head is NOT better than guessing."
        },
        outcome.after
    ));
    if json {
        println!("{}", outcome.to_json(better, seconds));
    }
    if arguments.keep {
        stay(&output, &folder, &host, port, &mut daemon).await;
    }
    daemon.stop();
    Ok(better)
}

/// What the operator found.
struct Outcome {
    after: Score,
    round: Round,
    published: Published,
}

impl Outcome {
    /// Better beyond luck: even the lower end of what the few objects at the end allow is above chance.
    fn better(&self) -> bool {
        self.after.interval().0 > CHANCE
    }

    fn to_json(&self, better: bool, seconds: u64) -> serde_json::Value {
        json!({
            "better": better,
            "chance": CHANCE,
            "after": self.after.to_json(),
            "round": self.round.metrics,
            "head": {"version": self.published.version, "digest": self.published.digest,
                "bytes": self.published.bytes, "parts": self.published.parts, "verified": true},
            "seconds": seconds,
        })
    }
}

async fn visit(output: &Output, scene: &Scene, host: &str, port: u16) -> Result<Outcome> {
    let mut visit = Visit::begin(output, scene, host, port).await?;
    output.say("1  No head yet: predictions have no label");
    visit.add_classes(&CLASSES).await?;
    visit.without_head().await?;
    output.say(&format!("   guessing would be right in {:.0} %\n", 100.0 * CHANCE));
    output.say(&format!("2  Capturing {} labelled bursts of each class over MQTT", BURSTS.each));
    visit.capture(BURSTS).await?;
    output.say("\n3  Starting adaptation");
    let round = visit.adapt().await?;
    output.say("4  Reading the head back from MQTT");
    let published = visit.fetch_head(round.version).await?;
    output.say(&format!(
        "   version {}, {} bytes in {} part(s), signature and digests verified\n",
        published.version, published.bytes, published.parts
    ));
    output.say("5  The same camera, objects that were never labelled");
    let after = visit.watch(WATCHED_AFTER, round.version).await?;
    output.say(&format!("   right: {after}"));
    visit.end().await;
    Ok(Outcome { after, round, published })
}

async fn stay(output: &Output, folder: &Folder, host: &str, port: u16, daemon: &mut child::Daemon) {
    let socket = folder.path.join("graft.sock").display().to_string();
    output.say(&format!(
        "\nStill running; Ctrl-C ends it. To play with it, in another terminal:\n\
         \x20 export GRAFT_SOCKET={socket}\n\
         \x20 graft status          graft watch          graft head list\n\
         \x20 mosquitto_sub -h {host} -p {port} -v -t 'graft/demo/#' --retained-only\n\
         \x20 mosquitto_pub -h {host} -p {port} -t graft/demo/cmd/label -m washer"
    ));
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        reason = daemon.ended() => output.say(&format!("the daemon ended: {reason}")),
    }
}
