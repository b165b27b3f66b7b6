//! The video devices of this machine.

#[cfg(feature = "v4l")]
use super::device::{Description, describe};
use super::errors::NodeKind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One video device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceListing {
    /// The node, such as `/dev/video0`.
    pub path: String,
    /// The name that stays the same over restarts, where there is one: under `/dev/v4l/by-id`, or under
    /// `/dev/v4l/by-path` for a camera that is no USB device.
    pub by_id: Option<String>,
    /// What the camera calls itself.
    pub name: String,
    /// Driver and bus; empty where the node cannot be asked.
    pub driver: String,
    /// What kind of node it is, where it can be asked.
    pub kind: Option<NodeKind>,
    /// Formats and sizes, such as `MJPG 1280x720 640x480`.
    pub formats: Vec<String>,
    /// Why it cannot be used and what to do; empty if it can.
    pub note: String,
}

/// Lists `/dev/video*` in the order of their numbers. Opens each node that may be opened, without disturbing a program
/// that uses it.
pub fn list() -> Vec<DeviceListing> {
    list_in(Path::new("/dev"), Path::new("/sys/class/video4linux"))
}

fn list_in(dev: &Path, sys: &Path) -> Vec<DeviceListing> {
    let mut ids = lasting_names(&dev.join("v4l/by-path"));
    ids.extend(lasting_names(&dev.join("v4l/by-id")));
    let mut nodes: Vec<(u32, PathBuf)> = fs::read_dir(dev)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?, entry.path()))
        })
        .collect();
    nodes.sort_unstable();
    nodes
        .into_iter()
        .map(|(number, path)| {
            let name = fs::read_to_string(sys.join(format!("video{number}/name"))).unwrap_or_default();
            let by_id = ids.get(&fs::canonicalize(&path).unwrap_or_else(|_| path.clone())).cloned();
            let path = path.to_string_lossy().into_owned();
            let name = name.trim().into();
            #[cfg(feature = "v4l")]
            {
                let Description { driver, kind, formats, note } = describe(&path);
                DeviceListing { path, by_id, name, driver, kind, formats, note }
            }
            #[cfg(not(feature = "v4l"))]
            {
                let note = "this build has no V4L2 support; build with --features v4l".into();
                DeviceListing {
                    path,
                    by_id,
                    name,
                    driver: String::new(),
                    kind: None,
                    formats: Vec::new(),
                    note,
                }
            }
        })
        .collect()
}

/// Node to its stable name.
fn lasting_names(folder: &Path) -> BTreeMap<PathBuf, String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            Some((fs::canonicalize(&path).ok()?, path.to_string_lossy().into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_in_number_order_with_their_names() {
        let dir = tempfile::TempDir::new().unwrap();
        let (dev, sys) = (dir.path().join("dev"), dir.path().join("sys"));
        fs::create_dir_all(dev.join("v4l/by-id")).unwrap();
        for number in [10, 2] {
            fs::write(dev.join(format!("video{number}")), "").unwrap();
            fs::create_dir_all(sys.join(format!("video{number}"))).unwrap();
            fs::write(sys.join(format!("video{number}/name")), format!("Camera {number}\n")).unwrap();
        }
        fs::write(dev.join("videoX"), "").unwrap();
        fs::create_dir_all(dev.join("v4l/by-path")).unwrap();
        std::os::unix::fs::symlink("../../video2", dev.join("v4l/by-id/usb-two-index0")).unwrap();
        for number in [2, 10] {
            let link = dev.join(format!("v4l/by-path/platform-{number}-index0"));
            std::os::unix::fs::symlink(format!("../../video{number}"), link).unwrap();
        }
        let found = list_in(&dev, &sys);
        let names: Vec<&str> = found.iter().map(|listing| listing.name.as_str()).collect();
        assert_eq!(names, ["Camera 2", "Camera 10"]);
        assert!(found[0].by_id.as_ref().unwrap().ends_with("usb-two-index0"));
        assert!(found[1].by_id.as_ref().unwrap().ends_with("platform-10-index0"));
        // These are plain files, or the build has no V4L2 support: either way there is a note.
        assert!(found.iter().all(|listing| !listing.note.is_empty() && listing.kind.is_none()));
    }
}
