//! What an error of a device means and what to do about it.

use crate::CameraError;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The way around V4L2 for cameras that need an image processor.
pub(super) const RECIPES: &str = "Set camera.source = \"pipe\" and as camera.command, on a Raspberry Pi: \"rpicam-vid \
     -n -t 0 --codec mjpeg --width 640 --height 480 -o -\"; on a Jetson: \"gst-launch-1.0 -q nvarguscamerasrc ! \
     'video/x-raw(memory:NVMM),width=640,height=480' ! nvjpegenc ! fdsink\"";

/// What kind of node it is, from its capability bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Capture,
    /// Frames in several memory planes: image processors of RK3588, i.MX 8 and others.
    MultiPlanar,
    /// Carries the metadata of another node of the same camera.
    Metadata,
    /// A codec or scaler, no camera.
    Codec,
    /// A capture node without streaming.
    NoStreaming,
    Other,
}

impl NodeKind {
    /// From the `device_caps` of the node (`V4L2_CAP_…` of the kernel's `videodev2.h`).
    pub fn of(caps: u32) -> Self {
        const CAPTURE: u32 = 0x1;
        const CAPTURE_MPLANE: u32 = 0x1000;
        const M2M: u32 = 0x4000 | 0x8000;
        const META_CAPTURE: u32 = 0x0080_0000;
        const STREAMING: u32 = 0x0400_0000;
        if caps & M2M != 0 {
            Self::Codec
        } else if caps & CAPTURE != 0 {
            if caps & STREAMING == 0 { Self::NoStreaming } else { Self::Capture }
        } else if caps & CAPTURE_MPLANE != 0 {
            Self::MultiPlanar
        } else if caps & META_CAPTURE != 0 {
            Self::Metadata
        } else {
            Self::Other
        }
    }

    /// Why the node cannot be used and what to do; empty if it can.
    pub fn hint(self, device: &str) -> String {
        match self {
            Self::Capture => String::new(),
            Self::MultiPlanar => format!(
                "{device} gives frames in several memory planes, which is not read here. Set camera.source = \"pipe\" \
                 and camera.command = \"gst-launch-1.0 -q v4l2src device={device} ! videoconvert ! jpegenc ! fdsink\""
            ),
            Self::Metadata => format!(
                "{device} carries metadata only; use the other node of the same camera (its name under \
                 /dev/v4l/by-id ends in index0)"
            ),
            Self::Codec => format!("{device} is a codec or scaler, not a camera; see `graft camera list`"),
            Self::NoStreaming => {
                format!("{device} does not stream, it can only be read from; this is not supported")
            }
            Self::Other => format!("{device} captures no video; see `graft camera list`"),
        }
    }
}

/// Explains an error of `device` that came up while doing `what`.
pub(super) fn explain(device: &str, what: &str, error: &io::Error) -> CameraError {
    let text = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => missing(device),
        Some(Errno::ACCESS | Errno::PERM) => denied(device),
        Some(Errno::BUSY) => busy(device),
        Some(Errno::NOTTY) => {
            format!("{device} is not a V4L2 device; `graft camera list` shows those there are")
        }
        Some(Errno::NOSPC) => format!(
            "{device}: the USB bus has no bandwidth left; use a smaller size, camera.format = \"mjpeg\", or another port"
        ),
        _ => format!("{device}: {what} failed: {error}"),
    };
    CameraError::lost(text)
}

fn missing(device: &str) -> String {
    let mut there = names_in("/dev", "video");
    there.extend(names_in("/dev/v4l/by-id", ""));
    let there =
        if there.is_empty() { "no video device found".into() } else { format!("found {}", there.join(", ")) };
    format!("{device} does not exist ({there}); plug the camera in, or set camera.device")
}

/// Full paths of the entries of a folder whose names begin so, at most 8.
fn names_in(folder: &str, start: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(start))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort_unstable();
    names.truncate(8);
    names
}

/// What every group outside looks like in a sandbox with users of its own (`PrivateUsers=` of the unit).
const OVERFLOW_GID: u32 = 65_534;

fn denied(device: &str) -> String {
    let gid = fs::metadata(device).map(|meta| meta.gid()).ok();
    if gid == Some(OVERFLOW_GID) {
        return format!(
            "{device} may not be opened by this user; `ls -lL {device}` names the group that may: put \
             SupplementaryGroups= with it into a drop-in of the unit (systemctl edit graft)"
        );
    }
    let group = gid.and_then(group_name).unwrap_or_else(|| "video".into());
    format!(
        "{device} may not be opened by this user; put it into the group that may: sudo usermod -aG {group} $USER, then \
         log in again (in a systemd unit: SupplementaryGroups={group})"
    )
}

fn group_name(gid: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_string())
    })
}

fn busy(device: &str) -> String {
    let holders = holders(Path::new(device));
    if holders.is_empty() {
        return format!("{device} is in use by another program; `sudo fuser -v {device}` names it");
    }
    format!("{device} is in use by {}; stop it first", holders.join(", "))
}

/// Programs that have this device open, as far as /proc may be read: "name (pid 1)". At most 4.
fn holders(device: &Path) -> Vec<String> {
    let Ok(device) = fs::canonicalize(device) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) || found.len() >= 4 {
            continue;
        }
        let open: PathBuf = entry.path().join("fd");
        let mut links = fs::read_dir(open).into_iter().flatten().flatten();
        if links.any(|link| fs::read_link(link.path()).is_ok_and(|target| target == device)) {
            let program = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let program: String = program.chars().filter(|c| !c.is_control()).collect();
            found.push(format!("{program} (pid {name})"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(device: &str, errno: Errno) -> String {
        explain(device, "asking", &io::Error::from(errno)).to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        for (errno, hint) in [
            (Errno::NOENT, "camera.device"),
            (Errno::NODEV, "plug the camera in"),
            (Errno::ACCESS, "usermod -aG"),
            (Errno::NOTTY, "camera list"),
            (Errno::NOSPC, "bandwidth"),
            (Errno::BUSY, "fuser"),
            (Errno::IO, "asking failed"),
        ] {
            let text = text("/dev/no-such-camera", errno);
            assert!(text.contains(hint) && text.contains("/dev/no-such-camera"), "{errno:?}: {text}");
        }
    }

    #[test]
    fn the_holder_of_a_busy_device_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec 3<\"$1\"; echo ready; exec sleep 600", "sh", path])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let text = text(path, Errno::BUSY);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(text.contains(&format!("(pid {})", child.id())), "{text}");
    }

    #[test]
    fn nodes_are_told_apart() {
        const STREAMING: u32 = 0x0400_0000;
        for (caps, kind) in [
            (STREAMING | 0x1, NodeKind::Capture),
            (0x0100_0001, NodeKind::NoStreaming),
            (STREAMING | 0x1000, NodeKind::MultiPlanar),
            (STREAMING | 0x0080_0000, NodeKind::Metadata),
            (STREAMING | 0x4000, NodeKind::Codec),
            (STREAMING | 0x8000, NodeKind::Codec),
            (STREAMING | 0x2, NodeKind::Other),
        ] {
            assert_eq!(NodeKind::of(caps), kind);
            assert_eq!(kind.hint("/dev/video3").is_empty(), kind == NodeKind::Capture);
        }
    }
}
