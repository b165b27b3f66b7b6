//! `graft dataset`: the stored samples as a whole.

use super::client::{absolute, body, word};
use super::output::table;
use super::{Common, Usage};
use anyhow::{Context, Result};
use clap::Subcommand;
use graft_wire::Op;
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
        class: Option<String>,
        /// At most so many, 1 to 1000
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Skip so many
        #[arg(long, value_name = "N", default_value_t = 0)]
        offset: u64,
    },
    /// List samples whose labels are probably wrong, worst first, as the latest round found them
    Suspects {
        /// At most so many, 1 to 200
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
        class: String,
    },
    /// Rename a class; its samples stay
    RenameClass {
        /// Its name now
        class: String,
        /// Its new name
        to: String,
    },
    /// Remove a class with its samples; without --yes only tell how many that are
    RemoveClass {
        /// Its name
        class: String,
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
    /// Close the open burst: what comes next counts as another
    Seal,
    /// Delete all samples; the classes stay
    Clear {
        /// Really do it
        #[arg(long)]
        yes: bool,
    },
}

pub fn run(command: &DatasetCommand, common: &Common) -> Result<()> {
    if let DatasetCommand::Statistics { out } = command {
        let bytes = common.client().get_bytes("/v1/dataset/statistics", &[])?;
        super::head_export::write(out, &bytes)?;
        let told = json!({"out": out, "bytes": bytes.len()});
        return common.output().show(&told, |_| format!("{} ({} bytes)", out.display(), bytes.len()));
    }
    let sent = request(command)?;
    match command {
        DatasetCommand::Import { wait, .. } | DatasetCommand::Export { wait, .. } => {
            let job = common.job(Op::Dataset, &sent, *wait)?;
            common.output().show(&json!(job), |job| match (wait, job.get("result")) {
                (true, Some(result)) => result.to_string(),
                _ => format!("job {}", word(job, "/id")),
            })
        }
        DatasetCommand::Ls { .. } => {
            let rows = common.command(Op::Dataset, &sent)?.data.unwrap_or_default();
            common.output().show(&rows, samples)
        }
        DatasetCommand::Suspects { save, .. } => {
            let rows = common.command(Op::Dataset, &sent)?.data.unwrap_or_default();
            if let Some(dir) = save {
                pictures(&rows, dir, common)?;
            }
            common.output().show(&rows, suspects)
        }
        DatasetCommand::RemoveClass { class, yes: false } => common.send(Op::Dataset, &sent, |data| {
            format!("{} samples of {class} would go; add --yes to do it", word(data, "/affected"))
        }),
        DatasetCommand::Seal => common.send(Op::Dataset, &sent, |_| "burst closed".to_owned()),
        _ => common.send(Op::Dataset, &sent, |data| word(data, "/text")),
    }
}

pub(super) fn request(command: &DatasetCommand) -> Result<Value> {
    let class = |class: &String| ("class", json!(class));
    Ok(match command {
        DatasetCommand::Import { dir, .. } => body("import", &[("path", json!(absolute(dir)?))]),
        DatasetCommand::Export { dir, .. } => {
            let path = dir.as_deref().map(absolute).transpose()?;
            body("export", &[("path", json!(path))])
        }
        DatasetCommand::Ls { class, limit, offset } => {
            body("list", &[("class", json!(class)), ("limit", json!(limit)), ("offset", json!(offset))])
        }
        DatasetCommand::Suspects { limit, .. } => body("suspects", &[("limit", json!(limit))]),
        DatasetCommand::AddClass { class: name } => body("add_class", &[class(name)]),
        DatasetCommand::RenameClass { class: name, to } => {
            body("rename_class", &[class(name), ("to", json!(to))])
        }
        DatasetCommand::RemoveClass { class: name, yes } => {
            body("remove_class", &[class(name), ("dry_run", json!(!yes))])
        }
        DatasetCommand::Seal => body("seal", &[]),
        // A view, which changes nothing and has no body.
        DatasetCommand::Statistics { .. } => Value::Null,
        DatasetCommand::Clear { yes: false } => {
            return Err(Usage(
                "this deletes all samples (`graft label undo` takes it back); add --yes".into(),
            )
            .into());
        }
        DatasetCommand::Clear { yes: true } => body("clear", &[]),
    })
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
        super::head_export::write(&dir.join(format!("{id}.jpg")), &jpeg)?;
    }
    Ok(())
}
