//! A shell command in its own process group, with its last words kept.

use super::CameraError;
use super::redact::redact;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the group may take after SIGTERM. Camera stacks want to close their devices: Jetson's Argus service
/// needs a restart after a client was killed.
const GRACE: Duration = Duration::from_secs(1);
/// Longest line of stderr that is kept, in bytes.
const MAX_LINE: usize = 400;
/// Lines of stderr that are logged before the log is thinned out, and the time between two lines after that.
const LOGGED_LINES: u32 = 20;
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The running command. [`Group::end`] must be called before it is dropped; dropping kills what is left.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    last: Arc<Mutex<String>>,
    ended: bool,
}

impl Group {
    /// Runs `sh -c command` with its standard output as the second value.
    pub fn start(command: &str) -> Result<(Self, ChildStdout), CameraError> {
        let failed =
            |error: std::io::Error| CameraError::lost(format!("sh cannot run the camera command: {error}"));
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let last = Arc::new(Mutex::new(String::new()));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut group = Self { child, last: last.clone(), ended: false };
        let started = match (stdout, stderr) {
            (Some(stdout), Some(stderr)) => thread::Builder::new()
                .name("camera-stderr".into())
                .spawn(move || listen(stderr, &last))
                .map(|_| stdout)
                .map_err(failed),
            _ => Err(CameraError::lost("the camera command has no output")),
        };
        match started {
            Ok(stdout) => Ok((group, stdout)),
            Err(error) => {
                group.end(|| true);
                Err(error)
            }
        }
    }

    /// The exit status once the shell has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let pid = self.pid();
        if self.ended || !is_zombie(pid) {
            return None;
        }
        // What the shell left running ends with it; before the shell is reaped its group id cannot be another's.
        let _ = kill_process_group(pid, Signal::KILL);
        self.ended = true;
        self.child.wait().ok()
    }

    /// The last line on stderr, without passwords of URLs.
    pub fn last_words(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the whole group: SIGTERM, then SIGKILL when the shell has ended and `quiet` says that nobody writes any
    /// more, or after a second. Returns when the shell is reaped.
    pub fn end(&mut self, mut quiet: impl FnMut() -> bool) {
        if self.ended {
            return;
        }
        let pid = self.pid();
        let _ = kill_process_group(pid, Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < GRACE && !(quiet() && is_zombie(pid)) {
            thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(pid, Signal::KILL);
        self.ended = true;
        let _ = self.child.wait();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end(|| true);
    }
}

/// Whether the child has ended; it stays unreaped, so that its id stays its own.
fn is_zombie(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(pid), options), Ok(None) | Err(rustix::io::Errno::INTR))
}

/// The thread that reads stderr: keeps the last line, logs some.
fn listen(mut stderr: ChildStderr, last: &Mutex<String>) {
    let mut piece = [0; 1024];
    let mut line = Vec::new();
    let (mut logged, mut left_out, mut quiet_until) = (0u32, 0u32, Instant::now());
    loop {
        let count = match stderr.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for &byte in &piece[..count] {
            if byte != b'\n' && byte != b'\r' {
                if line.len() < MAX_LINE {
                    line.push(byte);
                }
                continue;
            }
            let text = clean(&line);
            line.clear();
            if text.is_empty() {
                continue;
            }
            if logged < LOGGED_LINES || Instant::now() >= quiet_until {
                tracing::info!(left_out, "camera command: {text}");
                (logged, left_out, quiet_until) = (logged.saturating_add(1), 0, Instant::now() + LOG_PAUSE);
            } else {
                left_out = left_out.saturating_add(1);
            }
            *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
        }
    }
    let text = clean(&line);
    if !text.is_empty() {
        *last.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// A line fit for logs: no control characters, no passwords of URLs.
fn clean(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
    redact(text.trim())
}
