//! Child processes of the demo: the program `graft`, as daemon or as host.

use anyhow::{Context, Result, ensure};
use graft_base::child::Child;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The program that is shown: as named, else `graft` in the folder of this program.
pub fn program(named: Option<&Path>) -> Result<PathBuf> {
    let program = match named {
        Some(named) => named.to_path_buf(),
        None => std::env::current_exe().context("this program cannot find itself")?.with_file_name("graft"),
    };
    ensure!(
        program.is_file(),
        "{} is not there: build it with `cargo build --features host`, or name it with --graft",
        program.display()
    );
    Ok(program)
}

/// A running daemon or host. Dropping it ends it.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts graft with this configuration and command; its log goes into the folder.
    pub fn start(program: &Path, folder: &Path, config: &Path, words: &[&str]) -> Result<Self> {
        let log = folder.join(format!("{}.log", words.join("-")));
        let file = File::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config).args(words);
        // What people have set for their own daemon is not meant for this one.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRAFT__")) {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = Child::start_in_our_group(&mut command)
            .with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { child, log })
    }

    /// Waits for its end, which should not come; says how it ended.
    pub async fn ended(&mut self) -> String {
        loop {
            match self.child.try_wait() {
                Ok(None) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(Some(status)) => return status.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Ends it as systemd would, and waits for it.
    pub fn stop(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ = self.child.terminate(Duration::from_secs(10), || true);
    }
}
