//! Recordings: MJPEG, AVI with MJPEG, Y4M. Other kinds go through the pipe source and ffmpeg.

use super::pace::Pace;
use super::settings::Timeouts;
use super::stream::Demux;
use super::stream::avi::{Avi, AviError};
use super::stream::picture::Picture;
use super::{CameraError, Settings, Source, StreamFormat};
use graft_base::frame::Frame;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::time::Duration;

/// Frames per second of an MJPEG file, which has none written in it.
const USUAL_FPS: f64 = 25.0;

/// Plays a recording at its own rate, or at `fps`.
#[derive(Debug)]
pub(super) struct VideoFileSource {
    path: PathBuf,
    reader: Reader,
    /// Pictures that were read ahead.
    ahead: VecDeque<Picture>,
    pace: Pace,
    timeouts: Timeouts,
    repeat: bool,
    found: String,
    id: u64,
    gave: bool,
}

#[derive(Debug)]
enum Reader {
    Avi(Avi<BufReader<File>>),
    Stream(File, Demux),
}

impl VideoFileSource {
    /// Opens the file and reads its first frame.
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let path = PathBuf::from(&settings.path);
        let mut reader = Reader::open(&path)?;
        let first = reader.next(&path)?.ok_or_else(|| unknown(&path, "no frame is in it"))?;
        let (fps, kind) = match &reader {
            Reader::Avi(avi) => (avi.fps(), "AVI"),
            Reader::Stream(_, Demux::Y4m(y4m)) => (y4m.header().and_then(|header| header.fps), "Y4M"),
            Reader::Stream(..) => (None, "MJPEG"),
        };
        let fps = settings.fps.or(fps).unwrap_or(USUAL_FPS);
        let pace = Pace::new(fps);
        let found =
            format!("{kind} {}x{}, {fps:.2} frames a second, {}", first.width, first.height, path.display());
        Ok(Self {
            path,
            reader,
            ahead: [first].into(),
            timeouts: settings.timeouts().at_least(pace.period()),
            pace,
            repeat: settings.repeat,
            found,
            id: 0,
            gave: false,
        })
    }

    fn picture(&mut self) -> Result<Picture, CameraError> {
        if let Some(picture) = self.ahead.pop_front() {
            return Ok(picture);
        }
        if let Some(picture) = self.reader.next(&self.path)? {
            return Ok(picture);
        }
        if !self.repeat || !self.gave {
            return Err(CameraError::Ended);
        }
        self.gave = false;
        self.reader = Reader::open(&self.path)?;
        self.reader.next(&self.path)?.ok_or(CameraError::Ended)
    }
}

/// The error for a file of another kind.
fn unknown(path: &std::path::Path, why: &str) -> CameraError {
    CameraError::settings(format!(
        "{}: {why}; MJPEG, AVI with MJPEG and 8-bit Y4M are read. For anything else set camera.source = \"pipe\" and \
         camera.command = \"ffmpeg -loglevel error -re -i '{}' -f mjpeg -q:v 3 -\"",
        path.display(),
        path.display()
    ))
}

impl Reader {
    fn open(path: &std::path::Path) -> Result<Self, CameraError> {
        let lost =
            |error: std::io::Error| CameraError::lost(format!("camera.path {}: {error}", path.display()));
        // Opening a FIFO would block.
        if !std::fs::metadata(path).map_err(lost)?.is_file() {
            return Err(CameraError::settings(format!("camera.path {} is not a file", path.display())));
        }
        let mut start = Vec::new();
        File::open(path).map_err(lost)?.take(12).read_to_end(&mut start).map_err(lost)?;
        let file = File::open(path).map_err(lost)?;
        let format = match start.as_slice() {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' '] => {
                return Avi::open(BufReader::new(file)).map(Self::Avi).map_err(|error| failed(path, error));
            }
            [0xFF, 0xD8, ..] => StreamFormat::Mjpeg,
            start if start.starts_with(b"YUV4MPEG2") => StreamFormat::Y4m,
            _ => return Err(unknown(path, "not a kind of recording that is read here")),
        };
        let demux = Demux::new(format, 0, 0).map_err(CameraError::settings)?;
        Ok(Self::Stream(file, demux))
    }

    /// The next picture; None at the end.
    fn next(&mut self, path: &std::path::Path) -> Result<Option<Picture>, CameraError> {
        match self {
            Self::Avi(avi) => loop {
                let Some(bytes) = avi.next().map_err(|error| failed(path, error))? else { return Ok(None) };
                // A chunk that is no JPEG is passed over.
                if let Some(picture) = Picture::jpeg(bytes) {
                    return Ok(Some(picture));
                }
            },
            Self::Stream(file, demux) => {
                let mut piece = vec![0; 64 << 10];
                loop {
                    if let Some(picture) = demux.next().map_err(|text| unknown(path, &text))? {
                        return Ok(Some(picture));
                    }
                    match file.read(&mut piece) {
                        Ok(0) => return Ok(None),
                        Ok(count) => demux.push(&piece[..count]),
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(failed(path, AviError::Io(error))),
                    }
                }
            }
        }
    }
}

fn failed(path: &std::path::Path, error: AviError) -> CameraError {
    match error {
        AviError::Io(error) => CameraError::lost(format!("camera.path {}: {error}", path.display())),
        AviError::Unsupported(text) => unknown(path, &text),
    }
}

impl Source for VideoFileSource {
    fn describe(&self) -> String {
        self.found.clone()
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        if !self.pace.wait(limit) {
            return Ok(None);
        }
        let picture = self.picture()?;
        self.gave = true;
        self.id += 1;
        Ok(Some(picture.frame(self.id)))
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    fn lossless(&self) -> bool {
        self.pace.lossless()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{avi_file, jpegs};
    use crate::{Kind, open};
    use std::io::Write;
    use tempfile::NamedTempFile;

    fn file(bytes: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn play(bytes: &[u8], repeat: bool, most: usize) -> (Vec<Frame>, Option<CameraError>, String) {
        let file = file(bytes);
        let path = file.path().to_str().unwrap().to_string();
        let settings =
            Settings { source: Kind::VideoFile, path, repeat, fps: Some(0.0), ..Default::default() };
        let mut source = match open(&settings) {
            Ok(source) => source,
            Err(error) => return (Vec::new(), Some(error), String::new()),
        };
        let mut frames = Vec::new();
        while frames.len() < most {
            match source.next() {
                Ok(frame) => frames.push(frame),
                Err(error) => return (frames, Some(error), source.describe()),
            }
        }
        (frames, None, source.describe())
    }

    #[test]
    fn every_kind_plays_to_its_end() {
        let files = jpegs(3);
        let y4m = b"YUV4MPEG2 W2 H2 F5:1\nFRAME\nyyyyuvFRAME\nYYYYUVFRAME\nzzzzuvFRAME\ncut";
        for (bytes, kind) in [
            (files.concat(), "MJPEG 24x16"),
            (avi_file(&files, b"MJPG"), "AVI 24x16"),
            (y4m.to_vec(), "Y4M 2x2"),
        ] {
            let (frames, error, text) = play(&bytes, false, 100);
            assert_eq!(frames.iter().map(|frame| frame.id).collect::<Vec<_>>(), [1, 2, 3], "{kind}");
            assert_eq!(error, Some(CameraError::Ended), "{kind}");
            assert!(text.starts_with(kind), "{text}");
        }
    }

    #[test]
    fn repeat_starts_again() {
        let files = jpegs(2);
        let (frames, error, _) = play(&avi_file(&files, b"MJPG"), true, 5);
        assert_eq!(error, None);
        assert_eq!(frames[4].bytes[..], files[0][..]);
        assert_eq!(frames[4].id, 5);
    }

    #[test]
    fn the_rate_is_the_file_s_own_or_the_wanted_one() {
        let file = file(&avi_file(&jpegs(1), b"MJPG"));
        let path = file.path().to_str().unwrap().to_string();
        let mut settings = Settings { source: Kind::VideoFile, path, ..Default::default() };
        assert!(open(&settings).unwrap().describe().contains("12.50 frames"));
        settings.fps = Some(3.0);
        assert!(open(&settings).unwrap().describe().contains("3.00 frames"));
    }

    #[test]
    fn other_kinds_name_the_way_through_ffmpeg() {
        let h264 = avi_file(&jpegs(1), b"H264");
        for bytes in
            [&b"\0\0\0\x20ftypisom"[..], b"", &h264, b"\xFF\xD8 no jpeg", b"YUV4MPEG2 W2 H2 C420p10\n"]
        {
            let (_, error, _) = play(bytes, false, 1);
            let text = error.unwrap().to_string();
            assert!(text.contains("ffmpeg") && text.contains("pipe"), "{text}");
        }
        let folder = Settings { source: Kind::VideoFile, path: ".".into(), ..Default::default() };
        assert!(matches!(open(&folder), Err(CameraError::Settings(text)) if text.contains("not a file")));
    }
}
