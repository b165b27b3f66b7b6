//! The training engine: a child process that works in a job folder and prints its progress.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::sync::mpsc;

use crate::decide::{EngineEnd, HostEvent, Task};
use crate::settings::Engine;
use graft_base::{child::Child, whole_file};

/// Where a job folder keeps the process group of its engine.
const PID_FILE: &str = "engine.pid";
/// What the engine writes on standard error.
const LOG_FILE: &str = "engine.log";
/// Pause between two looks at an engine that has closed its output.
const TICK: Duration = Duration::from_millis(20);
/// Longest line of progress that is read.
const LINE_BYTES: u64 = 64 << 10;

/// An engine that runs. Dropped, its process group is killed.
pub(crate) struct Running {
    child: Arc<Mutex<Child>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// Starts the engine on a job folder; its progress and its end go to `events` under `task`.
///
/// # Errors
/// When it cannot be started; the text says what to do.
pub(crate) fn start(
    engine: &Engine,
    folder: &Path,
    device: &str,
    task: Task,
    events: mpsc::Sender<HostEvent>,
) -> Result<Running> {
    end_left_over(folder)?;
    let [program, arguments @ ..] = &engine.command[..] else { anyhow::bail!("engine.command is empty") };
    let log = File::create(folder.join(LOG_FILE))?;
    let mut command = Command::new(program);
    command.args(arguments).arg(folder).arg("--device").arg(device);
    if engine.pythonpath != Path::new("") {
        command.env("PYTHONPATH", &engine.pythonpath);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = Child::start(&mut command)
        .with_context(|| format!("the engine {program} cannot be started; see engine.command"))?;
    whole_file::write(&folder.join(PID_FILE), child.id().to_string().as_bytes(), 0o600)?;
    let stdout = child.take_stdout();
    let child = Arc::new(Mutex::new(child));
    let running = Running { child: Arc::clone(&child) };
    let folder = folder.to_owned();
    std::thread::Builder::new().name("engine".into()).spawn(move || {
        if let Some(stdout) = stdout {
            let mut lines = BufReader::new(stdout);
            let mut line = String::new();
            while lines.by_ref().take(LINE_BYTES).read_line(&mut line).is_ok_and(|count| count > 0) {
                if let Ok(figures) = serde_json::from_str(&line) {
                    let progress = HostEvent::EngineProgress { task: task.clone(), figures };
                    if events.blocking_send(progress).is_err() {
                        break;
                    }
                }
                line.clear();
            }
        }
        let end = ended(&child, &folder);
        // The channel is closed once the host stops.
        let _ = events.blocking_send(HostEvent::EngineEnded { task, end });
    })?;
    Ok(running)
}

fn ended(child: &Mutex<Child>, folder: &Path) -> EngineEnd {
    let status = loop {
        // Unlocked between two looks, so that whoever drops [`Running`] can end it meanwhile.
        match child.lock().unwrap_or_else(PoisonError::into_inner).try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(error) => return EngineEnd::Failed(format!("the engine was lost: {error}")),
        }
        std::thread::sleep(TICK);
    };
    let _ = std::fs::remove_file(folder.join(PID_FILE));
    let reason = last_log_line(folder);
    match (status.code(), status.signal()) {
        (Some(0), _) => EngineEnd::Done,
        (Some(3), _) => EngineEnd::NoImprovement,
        (Some(2), _) => EngineEnd::BadJob(reason),
        (Some(code), _) => EngineEnd::Failed(format!("the engine ended with {code}: {reason}")),
        (None, signal) => {
            EngineEnd::Failed(format!("the engine was killed by signal {}", signal.unwrap_or_default()))
        }
    }
}

/// The last line that the engine wrote on standard error.
fn last_log_line(folder: &Path) -> String {
    let text = std::fs::read(folder.join(LOG_FILE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    last.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// Ends the engine that a killed host left behind: two would write the same folder.
fn end_left_over(folder: &Path) -> Result<()> {
    let path = folder.join(PID_FILE);
    let Some(group) =
        std::fs::read_to_string(&path).ok().and_then(|text| text.parse().ok()).and_then(Pid::from_raw)
    else {
        return Ok(());
    };
    // The number may have gone to somebody else meanwhile: only what was started for this folder is ended.
    let line = std::fs::read(format!("/proc/{}/cmdline", group.as_raw_nonzero())).unwrap_or_default();
    if String::from_utf8_lossy(&line).split('\0').any(|word| Path::new(word) == folder) {
        tracing::warn!(folder = %folder.display(), "an engine was left over and is ended");
        let _ = kill_process_group(group, Signal::KILL);
        for _ in 0..100 {
            if test_kill_process_group(group).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
}
