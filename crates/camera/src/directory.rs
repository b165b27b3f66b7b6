//! A folder of pictures, played as a camera.

use super::pace::Pace;
use super::settings::Timeouts;
use super::still::read_image;
use super::{CameraError, Settings, Source};
use graft_base::frame::{Frame, PixelFormat};
use graft_base::pictures::{Links, walk};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Frames per second when the settings name none.
const USUAL_FPS: f64 = 10.0;

/// Plays the pictures under a folder in the order of their paths. Pictures are decoded here, so that an unreadable
/// one is reported with its name and skipped; the frame's name is the path relative to the folder.
pub(super) struct DirectorySource {
    root: PathBuf,
    files: Vec<PathBuf>,
    place: usize,
    repeat: bool,
    pace: Pace,
    timeouts: Timeouts,
    id: u64,
    /// Pictures that were already reported.
    reported: HashSet<PathBuf>,
    /// Whether this pass over the folder gave any frame.
    gave: bool,
}

impl DirectorySource {
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let root = PathBuf::from(&settings.path);
        let files = walk(&root, Links::Follow).map_err(|error| {
            CameraError::lost(format!("camera.path {} cannot be listed: {error}", root.display()))
        })?;
        if files.is_empty() {
            return Err(CameraError::lost(format!(
                "camera.path {} holds no pictures (jpg, png, bmp, gif, webp, tiff, pnm)",
                root.display()
            )));
        }
        let pace = Pace::new(settings.fps.unwrap_or(USUAL_FPS));
        Ok(Self {
            root,
            files,
            place: 0,
            repeat: settings.repeat,
            timeouts: settings.timeouts().at_least(pace.period()),
            pace,
            id: 0,
            reported: HashSet::new(),
            gave: false,
        })
    }

    fn end_of_pass(&mut self) -> Result<(), CameraError> {
        if !self.repeat {
            return Err(CameraError::Ended);
        }
        if !self.gave {
            return Err(CameraError::lost(format!(
                "none of the {} pictures under {} can be read",
                self.files.len(),
                self.root.display()
            )));
        }
        self.place = 0;
        self.gave = false;
        Ok(())
    }
}

impl Source for DirectorySource {
    fn describe(&self) -> String {
        format!("{} pictures under {}", self.files.len(), self.root.display())
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        if self.place >= self.files.len() {
            self.end_of_pass()?;
        }
        if !self.pace.wait(limit) {
            return Ok(None);
        }
        let relative = self.files[self.place].clone();
        self.place += 1;
        self.id += 1;
        let picture = match read_image(&self.root.join(&relative)) {
            Ok(picture) => picture,
            Err(error) => {
                if self.reported.insert(relative.clone()) {
                    tracing::warn!(file = %relative.display(), "picture skipped: {error}");
                }
                return Ok(None);
            }
        };
        self.gave = true;
        Ok(Some(Frame {
            id: self.id,
            width: picture.width,
            height: picture.height,
            stride: 3 * picture.width,
            format: PixelFormat::Rgb8,
            bytes: picture.bytes.into(),
            taken: Instant::now(),
            wall: SystemTime::now(),
            name: Some(relative.to_string_lossy().into()),
        }))
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
    use crate::{Kind, encode_jpeg, open};
    use graft_base::frame::Rgb;
    use std::fs;
    use tempfile::TempDir;

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let dir = TempDir::new().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    fn settings(dir: &TempDir, repeat: bool) -> Settings {
        let path = dir.path().to_str().unwrap().into();
        Settings { source: Kind::Directory, path, repeat, fps: Some(0.0), ..Default::default() }
    }

    fn names(source: &mut dyn Source, most: usize) -> (Vec<(u64, String)>, Option<CameraError>) {
        let mut seen = Vec::new();
        while seen.len() < most {
            match source.next() {
                Ok(frame) => seen.push((frame.id, frame.name.unwrap().to_string())),
                Err(error) => return (seen, Some(error)),
            }
        }
        (seen, None)
    }

    #[test]
    fn pictures_come_in_path_order_and_broken_ones_are_passed_over() {
        let jpeg = encode_jpeg(&Rgb::black(8, 6), 80);
        let bomb = b"P6 60000 60000 255\n";
        let dir = folder(&[
            ("b/2.JPG", &jpeg),
            ("a/9.jpeg", &jpeg),
            ("a/10.jpg", &jpeg[..20]),
            ("a/bomb.ppm", bomb),
            ("notes.txt", b"no picture"),
            (".hidden.jpg", &jpeg),
            ("top.ppm", b"P6 2 1 255\n\x01\x02\x03\x04\x05\x06"),
        ]);
        let mut source = open(&settings(&dir, false)).unwrap();
        let (seen, error) = names(&mut *source, 100);
        let wanted = [(2, "a/9.jpeg"), (4, "b/2.JPG"), (5, "top.ppm")];
        assert_eq!(seen, wanted.map(|(id, name)| (id, name.to_string())));
        assert_eq!(error, Some(CameraError::Ended));
        assert_eq!(source.next().unwrap_err(), CameraError::Ended, "an end stays an end");
    }

    #[test]
    fn repeat_starts_again_and_gives_up_on_a_folder_of_rubbish() {
        let jpeg = encode_jpeg(&Rgb::black(8, 6), 80);
        let dir = folder(&[("1.jpg", &jpeg), ("2.jpg", &jpeg)]);
        let (seen, error) = names(&mut *open(&settings(&dir, true)).unwrap(), 5);
        assert_eq!((seen.len(), error), (5, None));
        assert_eq!(seen[4], (5, "1.jpg".into()));

        let dir = folder(&[("1.jpg", b"rubbish")]);
        let (_, error) = names(&mut *open(&settings(&dir, true)).unwrap(), 5);
        assert!(matches!(error, Some(CameraError::Lost(text)) if text.contains("none of the 1")));
    }

    #[test]
    fn a_missing_or_empty_folder_says_so() {
        let dir = folder(&[]);
        let text = open(&settings(&dir, true)).err().unwrap().to_string();
        assert!(text.contains("no pictures"), "{text}");
        let gone = Settings { path: "no/such/folder".into(), ..settings(&dir, true) };
        assert!(matches!(open(&gone), Err(CameraError::Lost(_))));
    }
}
