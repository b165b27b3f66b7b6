//! `graft dataset`: the stored samples as a whole.

use super::client::{absolute, word};
use super::output::table;
use super::{Common, Usage};
use anyhow::{Context, Result};
use clap::Subcommand;
use graft_wire::command::Dataset;
use graft_wire::{ClassName, Command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Import, export, list and order the stored samples
#[derive(Subcommand, Clone, Debug)]
pub enum DatasetCommand {
    /// Read an export, or a plain folder with one folder of pictures a class
    Import {
        /// The folder, on the board
        dir: PathBuf,
        /// Wait for the end
        #[arg(long)]
        wait: bool,
    },
    /// Write all samples as one folder a class, with labels.txt and samples.jsonl
    Export {
        /// The folder, on the board [default: a new one in the state folder]
        dir: Option<PathBuf>,
        /// Wait for the end
        #[arg(long)]
        wait: bool,
    },
    /// List samples, newest first
    Ls {
        /// Only of this class
        #[arg(long, value_name = "CLASS")]
        class: Option<ClassName>,
        /// Maximum rows, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Rows to skip
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: u64,
    },
    /// List samples whose labels are probably wrong, worst first, as the latest round found them
    Suspects {
        /// Maximum rows, 1 to 200
        #[arg(long, value_name = "N", default_value_t = 40)]
        limit: u32,
        /// Also write their pictures into this folder, to look at
        #[arg(long, value_name = "DIR")]
        save: Option<PathBuf>,
    },
    /// Write the sums over all samples, from which `graft host merge` makes one head for several boards
    ///
    /// They hold no picture, but tell much about them; docs/guide/offload.md says what.
    Statistics {
        /// File to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Add an empty class
    AddClass {
        /// Its name
        class: ClassName,
    },
    /// Rename a class; its samples stay
    RenameClass {
        /// Its name now
        class: ClassName,
        /// Its new name
        to: ClassName,
    },
    /// Remove a class with its samples; without --yes only tell how many that are
    RemoveClass {
        /// Its name
        class: ClassName,
        /// Confirm
        #[arg(long)]
        yes: bool,
    },
    /// Close the open burst: what comes next counts as another
    Seal,
    /// Delete all samples; the classes stay
    Clear {
        /// Confirm
        #[arg(long)]
        yes: bool,
    },
}

pub fn run(command: &DatasetCommand, common: &Common) -> Result<()> {
    if let DatasetCommand::Statistics { out } = command {
        let bytes = common.client().get_bytes("/v1/dataset/statistics", &[])?;
        super::files::write(out, &bytes)?;
        let told = json!({"out": out, "bytes": bytes.len()});
        return common.output().show(&told, |_| format!("{} ({} bytes)", out.display(), bytes.len()));
    }
    let sent = request(command)?;
    match command {
        DatasetCommand::Import { wait, .. } | DatasetCommand::Export { wait, .. } => {
            let job = common.job(&sent, *wait)?;
            common.output().show(&json!(job), |job| match (wait, job.get("result")) {
                (true, Some(result)) => result.to_string(),
                _ => format!("job {}", word(job, "/id")),
            })
        }
        DatasetCommand::Ls { .. } => {
            let rows = common.command(&sent)?.data.unwrap_or_default();
            common.output().show(&rows, samples)
        }
        DatasetCommand::Suspects { save, .. } => {
            let rows = common.command(&sent)?.data.unwrap_or_default();
            if let Some(dir) = save {
                pictures(&rows, dir, common)?;
            }
            common.output().show(&rows, suspects)
        }
        DatasetCommand::RemoveClass { class, yes: false } => common.send(&sent, |data| {
            format!("{} samples of {class} would go; add --yes to do it", word(data, "/affected"))
        }),
        DatasetCommand::Seal => common.send(&sent, |_| "burst closed".to_owned()),
        _ => common.send(&sent, |data| word(data, "/text")),
    }
}

/// The command that is sent; `statistics` is a view and sends none.
pub(super) fn request(command: &DatasetCommand) -> Result<Command> {
    Ok(Command::Dataset(match command.clone() {
        DatasetCommand::Import { dir, .. } => Dataset::Import { path: absolute(&dir)? },
        DatasetCommand::Export { dir, .. } => {
            Dataset::Export { path: dir.as_deref().map(absolute).transpose()? }
        }
        DatasetCommand::Ls { class, limit, offset } => Dataset::List { class, limit, offset },
        DatasetCommand::Suspects { limit, .. } => Dataset::Suspects { limit },
        DatasetCommand::AddClass { class } => Dataset::AddClass { class },
        DatasetCommand::RenameClass { class, to } => Dataset::RenameClass { class, to },
        DatasetCommand::RemoveClass { class, yes } => Dataset::RemoveClass { class, dry_run: !yes },
        DatasetCommand::Seal => Dataset::Seal,
        DatasetCommand::Clear { yes: true } => Dataset::Clear,
        DatasetCommand::Clear { yes: false } => {
            let text = "this deletes all samples (`graft label undo` takes it back); add --yes";
            return Err(Usage(text.into()).into());
        }
        DatasetCommand::Statistics { .. } => return Err(Usage("statistics are read, not sent".into()).into()),
    }))
}

fn samples(data: &Value) -> String {
    let rows = data.get("samples").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |row: &Value| ["/id", "/class", "/burst", "/taken", "/by"].map(|part| word(row, part)).to_vec();
    table(&["sample", "class", "burst", "taken", "by"], rows.iter().map(row))
}

fn suspects(data: &Value) -> String {
    let rows = data.get("suspects").and_then(Value::as_array).cloned().unwrap_or_default();
    if rows.is_empty() {
        return "no suspects: the latest round found none, or all were looked at; `graft train` looks again"
            .to_owned();
    }
    let row = |row: &Value| {
        // How much likelier the other class is.
        let odds = row.get("margin").and_then(Value::as_f64).map_or(f64::NAN, |margin| (-margin).exp());
        let mut cells = ["/id", "/class", "/said"].map(|part| word(row, part)).to_vec();
        cells.push(if odds < 1000.0 { format!("{odds:.0} : 1") } else { "over 1000 : 1".to_owned() });
        cells.extend(["/burst", "/taken"].map(|part| word(row, part)));
        cells
    };
    let table = table(&["sample", "labelled", "looks like", "odds", "burst", "taken"], rows.iter().map(row));
    format!("{table}\nright: nothing to do; wrong: graft label relabel SAMPLE CLASS")
}

/// Writes the pictures of listed samples.
fn pictures(rows: &Value, dir: &Path, common: &Common) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for row in rows.get("suspects").and_then(Value::as_array).into_iter().flatten() {
        let id = word(row, "/id");
        let jpeg = common.client().get_bytes(&format!("/v1/samples/{id}/image"), &[])?;
        super::files::write(&dir.join(format!("{id}.jpg")), &jpeg)?;
    }
    Ok(())
}
