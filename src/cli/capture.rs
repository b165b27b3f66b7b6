//! `graft capture`: keep frames of one class as samples.

use super::Common;
use super::client::{body, word};
use anyhow::Result;
use clap::{Args, Subcommand};
use graft_wire::Op;
use serde_json::{Value, json};

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
        class: Option<String>,
    },
}

/// Begin to keep frames, all in one burst
#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// Class of the samples; made if it is new
    #[arg(long, value_name = "CLASS")]
    class: String,
    /// End by itself after so many seconds, 0.1 to 600
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Frames kept a second, 0.1 to 30
    #[arg(long, value_name = "HZ")]
    hz: Option<f64>,
    /// End by itself after so many samples, 1 to 1000
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Burst the samples belong to: the same name for captures that show the same thing at the same place
    #[arg(long, value_name = "NAME")]
    burst: Option<String>,
}

pub fn run(command: &CaptureCommand, common: &Common) -> Result<()> {
    let sent = request(command);
    common.send(Op::Capture, &sent, |data| match command {
        CaptureCommand::Start(args) => {
            let end = match args.seconds {
                Some(seconds) => format!("it ends after {seconds} s"),
                None => "`graft capture stop` ends it".to_owned(),
            };
            format!("capturing {}, burst {}; {end}", args.class, word(data, "/burst"))
        }
        CaptureCommand::Stop => {
            format!(
                "{}: {} kept, {} skipped",
                word(data, "/class"),
                word(data, "/kept"),
                word(data, "/skipped")
            )
        }
        CaptureCommand::Snap { .. } => format!("sample {}: {}", word(data, "/sample"), word(data, "/class")),
    })
}

pub(super) fn request(command: &CaptureCommand) -> Value {
    match command {
        CaptureCommand::Stop => body("stop", &[]),
        CaptureCommand::Snap { class } => body("snap", &[("class", json!(class))]),
        CaptureCommand::Start(args) => {
            let fields = [
                ("class", json!(args.class)),
                ("hz", json!(args.hz)),
                ("seconds", json!(args.seconds)),
                ("max", json!(args.max)),
                ("burst", json!(args.burst)),
            ];
            body("start", &fields)
        }
    }
}
