//! The command line: one file per subcommand, its arguments beside it. Commands for a running daemon go through its
//! socket with the verbs, bodies and error codes of MQTT; `embed`, `eval`, `backbone` and `head verify` need none.

mod backbone;
mod camera;
mod capture;
mod client;
mod completions;
mod config;
mod dataset;
mod doctor;
mod embed;
mod embedding;
mod eval;
mod failure;
mod files;
mod findings;
mod head;
#[cfg(feature = "host")]
mod host;
mod job;
mod label;
mod man;
mod mode;
mod npz;
mod offload;
mod output;
mod pictures;
mod run;
mod status;
#[cfg(test)]
mod tests;
mod train;
mod watch;
mod web;

pub use embedding::BackboneArgs;
pub use failure::{NotFound, NotVerified, Silent, Usage, exit_code, text};
pub use npz::Writer as NpzWriter;
pub use output::{Output, table};

use crate::config::Sources;
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Teaches a camera on the spot: trains, checks and publishes the last layer of a frozen network on the board itself
#[derive(Parser, Debug)]
#[command(name = "graft", version)]
#[command(after_help = failure::codes_help())]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Common {
    /// Configuration file [default: /etc/graft/config.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Options of every command")]
    config: Option<PathBuf>,
    /// Set one key of the configuration; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Options of every command")]
    set: Vec<String>,
    /// Socket of the daemon [default: $GRAFT_SOCKET, else as configured]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Options of every command")]
    socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true, help_heading = "Options of every command")]
    json: bool,
    /// No progress and no notes
    #[arg(long, short, global = true, help_heading = "Options of every command")]
    quiet: bool,
}

#[derive(Subcommand, Debug)]
enum Command {
    Run(run::RunArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Status(status::StatusArgs),
    Watch(watch::WatchArgs),
    #[command(subcommand)]
    Capture(capture::CaptureCommand),
    #[command(subcommand)]
    Label(label::LabelCommand),
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    Train(train::TrainArgs),
    Mode(mode::ModeArgs),
    /// Start adaptation: the same as `mode adapt`
    Start,
    /// Stop adaptation: the same as `mode infer`
    Stop,
    #[command(subcommand)]
    Head(head::HeadCommand),
    #[command(subcommand)]
    Job(job::JobCommand),
    #[command(subcommand)]
    Offload(offload::OffloadCommand),
    #[command(subcommand)]
    Web(web::WebCommand),
    #[command(subcommand)]
    Camera(camera::CameraCommand),
    Doctor(doctor::DoctorArgs),
    #[command(subcommand)]
    Backbone(backbone::BackboneCommand),
    #[cfg(feature = "host")]
    #[command(subcommand)]
    Host(host::HostCommand),
    Embed(embed::EmbedArgs),
    Eval(eval::EvalArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Common {
    /// The form of this call's output.
    fn output(&self) -> Output {
        Output { json: self.json, quiet: self.quiet }
    }

    /// Where its configuration comes from.
    fn sources(&self) -> Sources {
        Sources::here(self.config.clone(), self.set.clone())
    }
}

/// Reads the arguments, runs the command, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads it where this fails.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 2);
        }
    };
    let begun = choose_instructions().and_then(|()| check_options(&cli));
    match begun.and_then(|()| dispatch(cli.command, &cli.common)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit_code(&error);
            if code != 0 && !error.is::<Silent>() {
                eprintln!("graft: {}", failure::text(&error));
                if cli.common.json {
                    // Programs read standard output; nobody reads it where this fails.
                    let _ = cli.common.output().line(&failure::json(&error).to_string());
                }
            }
            ExitCode::from(code)
        }
    }
}

/// Has all kernels use the instructions that `$GRAFT_ISA` names, such as `avx2`; without it, the fastest that the CPU has.
///
/// # Errors
/// When the CPU does not have them, or there are none of that name.
pub fn choose_instructions() -> Result<()> {
    if let Some(name) = std::env::var_os("GRAFT_ISA").filter(|name| !name.is_empty()) {
        graft_simd::Isa::choose(&name.to_string_lossy())
            .map_err(|error| failure::Usage(format!("GRAFT_ISA: {error}")))?;
    }
    Ok(())
}

/// A client that only looks for its socket refuses options that the daemon would refuse.
fn check_options(cli: &Cli) -> Result<()> {
    // The host has keys of its own.
    #[cfg(feature = "host")]
    if matches!(cli.command, Command::Host(_)) {
        return Ok(());
    }
    Ok(crate::config::check_options(&cli.common.set)?)
}

fn dispatch(command: Command, common: &Common) -> Result<()> {
    let output = common.output();
    match command {
        Command::Run(args) => run::run(&args, common),
        Command::Config(command) => config::run(command, common),
        Command::Status(args) => status::run(&args, common),
        Command::Watch(args) => watch::run(&args, common),
        Command::Capture(command) => capture::run(&command, common),
        Command::Label(command) => label::run(&command, common),
        Command::Dataset(command) => dataset::run(&command, common),
        Command::Train(args) => train::run(&args, common),
        Command::Mode(args) => mode::run(args.mode, common),
        Command::Start => mode::run(mode::Mode::Adapt, common),
        Command::Stop => mode::run(mode::Mode::Infer, common),
        Command::Head(command) => head::run(&command, common),
        Command::Job(command) => job::run(&command, common),
        Command::Offload(command) => offload::run(&command, common),
        Command::Backbone(command) => backbone::run(&command, common),
        #[cfg(feature = "host")]
        Command::Host(command) => host::run(&command, common),
        Command::Web(command) => web::run(&command, common),
        Command::Camera(command) => camera::run(&command, common),
        Command::Doctor(args) => doctor::run(&args, common),
        Command::Embed(args) => embed::run(&args, output),
        Command::Eval(args) => eval::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Man(args) => man::run(&args, output),
    }
}
