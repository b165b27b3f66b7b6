//! A command that writes frames to its standard output: libcamera, Argus, RTSP through ffmpeg, anything.

use super::child::Group;
use super::feed::{Fed, Feed, Feeder};
use super::redact::redact;
use super::settings::Patience;
use super::stream::Demux;
use super::{CameraError, Settings, Source};
use graft_base::frame::Frame;
use std::io::{ErrorKind, Read};
use std::process::ChildStdout;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a command whose output has ended may take to end itself.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// Runs a shell command and reads the frames it writes.
#[derive(Debug)]
pub(super) struct PipeSource {
    // Dropped first: the command ends, then its output does, then the reading thread.
    group: Group,
    feed: Feed,
    command: String,
    patience: Patience,
    found: Arc<OnceLock<String>>,
    over_since: Option<Instant>,
}

impl PipeSource {
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let demux =
            Demux::new(settings.format, settings.width, settings.height).map_err(CameraError::settings)?;
        let (mut group, stdout) = Group::start(&settings.command)?;
        let found = Arc::new(OnceLock::new());
        let report = found.clone();
        let feed = Feed::start("camera-pipe", move |feeder| read(stdout, demux, feeder, &report))
            .inspect_err(|_| group.end(|| true))?;
        Ok(Self {
            group,
            feed,
            command: redact(&settings.command),
            patience: settings.patience(),
            found,
            over_since: None,
        })
    }

    fn ended(&mut self) -> Option<CameraError> {
        let since = *self.over_since.get_or_insert_with(Instant::now);
        let status = self.group.exited();
        if status.is_none() && since.elapsed() < EXIT_WAIT {
            return None;
        }
        let how = status.map_or("closed its output".to_string(), |status| format!("ended with {status}"));
        let last = self.group.last_words();
        let words = if last.is_empty() {
            "it said nothing on stderr".into()
        } else {
            format!("its last words: {last}")
        };
        Some(CameraError::lost(format!("the camera command {how}; {words}. Command: {}", self.command)))
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
            Fed::Frame(frame) => Ok(Some(frame)),
            Fed::NotYet => Ok(None),
            Fed::Over => match self.ended() {
                Some(error) => Err(error),
                None => {
                    std::thread::sleep(limit.min(Duration::from_millis(10)));
                    Ok(None)
                }
            },
        }
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}

impl Drop for PipeSource {
    fn drop(&mut self) {
        let feed = &self.feed;
        // What is still in the channel is taken out, so that the reader can see the end of the output.
        self.group.end(|| {
            while matches!(feed.wait(Duration::ZERO), Ok(Fed::Frame(_))) {}
            feed.is_over()
        });
    }
}

#[cfg(test)]
#[path = "pipe_tests.rs"]
mod tests;
