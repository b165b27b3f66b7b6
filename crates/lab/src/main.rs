//! `lab`: the developers' program beside `graft`.
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::{Parser, Subcommand};
use graft::lab::{Output, Silent, choose_instructions, exit_code, text};
use graft_lab::{bench, demo, teach};
use std::process::ExitCode;

/// The laboratory of graft: shows the whole job, and measures this machine
#[derive(Parser, Debug)]
#[command(name = "lab", version, disable_help_subcommand = true)]
struct Lab {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// No progress and no notes
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::DemoArgs),
    DemoOffload(demo::offload::DemoOffloadArgs),
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    Teach(teach::TeachArgs),
}

fn main() -> ExitCode {
    let Lab { json, quiet, command } = Lab::parse();
    match run(command, Output { json, quiet }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit_code(&error);
            if code != 0 && !error.is::<Silent>() {
                eprintln!("lab: {}", text(&error));
            }
            ExitCode::from(code)
        }
    }
}

fn run(command: Command, output: Output) -> Result<()> {
    choose_instructions()?;
    let better = match command {
        Command::Demo(args) => demo::run(&args, output.json)?,
        Command::DemoOffload(args) => demo::offload::run(&args, output.json)?,
        Command::Bench(command) => return bench::run(&command, output),
        Command::Teach(args) => return teach::run(&args, output),
    };
    if better { Ok(()) } else { Err(Silent.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Lab::command().debug_assert();
        for line in [
            "lab demo --keep --seed 3 --broker 127.0.0.1:1883 --state /tmp/x --graft target/release/graft",
            "lab demo-offload --python /usr/bin/python3 --seconds 60 --json",
            "lab bench head --quick",
            "lab teach --sets numbers,scene --situations bursts-2 --draws 3 --seed 2 --threads 2",
            "lab bench backbone a.onnx b.onnx --threads 2 --hz 15 --quiet",
        ] {
            Lab::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        assert!(Lab::try_parse_from(["lab", "run"]).is_err());
    }

    #[test]
    fn the_page_about_the_command_line_names_every_command() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
        let page = std::fs::read_to_string(path).expect("docs/reference/cli.md");
        fn check(page: &str, command: &clap::Command, name: &str) {
            for below in command.get_subcommands() {
                let name = format!("{name} {}", below.get_name());
                assert!(page.contains(&format!("`{name}")), "docs/reference/cli.md says nothing of `{name}`");
                check(page, below, &name);
            }
        }
        check(&page, &Lab::command(), "lab");
    }
}
