//! `graft capture`: keep frames of one class as samples.

use super::Common;
use super::client::word;
use anyhow::Result;
use clap::{Args, Subcommand};
use graft_wire::command::Capture;
use graft_wire::{ClassName, Command};
use serde_json::Value;

/// Keep frames of one class as samples
#[derive(Subcommand, Clone, Debug)]
pub enum CaptureCommand {
    Start(StartArgs),
    /// End the running capture
    Stop,
    /// Keep the newest frame as one sample
    Snap {
        /// Class of the sample [default: that of the last capture]
        #[arg(long, value_name = "CLASS")]
        class: Option<ClassName>,
    },
}

/// Begin to keep frames, all in one burst
#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// Class of the samples; created if new
    #[arg(long, value_name = "CLASS")]
    class: ClassName,
    /// End by itself after so many seconds, 0.1 to 600
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Frames kept a second, 0.1 to 30
    #[arg(long, value_name = "HZ")]
    hz: Option<f64>,
    /// End by itself after so many samples, 1 to 1000
    #[arg(long, value_name = "N")]
    max: Option<u32>,
    /// Burst the samples belong to: the same name for captures that show the same thing at the same place
    #[arg(long, value_name = "NAME")]
    burst: Option<String>,
}

pub fn run(command: &CaptureCommand, common: &Common) -> Result<()> {
    common.send(&request(command), |data| match command {
        CaptureCommand::Start(args) => {
            let end = match args.seconds {
                Some(seconds) => format!("it ends after {seconds} s"),
                None => "`graft capture stop` ends it".to_owned(),
            };
            let begun = format!("capturing {}, burst {}; {end}", args.class, word(data, "/burst"));
            with_what_is_missing(begun, data)
        }
        CaptureCommand::Stop => captured(data),
        CaptureCommand::Snap { .. } => {
            with_what_is_missing(format!("sample {}: {}", word(data, "/sample"), word(data, "/class")), data)
        }
    })
}

/// What a capture kept.
pub(super) fn captured(data: &Value) -> String {
    let part = |pointer| word(data, pointer);
    let (class, kept, skipped) = (part("/class"), part("/kept"), part("/skipped"));
    let text =
        format!("{class}: {kept} frames kept, {skipped} near-copies skipped, of {} s", part("/seconds"));
    with_what_is_missing(text, data)
}

/// Adds, on a line of its own, what keeps a round from starting.
pub(super) fn with_what_is_missing(text: String, data: &Value) -> String {
    match data.get("waiting_for").and_then(Value::as_str) {
        Some(missing) => format!("{text}\n{missing}"),
        None => text,
    }
}

/// The command that is sent.
pub(super) fn request(command: &CaptureCommand) -> Command {
    Command::Capture(match command.clone() {
        CaptureCommand::Stop => Capture::Stop,
        CaptureCommand::Snap { class } => Capture::Snap { class },
        CaptureCommand::Start(StartArgs { class, seconds, hz, max, burst }) => {
            Capture::Start { class, hz, seconds, max, burst }
        }
    })
}
