//! `graft host`: the side of offload that has the GPU.

use super::output::{Output, table};
use super::{Common, Usage, files};
use anyhow::Result;
use clap::{Args, Subcommand};
use graft_host::{self as host, Settings, Status};
use graft_wire::Manifest;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where the settings are, unless --config says otherwise.
const CONFIG: &str = "/etc/graft/host.toml";

/// Fine-tune backbones for boards: run a training host, and look after it
///
/// Settings are in /etc/graft/host.toml, or where --config says; --set changes one key. `graft host config` prints them
/// all with their defaults.
#[derive(Subcommand, Clone, Debug)]
pub enum HostCommand {
    /// Take jobs until told to stop
    Run,
    /// Show claimed jobs, finished backbones and group assignments
    Status,
    /// The public key that boards pin (offload.host_keys); made at the first call
    #[command(alias = "keygen")]
    Keys,
    /// Every setting with its default and what it is for
    Config,
    /// Give every board of a group a backbone that this host has made
    Assign(AssignArgs),
    /// One head from the statistics of several boards, as exact as from all their samples
    Merge(MergeArgs),
}

/// What is given to whom.
#[derive(Args, Clone, Debug)]
pub struct AssignArgs {
    /// Version, see `graft host status`
    version: u64,
    /// Group of boards (their setting offload.group)
    #[arg(long, value_name = "NAME")]
    group: String,
    /// Line of backbones, where more than one has this version
    #[arg(long, value_name = "NAME")]
    line: Option<String>,
}

/// What is merged.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// Files of `graft dataset statistics`, one a board
    #[arg(required = true, num_args = 2.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The head; its signed manifest is written beside it as .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Strength of the ridge, as a multiple of the mean square norm of the embeddings
    #[arg(long, default_value_t = 0.01)]
    lambda: f64,
}

fn settings(common: &Common) -> Result<Settings> {
    let standard = Path::new(CONFIG);
    let file = common.config.as_deref().or_else(|| standard.exists().then_some(standard));
    // Told as a usage error: the text names file and key.
    Settings::read(file, &common.set).map_err(|error| Usage(format!("{error:#}")).into())
}

pub fn run(command: &HostCommand, common: &Common) -> Result<()> {
    let output = common.output();
    match command {
        HostCommand::Run => {
            let settings = settings(common)?;
            crate::log::start("info");
            host::run(settings)
        }
        HostCommand::Config => output.line(host::DEFAULTS),
        HostCommand::Keys => {
            let key = host::public_key(&settings(common)?.dir)?;
            let told = json!({"public_key": key.base64(), "key_id": key.id()});
            output.show(&told, |_| key.base64())
        }
        HostCommand::Status => output.show(&host::status(&settings(common)?.dir)?, told),
        HostCommand::Assign(args) => {
            let line = args.line.as_deref();
            let manifest = host::assign(&settings(common)?, args.version, line, &args.group)?;
            output.show(&json!(manifest), |_| {
                format!(
                    "group {} is to have {} version {}; `graft host status` shows how far that is",
                    args.group, manifest.line, manifest.version
                )
            })
        }
        HostCommand::Merge(args) => merge(args, &settings(common)?, output),
    }
}

fn merge(args: &MergeArgs, settings: &Settings, output: Output) -> Result<()> {
    let mut sums = Vec::with_capacity(args.files.len());
    for path in &args.files {
        let bytes = files::read(path, graft_wire::statistics_file::MAX_BYTES as u64)?;
        sums.push((path.display().to_string(), bytes));
    }
    let head = host::merge(&sums, args.lambda, &settings.id)?;
    let bytes = head.encode()?;
    let manifest = Manifest::signed(&bytes, None, &host::key(&settings.dir)?)?;
    let beside = args.out.with_extension("json");
    files::write(&args.out, &bytes)?;
    files::write(&beside, manifest.to_json().as_bytes())?;
    output.show(&json!({"head": args.out, "manifest": beside, "metrics": head.meta.metrics}), |_| {
        format!("{} and its manifest {}", args.out.display(), beside.display())
    })
}

fn told(status: &Status) -> String {
    let mut text = format!(
        "{}; public key {}\n",
        if status.running { "running" } else { "not running" },
        status.public_key
    );
    if !status.jobs.is_empty() {
        let rows = status.jobs.iter().map(|j| {
            let reason = j.reason.clone().unwrap_or_default();
            let phase = j.phase.to_owned();
            vec![j.device.clone(), j.job.clone(), phase, j.recipe.clone(), j.samples.to_string(), reason]
        });
        text += &table(&["device", "job", "phase", "recipe", "samples", "why"], rows);
        text.push('\n');
    }
    if !status.backbones.is_empty() {
        let rows = status.backbones.iter().map(|b| {
            let figure = |name: &str| b.metrics.get(name).map_or_else(|| "?".into(), |v| format!("{v:.3}"));
            let accuracy = format!("{} (head alone {})", figure("accuracy"), figure("baseline_accuracy"));
            vec![
                b.line.clone(),
                b.version.to_string(),
                b.for_whom.clone(),
                b.recipe.clone(),
                accuracy,
                b.created.clone(),
            ]
        });
        text += &table(&["line", "version", "for", "recipe", "held-out accuracy", "made"], rows);
        text.push('\n');
    }
    for (group, wanted) in &status.groups {
        text += &format!("group {group} is to have {} version {}\n", wanted.line, wanted.progress.version);
        for (device, member) in &wanted.progress.devices {
            let reason = member.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            text += &format!("  {device}: {}{reason}\n", member.state.as_str());
        }
    }
    text
}
