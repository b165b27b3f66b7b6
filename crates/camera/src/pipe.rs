//! A command that writes frames to its standard output: libcamera, Argus, RTSP through ffmpeg, anything.

use super::feed::{Feed, Feeder, Received};
use super::redact::redact;
use super::settings::Timeouts;
use super::stream::Demux;
use super::{CameraError, Settings, Source};
use graft_base::child::Child;
use graft_base::frame::Frame;
use std::io::{ErrorKind, Read};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a command whose output has ended may take to end itself.
const EXIT_WAIT: Duration = Duration::from_secs(1);
/// How long the command may take after SIGTERM. Camera stacks want to close their devices: Jetson's Argus service needs
/// a restart after a client was killed.
const GRACE: Duration = Duration::from_secs(1);
/// Lines of stderr that are logged before the log is thinned out, and the time between two lines after that.
const LOGGED_LINES: u32 = 20;
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Runs a shell command and reads the frames it writes.
#[derive(Debug)]
pub(super) struct PipeSource {
    // Dropped first: the command ends, then its output does, then the reading thread.
    child: Child,
    feed: Feed,
    command: String,
    timeouts: Timeouts,
    found: Arc<OnceLock<String>>,
    over_since: Option<Instant>,
}

impl PipeSource {
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let demux =
            Demux::new(settings.format, settings.width, settings.height).map_err(CameraError::settings)?;
        let (mut child, stdout) = start(&settings.command)?;
        let found = Arc::new(OnceLock::new());
        let report = found.clone();
        let feed = Feed::start("camera-pipe", move |feeder| read(stdout, demux, feeder, &report))
            .inspect_err(|_| drop(child.terminate(GRACE, || true)))?;
        Ok(Self {
            child,
            feed,
            command: redact(&settings.command),
            timeouts: settings.timeouts(),
            found,
            over_since: None,
        })
    }

    fn ended(&mut self) -> Option<CameraError> {
        let since = *self.over_since.get_or_insert_with(Instant::now);
        let status = self.child.try_wait().ok().flatten();
        if status.is_none() && since.elapsed() < EXIT_WAIT {
            return None;
        }
        let how = status.map_or("closed its output".to_string(), |status| format!("ended with {status}"));
        let last = self.child.last_line();
        let stderr = if last.is_empty() {
            "it wrote nothing on stderr".into()
        } else {
            format!("its last line on stderr: {last}")
        };
        Some(CameraError::lost(format!("the camera command {how}; {stderr}. Command: {}", self.command)))
    }
}

/// Runs `sh -c command`; gives its standard output too.
fn start(command: &str) -> Result<(Child, ChildStdout), CameraError> {
    let failed =
        |error: std::io::Error| CameraError::lost(format!("sh cannot run the camera command: {error}"));
    let (mut logged, mut left_out, mut quiet_until) = (0u32, 0u32, Instant::now());
    let log = move |line: &str| {
        if logged < LOGGED_LINES || Instant::now() >= quiet_until {
            tracing::info!(left_out, "camera command: {}", redact(line));
            (logged, left_out, quiet_until) = (logged.saturating_add(1), 0, Instant::now() + LOG_PAUSE);
        } else {
            left_out = left_out.saturating_add(1);
        }
    };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Child::start_watched(&mut shell, log).map_err(failed)?;
    match child.take_stdout() {
        Some(stdout) => Ok((child, stdout)),
        None => Err(CameraError::lost("the camera command has no output")),
    }
}

fn read(
    mut stdout: ChildStdout,
    mut demux: Demux,
    mut feeder: Feeder,
    found: &OnceLock<String>,
) -> Result<(), CameraError> {
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = match stdout.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(CameraError::lost(format!("the camera command cannot be read: {error}")));
            }
        };
        demux.push(&piece[..count]);
        while let Some(picture) = demux.next().map_err(CameraError::lost)? {
            found.get_or_init(|| format!("{} {}x{}", demux.name(), picture.width, picture.height));
            if !feeder.give(picture) {
                return Ok(());
            }
        }
        if feeder.is_unwanted() {
            return Ok(());
        }
    }
}

impl Source for PipeSource {
    fn describe(&self) -> String {
        let found = self.found.get().map_or("no frame yet", String::as_str);
        format!("{found} from: {}", self.command)
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        match self.feed.wait(limit)? {
            Received::Frame(frame) => Ok(Some(frame)),
            Received::NotYet => Ok(None),
            Received::Over => match self.ended() {
                Some(error) => Err(error),
                None => {
                    std::thread::sleep(limit.min(Duration::from_millis(10)));
                    Ok(None)
                }
            },
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}

impl Drop for PipeSource {
    fn drop(&mut self) {
        let feed = &self.feed;
        // What is still in the channel is taken out, so that the reader can see the end of the output. Nobody is left to
        // be told of a failure.
        let _ = self.child.terminate(GRACE, || {
            while matches!(feed.wait(Duration::ZERO), Ok(Received::Frame(_))) {}
            feed.is_over()
        });
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
