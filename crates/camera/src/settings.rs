//! The `[camera]` table of the configuration.

use super::CameraError;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Which kind of source gives the frames.
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A V4L2 capture device: USB cameras, HDMI grabbers, v4l2loopback.
    #[default]
    #[serde(rename = "v4l2")]
    V4l2,
    /// A folder of pictures, played in the order of their paths.
    Directory,
    /// A recording: MJPEG, AVI with MJPEG, or Y4M.
    VideoFile,
    /// The built-in moving scene.
    Pattern,
    /// A command that writes frames to its standard output.
    Pipe,
    /// An `http://` address that serves `multipart/x-mixed-replace` JPEG.
    HttpMjpeg,
}

impl Kind {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How a stream is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamFormat {
    /// Found out from the stream (pipe), or the best one offered (v4l2).
    #[default]
    Auto,
    /// JPEG pictures one after the other.
    Mjpeg,
    /// YUV4MPEG2, uncompressed with a header.
    Y4m,
    /// Raw, 3 bytes a pixel.
    Rgb24,
    /// Raw packed 4:2:2, `Y0 U Y1 V`.
    Yuyv,
    /// Raw 4:2:0, interleaved chroma.
    Nv12,
    /// Raw 4:2:0, planar.
    I420,
    /// Raw, 1 byte a pixel.
    Gray,
}

/// Settings of the one camera. Every key has a default; keys that a source does not use are ignored by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where frames come from: `v4l2`, `directory`, `video_file`, `pattern`, `pipe` or `http_mjpeg`.
    pub source: Kind,
    /// v4l2: the device node. `/dev/v4l/by-id/…` stays the same over restarts, `/dev/video0` need not.
    pub device: String,
    /// directory: the folder (class folders or flat). video_file: the file.
    pub path: String,
    /// pipe: a shell command that writes MJPEG, Y4M or raw frames to its standard output.
    pub command: String,
    /// http_mjpeg: the address, `http://host[:port]/path`.
    pub url: String,
    /// http_mjpeg: user name for basic authentication; empty for none.
    pub user: String,
    /// http_mjpeg: file whose first line is the password.
    pub password_file: String,
    /// Width in pixels: wanted from v4l2, true of a raw pipe, drawn by the pattern; 0 leaves it to the source.
    pub width: u32,
    /// Height in pixels; as `width`.
    pub height: u32,
    /// Frames per second. Absent: the source's own rate (folders 10, pattern 15). 0 for directory, video_file
    /// and pattern: every frame, as fast as it is consumed, none dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// `auto`, `mjpeg`, `y4m`, `rgb24`, `yuyv`, `nv12`, `i420` or `gray`. pipe: what the command writes (raw ones
    /// need width and height). v4l2: the format to ask for.
    pub format: StreamFormat,
    /// v4l2: the camera's own settings, `name=number` each, set in this order when it is opened.
    pub controls: Vec<String>,
    /// directory, video_file: start again at the end. Off, because a picture seen twice looks like two samples.
    pub repeat: bool,
    /// Seconds within which a camera that has delivered and then gives no frame counts as lost.
    pub timeout_s: f64,
    /// Seconds a camera may take from opening to its first frame.
    pub start_timeout_s: f64,
    /// pattern: which of the endless scenes.
    pub seed: u64,
    /// pattern: frames for which one object stays.
    pub hold_frames: u32,
    /// pattern: how far the look has moved from the usual one, 0 to 1.
    pub shift: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            source: Kind::V4l2,
            device: "/dev/video0".into(),
            path: String::new(),
            command: String::new(),
            url: String::new(),
            user: String::new(),
            password_file: String::new(),
            width: 0,
            height: 0,
            fps: None,
            format: StreamFormat::Auto,
            controls: Vec::new(),
            repeat: false,
            timeout_s: 2.0,
            start_timeout_s: 10.0,
            seed: 1,
            hold_frames: 45,
            shift: 0.0,
        }
    }
}

/// Longest side of a frame in pixels, for every source.
pub(super) const MAX_SIDE: u32 = 16_384;
/// Most pixels of a frame.
pub(super) const MAX_PIXELS: u64 = 40_000_000;

impl Settings {
    /// Checks what can be checked without the camera.
    ///
    /// # Errors
    /// [`CameraError::Settings`] names the key and what to write instead.
    pub fn check(&self) -> Result<(), CameraError> {
        let wrong = |text: String| Err(CameraError::settings(text));
        if let Some(fps) = self.fps
            && !(0.0..=1000.0).contains(&fps)
        {
            return wrong(format!("camera.fps = {fps} cannot be; give 0 to 1000 or leave it out"));
        }
        for (key, value) in [("timeout_s", self.timeout_s), ("start_timeout_s", self.start_timeout_s)] {
            if !(0.1..=3600.0).contains(&value) {
                return wrong(format!("camera.{key} = {value} cannot be; give 0.1 to 3600 seconds"));
            }
        }
        if let Some(text) = self.controls.iter().find_map(|text| parse_control(text).err()) {
            return wrong(text);
        }
        if !(0.0..=2.0).contains(&self.shift) {
            return wrong(format!("camera.shift = {} cannot be; give 0 to 2", self.shift));
        }
        if self.hold_frames == 0 {
            return wrong("camera.hold_frames = 0 cannot be; give 1 or more".into());
        }
        if self.width > MAX_SIDE || self.height > MAX_SIDE || !size_allowed(self.width, self.height) {
            return wrong(format!(
                "camera.width x camera.height = {} x {} is too large; at most {MAX_SIDE} a side and {} megapixels",
                self.width,
                self.height,
                MAX_PIXELS / 1_000_000
            ));
        }
        if (self.width == 0) != (self.height == 0) {
            return wrong("give both camera.width and camera.height, or neither".into());
        }
        let needed = match self.source {
            Kind::V4l2 => ("device", &self.device),
            Kind::Directory | Kind::VideoFile => ("path", &self.path),
            Kind::Pipe => ("command", &self.command),
            Kind::HttpMjpeg => ("url", &self.url),
            Kind::Pattern => return Ok(()),
        };
        if needed.1.trim().is_empty() || needed.1.contains('\0') {
            return wrong(format!("camera.{} is empty; this source needs it", needed.0));
        }
        Ok(())
    }

    /// How long the source may stay silent.
    pub(super) fn timeouts(&self) -> Timeouts {
        let seconds = |value: f64| Duration::from_secs_f64(value.clamp(0.05, 3600.0));
        // A twentieth less: the loss is to be noticed within the time, look-up intervals included.
        Timeouts { first: seconds(self.start_timeout_s), between: seconds(0.95 * self.timeout_s) }
    }
}

/// The name of a control as `camera.controls` has it: `Power Line Frequency` → `power_line_frequency`.
pub(super) fn control_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

/// Reads an entry of `camera.controls`, `name=number`.
///
/// # Errors
/// What to write instead.
pub(super) fn parse_control(text: &str) -> Result<(String, i64), String> {
    let parsed =
        text.split_once('=').and_then(|(name, value)| Some((control_name(name), value.trim().parse().ok()?)));
    parsed.filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
        format!("camera.controls has {text:?}; write name=number, `graft camera controls` lists the names")
    })
}

/// Whether a frame of this size may be handled at all.
pub(super) fn size_allowed(width: u32, height: u32) -> bool {
    width <= MAX_SIDE && height <= MAX_SIDE && u64::from(width) * u64::from(height) <= MAX_PIXELS
}

/// How long a source may stay silent before it counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From opening to the first frame.
    pub first: Duration,
    /// From one frame to the next.
    pub between: Duration,
}

impl Timeouts {
    /// Never less than three times this period between frames.
    pub(super) fn at_least(self, period: Duration) -> Self {
        let least = period.saturating_mul(3);
        Self { first: self.first.max(least), between: self.between.max(least) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Settings::default().timeouts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_people_write_them() {
        assert_eq!(control_name("White Balance Temperature, Auto"), "white_balance_temperature_auto");
        assert_eq!(parse_control("Power Line Frequency = 1"), Ok(("power_line_frequency".into(), 1)));
        assert_eq!(parse_control("exposure_time_absolute=-3"), Ok(("exposure_time_absolute".into(), -3)));
        for wrong in ["", "focus", "=1", "focus=near", "focus=1.5"] {
            assert!(parse_control(wrong).unwrap_err().contains("camera controls"), "{wrong}");
        }
    }

    #[test]
    fn defaults_pass_and_survive_toml() {
        let settings = Settings::default();
        settings.check().unwrap();
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<Settings>("sauce = 'pipe'").is_err());
        assert_eq!(toml::from_str::<Settings>("source = 'v4l2'").unwrap().source, Kind::V4l2);
    }

    #[test]
    fn impossible_values_name_their_key() {
        let cases: [(&str, Settings); 8] = [
            ("camera.controls", Settings { controls: vec!["focus".into()], ..Default::default() }),
            ("camera.fps", Settings { fps: Some(f64::NAN), ..Default::default() }),
            ("camera.timeout_s", Settings { timeout_s: 0.0, ..Default::default() }),
            ("camera.shift", Settings { shift: 2.5, ..Default::default() }),
            ("camera.hold_frames", Settings { hold_frames: 0, ..Default::default() }),
            ("camera.width", Settings { width: 16_000, height: 16_000, ..Default::default() }),
            ("camera.height", Settings { width: 640, ..Default::default() }),
            ("camera.command", Settings { source: Kind::Pipe, ..Default::default() }),
        ];
        for (key, settings) in cases {
            let text = settings.check().unwrap_err().to_string();
            assert!(text.contains(key), "{key}: {text}");
        }
    }
}
