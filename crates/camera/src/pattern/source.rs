//! The scene played as a camera.

use super::{PatternSettings, Scene};
use crate::pace::Pace;
use crate::{CameraError, Settings, Source, Timeouts};
use graft_base::frame::{Frame, PixelFormat};
use std::time::{Duration, Instant, SystemTime};

/// The scene as a [`Source`]; frame id `n` is [`Scene::render`]`(n)`.
#[derive(Debug)]
pub struct PatternSource {
    scene: Scene,
    pace: Pace,
    id: u64,
}

impl PatternSource {
    /// Prepares the scene that the settings name; width, height and fps have the defaults of [`PatternSettings`].
    pub fn new(settings: &Settings) -> Self {
        let usual = PatternSettings::default();
        let or = |value: u32, usual: u32| if value == 0 { usual } else { value };
        let scene = Scene::new(PatternSettings {
            width: or(settings.width, usual.width),
            height: or(settings.height, usual.height),
            fps: settings.fps.unwrap_or(usual.fps),
            seed: settings.seed,
            hold_frames: settings.hold_frames,
            shift: settings.shift,
        });
        Self { pace: Pace::new(scene.settings().fps), scene, id: 0 }
    }
}

impl Source for PatternSource {
    fn describe(&self) -> String {
        let settings = self.scene.settings();
        format!("pattern {}x{}, seed {}", settings.width, settings.height, settings.seed)
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        if !self.pace.wait(limit) {
            return Ok(None);
        }
        self.id += 1;
        let picture = self.scene.render(self.id);
        Ok(Some(Frame {
            id: self.id,
            width: picture.width,
            height: picture.height,
            stride: 3 * picture.width,
            format: PixelFormat::Rgb8,
            bytes: picture.bytes.into(),
            taken: Instant::now(),
            wall: SystemTime::now(),
            name: None,
        }))
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts::default().at_least(self.pace.period())
    }

    fn lossless(&self) -> bool {
        self.pace.lossless()
    }
}
