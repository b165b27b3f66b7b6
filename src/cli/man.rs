//! `graft man`: manual pages.

use super::Cli;
use super::output::Output;
use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use graft_wire::error::Exit;
use std::path::{Path, PathBuf};

/// Print the manual page, or write those of all commands into a folder
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Folder for graft.1, graft-run.1 and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &ManArgs, output: Output) -> Result<()> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.out else { return output.bytes(&page(&command)?) };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let count = write(&command, "graft", folder)?;
    output.note(&format!("{count} pages in {}", folder.display()));
    Ok(())
}

/// Writes the page of a command and those below it; how many.
fn write(command: &Command, name: &str, folder: &Path) -> Result<usize> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).with_context(|| format!("cannot write {}", path.display()))?;
    let mut count = 1;
    for below in command.get_subcommands() {
        count += write(below, &format!("{name}-{}", below.get_name()), folder)?;
    }
    Ok(count)
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Man::new(command.clone()).render(&mut bytes)?;
    let mut codes = Roff::new();
    codes.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        codes.control("TP", []);
        codes.text([roman(exit.code().to_string())]);
        codes.text([roman(exit.meaning())]);
    }
    codes.to_writer(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        run(&ManArgs { out: Some(folder.path().to_owned()) }, Output { quiet: true, ..Output::default() })
            .unwrap();
        for name in ["graft.1", "graft-run.1", "graft-head-export.1", "graft-config-show.1"] {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.contains("EXIT STATUS") && text.contains("no daemon"), "{name}");
        }
    }
}
