//! The camera and the backbone: do frames come, and how long does one take?

use super::Finding;
use crate::cli::camera::look;
use crate::config::Settings;
use crate::daemon::load_backbone;
use graft_base::frame::Rgb;
use graft_camera::{self as camera, Kind};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Pictures embedded for one figure.
const TIMES: usize = 5;

/// The camera, asked itself, or by way of the daemon that holds it.
pub fn camera(settings: &Settings, status: Option<&Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.camera.source == Kind::V4l2 {
        findings.push(formats(settings));
    }
    let age = status.and_then(|status| status.pointer("/frame/age_ms")?.as_u64());
    if let (Some(status), Some(age)) = (status, age.filter(|age| *age < 2000)) {
        let description = super::super::client::word(status, "/camera/description");
        findings
            .push(Finding::ok("camera", format!("{description}; the daemon's newest frame is {age} ms old")));
        return findings;
    }
    findings.push(match look(&settings.camera, u32::MAX, Duration::from_secs(2)) {
        Ok(look) => {
            let fps =
                look.fps.map_or_else(|| "one frame".to_owned(), |fps| format!("{fps:.1} frames a second"));
            Finding::ok("camera", format!("{}; {fps}", look.description))
        }
        Err(error) => {
            let found = format!("camera.source = {} gives no frame", settings.camera.source.as_str());
            Finding::fail("camera", found, error.to_string())
        }
    });
    findings
}

/// The configured device as the system lists it.
fn formats(settings: &Settings) -> Finding {
    let wanted = std::fs::canonicalize(&settings.camera.device).ok();
    let all = camera::list();
    let found = all.iter().find(|device| wanted.as_deref() == Some(std::path::Path::new(&device.path)));
    let device = &settings.camera.device;
    match found {
        None => {
            let there: Vec<&str> = all.iter().map(|device| device.path.as_str()).collect();
            let there = if there.is_empty() { "no video device".to_owned() } else { there.join(", ") };
            let remedy =
                "plug the camera in, set camera.device (see `graft camera list`), or another camera.source";
            Finding::fail("formats", format!("{device} is no video device; there is {there}"), remedy)
        }
        Some(listing) if !listing.note.is_empty() => {
            Finding::fail("formats", format!("{device} cannot be used"), listing.note.clone())
        }
        Some(listing) => match &listing.by_id {
            Some(stable) if !device.contains("/by-") => Finding::warn(
                "formats",
                listing.formats.join("; "),
                format!("set camera.device = \"{stable}\": {device} may be another camera after a restart"),
            ),
            _ => Finding::ok("formats", listing.formats.join("; ")),
        },
    }
}

/// Whether the backbone loads, and its time for one picture.
pub fn backbone(settings: &Settings) -> Finding {
    let mut backbone = match load_backbone(settings) {
        Ok(backbone) => backbone,
        Err(error) => {
            let remedy =
                "`graft backbone inspect FILE` tells more; without backbone.file the built-in one is used";
            return Finding::fail("backbone", error, remedy);
        }
    };
    let picture = Rgb::black(640, 480);
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        if let Err(error) = backbone.embed(&picture, settings.backbone.roi) {
            return Finding::fail("backbone", error.to_string(), "`graft backbone inspect FILE` tells more");
        }
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let median = times.get(TIMES / 2).copied().unwrap_or_default();
    let found = format!("{}, {:.1} ms a picture", backbone.identity().name, median.as_secs_f64() * 1e3);
    if median > Duration::from_millis(500) {
        let remedy =
            "it sees less than two frames a second: take a smaller one, `graft backbone ls` lists some";
        return Finding::warn("backbone", found, remedy);
    }
    Finding::ok("backbone", found)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::{Sources, Surroundings, load};

    fn settings(set: &[&str]) -> Settings {
        let set = set.iter().map(ToString::to_string).chain(["device.id=d".to_owned()]).collect();
        load(&Sources { file: None, set, surroundings: Surroundings::here() }).unwrap()
    }

    #[test]
    fn a_camera_that_gives_frames_is_well_and_one_that_is_missing_is_not() {
        let good = camera(&settings(&["camera.source=pattern", "camera.fps=50"]), None);
        assert_eq!(good.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Ok], "{good:?}");
        let missing = camera(&settings(&["camera.device=/dev/no-such-camera"]), None);
        assert_eq!(missing.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Fail; 2]);
        assert!(missing.iter().all(|f| f.remedy.contains("camera.device")), "{missing:?}");
        let held = serde_json::json!({"frame": {"age_ms": 40}, "camera": {"description": "a camera"}});
        let held = camera(&settings(&["camera.source=pipe", "camera.command=false"]), Some(&held));
        assert_eq!(held[0].verdict, Verdict::Ok, "the daemon's word counts");
    }

    #[test]
    fn the_built_in_backbone_is_timed_and_a_missing_file_is_told() {
        let good = backbone(&settings(&[]));
        assert!(good.found.contains("ms a picture"), "{good:?}");
        let missing = backbone(&settings(&["backbone.file=/no/such.onnx"]));
        assert_eq!(missing.verdict, Verdict::Fail);
    }
}
