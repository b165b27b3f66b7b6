//! `graft backbone`: look at ONNX files, write their cards, fetch well-known ones.

mod admit;

use super::client::word;
use super::output::{Output, percent, table};
use super::{Common, NotFound, Usage, files};
use crate::config::bytes_text;
use admit::AdmitArgs;
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use graft_backbone::admission::{self, Question};
use graft_backbone::{self as backbone, Card, Crop, Inspection};
use graft_wire::{Command, command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Look at backbones, write their cards, fetch well-known ones, go back to the one before
#[derive(Subcommand, Clone, Debug)]
pub enum BackboneCommand {
    /// List the backbones that can be fetched
    Ls,
    Inspect(InspectArgs),
    Card(CardArgs),
    Fetch(FetchArgs),
    /// List the backbones that hosts sent, newest first
    List,
    /// Go back to the backbone and the head that were active before
    Rollback,
    #[command(hide = true)]
    Admit(AdmitArgs),
}

/// Show inputs, cut, width, operators, cost and card of an ONNX file
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// ONNX file
    file: PathBuf,
    /// Its card [default: the .toml file beside it, else guessed]
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Cut at this tensor instead
    #[arg(long, value_name = "TENSOR")]
    features: Option<String>,
}

/// Write the card of an ONNX file
#[derive(Args, Clone, Debug)]
pub struct CardArgs {
    /// ONNX file
    file: PathBuf,
    /// Mean of red, green, blue after division by 255 [default: ImageNet's]
    #[arg(long, value_name = "R,G,B", value_parser = triple)]
    mean: Option<[f32; 3]>,
    /// Standard deviation of red, green, blue after division by 255 [default: ImageNet's]
    #[arg(long, value_name = "R,G,B", value_parser = triple)]
    std: Option<[f32; 3]>,
    /// Side of its input in pixels [default: as the file says, else 224]
    #[arg(long, value_name = "PX")]
    size: Option<u32>,
    /// Short side before the crop [default: size * 256 / 224]
    #[arg(long, value_name = "PX")]
    resize: Option<u32>,
    /// Which part of a picture it sees
    #[arg(long, value_enum)]
    crop: Option<CropName>,
    /// Tensor that is the embedding [default: found]
    #[arg(long, value_name = "TENSOR")]
    features: Option<String>,
    /// Licence of the file (SPDX)
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// File to write [default: beside the ONNX file]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Fetch a well-known backbone; what has arrived is resumed, a wrong digest refused
#[derive(Args, Clone, Debug)]
pub struct FetchArgs {
    /// Name from `backbone ls`, or a card file
    name: String,
    /// File to write; its card goes beside it [default: NAME.onnx in this folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Which part of a picture is used.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum CropName {
    /// The middle square
    Center,
    /// All of it, squeezed to a square
    Stretch,
    /// The box that the settings give
    Roi,
}

fn triple(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|word| word.trim().parse()).collect();
    numbers
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "three numbers with commas, like 0.485,0.456,0.406".to_owned())
}

pub fn run(command: &BackboneCommand, common: &Common) -> Result<()> {
    let output = common.output();
    match command {
        BackboneCommand::Admit(args) => admit::run(args, output),
        BackboneCommand::List => output.show(&common.get::<Value>("/v1/backbones")?, list),
        BackboneCommand::Rollback => common.send(&Command::Backbone(command::Backbone::Rollback), |data| {
            format!(
                "the backbone before is active again, with its head as version {}",
                word(data, "/version")
            )
        }),
        BackboneCommand::Ls => {
            let row = |card: &Card| {
                vec![
                    card.name.clone(),
                    card.width.to_string(),
                    format!("{} px", card.size),
                    bytes_text(card.bytes),
                    card.licence.clone(),
                ]
            };
            output.show(&backbone::recipes(), |cards| {
                table(&["name", "width", "input", "file", "licence"], cards.iter().map(row))
            })
        }
        BackboneCommand::Inspect(args) => {
            // What cannot be read at all is said here, better than a child can.
            drop(backbone::read_file(&args.file)?);
            args.card.as_deref().map(Card::read).transpose()?;
            let question = Question {
                card: args.card.as_deref(),
                features: args.features.as_deref(),
                ..Question::of(&args.file)
            };
            let admission = admission::ask(Path::new(admission::PROGRAM), &question)?;
            output.show(&admission.inspection, text)
        }
        BackboneCommand::Card(args) => card(args, output),
        BackboneCommand::Fetch(args) => fetch(args, output),
    }
}

fn list(data: &Value) -> String {
    let rows = data.get("backbones").and_then(Value::as_array).cloned().unwrap_or_default();
    let row = |of: &Value| {
        let part = |pointer: &str| word(of, pointer);
        let accuracy = of.pointer("/metrics/accuracy").and_then(Value::as_f64);
        vec![
            part("/line"),
            part("/version"),
            part("/slot"),
            part("/stage"),
            accuracy.map_or("-".to_owned(), percent),
            part("/created"),
            part("/reason"),
        ]
    };
    let mut text =
        table(&["line", "version", "", "stage", "accuracy (host)", "came", "reason"], rows.iter().map(row));
    match (word(data, "/configured").as_str(), data.get("probation")) {
        (_, Some(Value::Bool(true))) => text.push_str("\nthe active one is on probation"),
        ("active", _) => text.push_str("\nthe configured backbone is active"),
        _ => {}
    }
    text
}

fn text(seen: &Inspection) -> String {
    let port = |port: &backbone::scan::Port| {
        let dims = |shape: &Vec<backbone::scan::Dim>| json!(shape).to_string().replace('"', "");
        format!("{} {} {}", port.name, port.element, port.shape.as_ref().map(dims).unwrap_or_default())
    };
    let list = |ports: &[backbone::scan::Port]| ports.iter().map(port).collect::<Vec<_>>().join("; ");
    let ops: Vec<String> = seen.ops.iter().map(|(op, n)| format!("{op} {n}")).collect();
    let (card, time) = (&seen.card, seen.ms_per_frame);
    let rows = [
        ("name", seen.identity.name.clone()),
        ("digest", seen.identity.digest.clone()),
        ("file", format!("{}, opset {}, {}", bytes_text(seen.bytes), seen.opset, seen.producer)),
        ("inputs", list(&seen.inputs)),
        ("outputs", list(&seen.outputs)),
        (
            "cut",
            format!(
                "{} ({}), pooling {}",
                seen.cut.tensor,
                json!(seen.cut.found).to_string().replace('"', ""),
                seen.cut.pooling
            ),
        ),
        ("width", seen.width.to_string()),
        ("operators", ops.join(", ")),
        (
            "cost",
            format!(
                "{:.1} million multiply-adds, {:.2} million weights",
                seen.macs as f64 / 1e6,
                seen.parameters as f64 / 1e6
            ),
        ),
        (
            "time",
            format!("{:.1} ms a frame, {:.1} at best ({} runs, one thread)", time.p50, time.min, time.n),
        ),
        ("input", format!("{} px, {} crop from {} px", card.size, card.crop.as_str(), card.resize)),
        ("mean, std", format!("{:?}, {:?}", card.mean, card.std)),
        ("licence", if card.licence.is_empty() { "not stated".to_owned() } else { card.licence.clone() }),
    ];
    let mut text: String = rows.iter().map(|(name, value)| format!("{name:10}  {value}\n")).collect();
    for warning in &seen.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

fn card(args: &CardArgs, output: Output) -> Result<()> {
    let bytes = files::read(&args.file, backbone::scan::Limits::default().file_bytes)?;
    let stem = args.file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let mut card = Card::guess(&bytes, &stem)?;
    if let Some(size) = args.size {
        (card.size, card.resize) = (size, (u64::from(size) * 256 / 224).try_into().unwrap_or(u32::MAX));
    }
    let crop = args.crop.map(|crop| match crop {
        CropName::Center => Crop::Center,
        CropName::Stretch => Crop::Stretch,
        CropName::Roi => Crop::Roi,
    });
    card.resize = args.resize.unwrap_or(card.resize);
    card.crop = crop.unwrap_or(card.crop);
    card.mean = args.mean.unwrap_or(card.mean);
    card.std = args.std.unwrap_or(card.std);
    card.features = args.features.clone();
    card.licence = args.licence.clone().unwrap_or_default();
    card.check().map_err(Usage)?;
    // What it says is tried before it is written: the cut has to be there, and gives the width.
    card.width = backbone::Backbone::from_bytes(&bytes, &card)?.width();
    let out = args.out.clone().unwrap_or_else(|| Card::path_beside(&args.file));
    files::write(&out, card.to_toml().as_bytes())?;
    output.show(&card, |_| format!("{}\n\n{}", out.display(), card.to_toml()))
}

fn fetch(args: &FetchArgs, output: Output) -> Result<()> {
    let known = backbone::recipes();
    let card = match known.iter().find(|card| card.name == args.name) {
        Some(card) => card.clone(),
        None if Path::new(&args.name).is_file() => Card::read(Path::new(&args.name))?,
        None => {
            let names: Vec<&str> = known.iter().map(|card| card.name.as_str()).collect();
            let near = graft_wire::nearest::nearest(&args.name, &names);
            let hint = near
                .map_or("`graft backbone ls` lists them".to_owned(), |near| format!("did you mean {near}?"));
            return Err(NotFound(format!("no backbone {}; {hint}", args.name)).into());
        }
    };
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.onnx", card.name)));
    let bar = output.bar(card.bytes, &card.name);
    let done = backbone::fetch::fetch(&card, &out, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done?;
    let beside = Card::path_beside(&out);
    // Looked at before it gets the card that says it may be used.
    let question = Question { card: None, ..Question::of(&out) };
    admission::ask(Path::new(admission::PROGRAM), &question)?;
    files::write(&beside, card.to_toml().as_bytes())?;
    let told = json!({"name": card.name, "out": out, "card": beside, "sha256": card.sha256, "licence": card.licence});
    output.show(&told, |_| {
        format!("{} and {}, SHA-256 checked, licence {}", out.display(), beside.display(), card.licence)
    })
}
