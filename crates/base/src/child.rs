//! Child processes: waits with a limit, an end that reaches what the child started, and the last line that it wrote on
//! standard error.

use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// Longest line of standard error that is kept, in bytes.
const MAX_LINE: usize = 400;
/// Pause between two looks at a child that is waited for.
const TICK: Duration = Duration::from_millis(5);

/// A child process. Dropping it kills it, and its group if it leads one.
#[derive(Debug)]
pub struct Child {
    child: process::Child,
    leads_group: bool,
    status: Option<ExitStatus>,
    last_line: Arc<Mutex<String>>,
}

impl Child {
    /// Starts `command` as the leader of a new process group. Standard output and error are what `command` says.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = Self::start_in_our_group(command.process_group(0))?;
        child.leads_group = true;
        Ok(child)
    }

    /// Starts `command` in this program's process group, so that Ctrl-C in a terminal ends both. What the child starts
    /// itself is then not ended with it.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn start_in_our_group(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        Ok(Self { child, leads_group: false, status: None, last_line: Arc::default() })
    }

    /// [`Child::start`] with a thread that reads standard error: it keeps the last line for [`Child::last_line`], and
    /// gives each line that is not empty to `on_line`. Lines have no control characters and at most 400 bytes.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn start_watched(
        command: &mut Command,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = Self::start(command.stderr(Stdio::piped()))?;
        let Some(stderr) = child.child.stderr.take() else { return Ok(child) };
        let last_line = Arc::clone(&child.last_line);
        let keep = move |line: &[u8]| {
            let text: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
            let text = text.trim();
            if !text.is_empty() {
                on_line(text);
                *last_line.lock().unwrap_or_else(PoisonError::into_inner) = text.to_owned();
            }
        };
        thread::Builder::new().name("stderr".into()).spawn(move || read_lines(stderr, keep))?;
        Ok(child)
    }

    /// Standard output, where the command pipes it; the first call gets it.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The id of the process, which is that of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last line on standard error so far; empty without one, and without [`Child::start_watched`].
    pub fn last_line(&self) -> String {
        self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The exit status, once the child has ended; what it left running in its group is killed then.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() && self.has_ended() {
            self.kill()?;
        }
        Ok(self.status)
    }

    /// Waits at most `limit` for the child to end. `None`: it still runs.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            let status = self.try_wait()?;
            if status.is_some() || start.elapsed() >= limit {
                return Ok(status);
            }
            thread::sleep(TICK);
        }
    }

    /// Ends the group: SIGTERM, then SIGKILL once the child has ended and `quiet` says that the rest of the group is done
    /// too, or after `grace`.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn terminate(&mut self, grace: Duration, mut quiet: impl FnMut() -> bool) -> io::Result<ExitStatus> {
        if self.status.is_none() {
            self.signal(Signal::TERM);
            let start = Instant::now();
            while start.elapsed() < grace && !(quiet() && self.has_ended()) {
                thread::sleep(TICK);
            }
        }
        self.kill()
    }

    /// Kills the group and reaps the child.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.signal(Signal::KILL);
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    /// Signals the child and its group. As it is not reaped yet, its id cannot be another's.
    fn signal(&self, signal: Signal) {
        let id = Pid::from_child(&self.child);
        // It may have ended already.
        let _ = if self.leads_group { kill_process_group(id, signal) } else { kill_process(id, signal) };
    }

    /// Whether the child has ended; it stays unreaped.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(
            waitid(WaitId::Pid(Pid::from_child(&self.child)), options),
            Ok(None) | Err(rustix::io::Errno::INTR)
        )
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure.
        let _ = self.kill();
    }
}

/// Gives each line, without its end and cut off after [`MAX_LINE`] bytes, to `keep`.
fn read_lines(mut stderr: ChildStderr, mut keep: impl FnMut(&[u8])) {
    let mut piece = [0; 1024];
    let mut line = Vec::new();
    loop {
        let count = match stderr.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for &byte in &piece[..count] {
            if byte == b'\n' || byte == b'\r' {
                keep(&line);
                line.clear();
            } else if line.len() < MAX_LINE {
                line.push(byte);
            }
        }
    }
    keep(&line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    /// Longer than any of these tests may take.
    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Reads until every process that holds the other end has ended.
    fn read_to_end(stdout: Option<ChildStdout>) -> String {
        let mut text = String::new();
        stdout.unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_wait_has_a_limit_and_a_killed_child_a_status() {
        let mut child = Child::start(&mut sh("exec sleep 600")).unwrap();
        assert_eq!(child.wait(Duration::from_millis(20)).unwrap(), None);
        assert_eq!(child.kill().unwrap().signal(), Some(Signal::KILL.as_raw()));
        assert_eq!(child.try_wait().unwrap().and_then(|status| status.signal()), Some(Signal::KILL.as_raw()));
        let mut child = Child::start(&mut sh("exit 3")).unwrap();
        assert_eq!(child.wait(LONG).unwrap().and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn what_a_child_left_running_ends_with_it() {
        let mut child = Child::start(&mut sh("sleep 600 & echo started")).unwrap();
        let stdout = child.take_stdout();
        assert!(child.wait(LONG).unwrap().is_some_and(|status| status.success()));
        assert_eq!(read_to_end(stdout), "started\n");
        let mut child = Child::start(&mut sh("sleep 600 & sleep 600")).unwrap();
        let stdout = child.take_stdout();
        drop(child);
        assert_eq!(read_to_end(stdout), "");
    }

    #[test]
    fn a_child_in_our_group_ends_alone() {
        let mut child = Child::start_in_our_group(&mut sh("exec sleep 600")).unwrap();
        let id = Pid::from_child(&child.child);
        assert_eq!(rustix::process::getpgid(Some(id)).unwrap(), rustix::process::getpgrp());
        assert_eq!(child.terminate(LONG, || true).unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed() {
        let mut child =
            Child::start(&mut sh("trap 'echo asked' TERM; echo ready; while :; do sleep 0.01; done"))
                .unwrap();
        let mut stdout = child.take_stdout().unwrap();
        stdout.read_exact(&mut [0; 6]).unwrap();
        let status = child.terminate(Duration::from_millis(500), || true).unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        assert!(read_to_end(Some(stdout)).starts_with("asked"));
        let mut child = Child::start(&mut sh("exec sleep 600")).unwrap();
        assert_eq!(child.terminate(LONG, || true).unwrap().signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn the_last_line_of_stderr_is_kept() {
        let (sender, lines) = std::sync::mpsc::channel();
        let script = "printf 'one\\n\\n  two\\033[1m\\r' >&2; printf 'x%.0s' $(seq 1000) >&2";
        let watch = move |line: &str| sender.send(line.to_owned()).unwrap();
        let child = Child::start_watched(&mut sh(script), watch).unwrap();
        // The thread drops the sender at the end of the output.
        let lines: Vec<String> = lines.iter().collect();
        assert_eq!(lines, ["one", "two[1m", &"x".repeat(MAX_LINE)]);
        assert_eq!(child.last_line(), lines[2]);
    }
}
