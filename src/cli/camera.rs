//! `graft camera`: which cameras there are, and what one gives. Needs no daemon.

use super::output::table;
use super::{Common, NotFound};
use crate::config;
use crate::daemon::StartError;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use graft_base::frame::{Frame, Rgb};
use graft_camera::{self as camera, CameraError, Settings};
use graft_wire as wire;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a probe looks at frames.
const LOOK: Duration = Duration::from_secs(3);
/// Frames that a snapshot lets pass: exposure settles in the first ones.
const SETTLE: u32 = 5;

/// Look at the cameras of this machine
#[derive(Subcommand, Clone, Debug)]
pub enum CameraCommand {
    /// List the video devices with their formats, and why one cannot be used
    List,
    /// Open a camera and tell what it gives: size, format, frames a second
    Probe(CameraArgs),
    /// List a camera's own settings: exposure, white balance, focus
    Controls(CameraArgs),
    /// Save one frame as a JPEG file
    Snapshot(SnapshotArgs),
}

/// Which camera
#[derive(Args, Clone, Debug)]
pub struct CameraArgs {
    /// A V4L2 device [default: the camera of the configuration]
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
}

/// Which camera, and where to
#[derive(Args, Clone, Debug)]
pub struct SnapshotArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A V4L2 device [default: the camera of the configuration]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

pub fn run(command: &CameraCommand, common: &Common) -> Result<()> {
    match command {
        CameraCommand::List => list(common),
        CameraCommand::Probe(args) => probe(&meant(common, args.device.as_deref())?, common),
        CameraCommand::Controls(args) => controls(&meant(common, args.device.as_deref())?, common),
        CameraCommand::Snapshot(args) => snapshot(args, common),
    }
}

/// The settings of the named device, else of the configured camera.
fn meant(common: &Common, device: Option<&str>) -> Result<Settings> {
    match device {
        Some(device) => Ok(Settings { device: device.to_owned(), ..Settings::default() }),
        None => Ok(config::load(&common.sources())?.camera),
    }
}

fn list(common: &Common) -> Result<()> {
    let found = camera::list();
    common.output().show(&found, |found| {
        if found.is_empty() {
            return "no video device here; a CSI camera or a stream is read through camera.source = \"pipe\", see \
                    docs/guide/cameras.md"
                .to_owned();
        }
        let rows = found.iter().map(|device| {
            let use_it = if device.note.is_empty() { device.formats.join("; ") } else { device.note.clone() };
            vec![
                device.path.clone(),
                device.name.clone(),
                device.by_id.clone().unwrap_or_else(|| "-".into()),
                use_it,
            ]
        });
        table(&["device", "name", "stable name", "formats, or what is wrong"], rows)
    })
}

/// An error of a camera as the command line tells it: exit code 69, or 78 where the settings are wrong.
fn refused(error: CameraError) -> anyhow::Error {
    match error {
        CameraError::Settings(text) => StartError::Config(text).into(),
        lost => wire::Error::new(wire::Code::Camera, lost.to_string()).into(),
    }
}

/// What a camera gave while it was looked at.
pub struct Look {
    pub description: String,
    /// From opening to the first frame.
    pub first: Duration,
    /// Frames a second after it; `None` with fewer than two.
    pub fps: Option<f64>,
    pub frame: Frame,
}

/// Opens a camera and looks at its frames until `enough` frames or `limit` have passed since the first one.
///
/// # Errors
/// What the camera says.
pub fn look(settings: &Settings, enough: u32, limit: Duration) -> Result<Look, CameraError> {
    let begun = Instant::now();
    let mut source = camera::open(settings)?;
    let deadline = begun + source.timeouts().first;
    let mut seen: Option<(Instant, Frame)> = None;
    let mut count = 0;
    loop {
        let polled = match source.poll(Duration::from_millis(100)) {
            // A recording may be shorter than the look at it.
            Err(CameraError::Ended) if seen.is_some() => break,
            // The next one may be whole.
            Err(CameraError::Broken(_)) => None,
            polled => polled?,
        };
        if let Some(frame) = polled {
            count += 1;
            seen = Some((seen.map_or_else(Instant::now, |(first, _)| first), frame));
        }
        match &seen {
            Some((first, _)) if count >= enough || first.elapsed() >= limit => break,
            None if Instant::now() >= deadline => return Err(CameraError::TimedOut),
            _ => {}
        }
    }
    let (first, frame) = seen.ok_or(CameraError::TimedOut)?;
    let took = frame.taken.saturating_duration_since(first).as_secs_f64();
    let fps = (count > 1 && took > 0.0).then(|| f64::from(count - 1) / took);
    Ok(Look { description: source.describe(), first: first.saturating_duration_since(begun), fps, frame })
}

fn probe(settings: &Settings, common: &Common) -> Result<()> {
    let look = look(settings, u32::MAX, LOOK).map_err(refused)?;
    let found = json!({"description": look.description, "width": look.frame.width, "height": look.frame.height,
        "format": format!("{:?}", look.frame.format).to_lowercase(), "bytes": look.frame.bytes.len(),
        "first_frame_ms": look.first.as_millis() as u64, "fps": look.fps});
    common.output().show(&found, |_| {
        let fps =
            look.fps.map_or_else(|| "one frame only".to_owned(), |fps| format!("{fps:.1} frames a second"));
        format!(
            "{}\nfirst frame after {} ms, {} x {}, then {fps}",
            look.description,
            look.first.as_millis(),
            look.frame.width,
            look.frame.height
        )
    })
}

fn controls(settings: &Settings, common: &Common) -> Result<()> {
    let found = camera::controls(&settings.device).map_err(refused)?;
    common.output().show(&found, |found| {
        let rows = found.iter().map(|control| {
            let now = control.value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let locked = if control.locked { " (locked)" } else { "" };
            let range = format!("{} to {}", control.minimum, control.maximum);
            vec![
                control.name.clone(),
                format!("{now}{locked}"),
                control.default.to_string(),
                if control.menu.is_empty() { range } else { control.menu.join(", ") },
            ]
        });
        table(&["camera.controls", "now", "default", "allowed"], rows)
    })
}

fn snapshot(args: &SnapshotArgs, common: &Common) -> Result<()> {
    let settings = meant(common, args.device.as_deref())?;
    let jpeg = match look(&settings, SETTLE, LOOK) {
        Ok(look) => {
            let mut rgb = Rgb::default();
            camera::to_rgb(&look.frame, &mut rgb).map_err(refused)?;
            camera::encode_jpeg(&rgb, camera::SAMPLE_QUALITY)
        }
        // The daemon has it: its newest crop is the best there is.
        Err(error) => match common.client().get_bytes("/v1/frame", &[]) {
            Ok(crop) => {
                common.output().note("the daemon has the camera: this is its newest crop");
                crop.to_vec()
            }
            Err(_) => return Err(refused(error)),
        },
    };
    if args.file.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        let text = format!("there is no folder for {}; make it first", args.file.display());
        return Err(NotFound(text).into());
    }
    std::fs::write(&args.file, &jpeg).with_context(|| format!("cannot write {}", args.file.display()))?;
    let found = json!({"file": args.file, "bytes": jpeg.len()});
    common.output().show(&found, |_| format!("{} ({} bytes)", args.file.display(), jpeg.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_size_and_rate_and_a_missing_camera_what_to_do() {
        let settings = Settings {
            source: camera::Kind::Pattern,
            width: 160,
            height: 120,
            fps: Some(100.0),
            ..Settings::default()
        };
        let look = look(&settings, 5, LOOK).unwrap();
        assert_eq!((look.frame.width, look.frame.height), (160, 120));
        assert!(look.fps.is_some_and(|fps| fps > 0.0));
        let missing = Settings { device: "/dev/no-such-camera".into(), ..Settings::default() };
        let error = refused(super::look(&missing, 1, LOOK).err().unwrap());
        assert_eq!(super::super::exit_code(&error), 69);
        let wrong = Settings { fps: Some(-1.0), ..Settings::default() };
        let error = refused(super::look(&wrong, 1, LOOK).err().unwrap());
        assert_eq!(super::super::exit_code(&error), 78);
    }
}
