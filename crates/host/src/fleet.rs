//! The backbones that this host has made, by line and version, and which of them each group of boards is assigned.
//!
//! `backbones/<line>.<version>.json` are manifests; `groups/<group>.json` is the assignment, written by
//! `graft host assign`; `groups/<group>.state.json` is how far its boards are, written by the running host.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::group::{Assignment, Member, Progress};
use graft_base::whole_file;
use graft_wire::backbone_manifest::{BackboneFiles, BackboneManifest};
use graft_wire::{Key, topic::is_device_id};

/// Files of older versions of a line are not kept, unless a group is assigned one.
const KEPT: usize = 10;

/// The backbones and groups of a state folder.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    dir: PathBuf,
    backbones: BTreeMap<(String, u64), BackboneManifest>,
    groups: BTreeMap<String, (Assignment, Progress)>,
}

impl Fleet {
    /// Reads a state folder, which is made where there is none.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let mut fleet = Self { dir: dir.to_owned(), ..Self::default() };
        for folder in ["backbones", "groups"] {
            fs::create_dir_all(dir.join(folder))
                .with_context(|| format!("{} cannot be made", dir.display()))?;
        }
        fleet.reload();
        Ok(fleet)
    }

    /// Reads again what `graft host assign` may have changed.
    pub(crate) fn reload(&mut self) {
        for path in json_files(&self.dir.join("backbones")) {
            match fs::read(&path)
                .map_err(anyhow::Error::from)
                .and_then(|b| Ok(BackboneManifest::from_json(&b)?))
            {
                Ok(manifest) => {
                    self.backbones.insert((manifest.line.clone(), manifest.version), manifest);
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a backbone's manifest cannot be read")
                }
            }
        }
        self.groups.clear();
        for path in json_files(&self.dir.join("groups")) {
            let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
            let assignment =
                fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Assignment>(&bytes).ok());
            let (true, Some(assignment)) = (is_device_id(&stem), assignment) else { continue };
            let state = fs::read(self.state_path(&stem)).ok().and_then(|b| serde_json::from_slice(&b).ok());
            let progress = state.filter(|p: &Progress| p.version == assignment.version);
            let fresh = || Progress { version: assignment.version, devices: BTreeMap::new() };
            let progress = progress.unwrap_or_else(fresh);
            self.groups.insert(stem, (assignment, progress));
        }
    }

    fn state_path(&self, group: &str) -> PathBuf {
        self.dir.join("groups").join(format!("{group}.state.json"))
    }

    pub(crate) fn backbones(&self) -> impl Iterator<Item = &BackboneManifest> {
        self.backbones.values()
    }

    /// Every group with its assignment and how far its boards are.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&String, &Assignment, &Progress)> {
        self.groups.iter().map(|(group, (assignment, progress))| (group, assignment, progress))
    }

    /// The same with the manifest, for groups whose backbone is there.
    pub(crate) fn assigned(
        &self,
    ) -> impl Iterator<Item = (&String, &Assignment, &BackboneManifest, &Progress)> {
        self.groups().filter_map(|(group, assignment, progress)| {
            let manifest = self.backbones.get(&(assignment.line.clone(), assignment.version))?;
            Some((group, assignment, manifest, progress))
        })
    }

    /// Records how far a board is with this version of its group.
    ///
    /// # Errors
    /// When the group is assigned another version by now, or it cannot be written; the next [`Fleet::reload`] goes back to what is on disk.
    pub(crate) fn record(&mut self, group: &str, version: u64, device: &str, member: Member) -> Result<()> {
        let path = self.state_path(group);
        let progress = self.groups.get_mut(group).map(|(_, progress)| progress);
        let Some(progress) = progress.filter(|progress| progress.version == version) else {
            bail!("group {group} is no longer assigned version {version}");
        };
        progress.devices.insert(device.to_owned(), member);
        whole_file::write(&path, &serde_json::to_vec_pretty(progress)?, 0o600)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The files that a group's token opens.
    pub(crate) fn files_of(&self, token: &str) -> Option<BackboneFiles> {
        let (assignment, _) = self.groups.values().find(|(assignment, _)| assignment.token == token)?;
        Some(self.backbones.get(&(assignment.line.clone(), assignment.version))?.files.clone())
    }

    /// Names of the blobs to keep: the newest versions of each line, and what groups are assigned.
    pub(crate) fn blobs(&self) -> HashSet<String> {
        let assigned: HashSet<_> = self
            .groups
            .values()
            .map(|(assignment, _)| (assignment.line.clone(), assignment.version))
            .collect();
        let mut later: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names = HashSet::new();
        for (key, manifest) in self.backbones.iter().rev() {
            let newer = later.entry(&manifest.line).or_default();
            if *newer < KEPT || assigned.contains(key) {
                names.extend(manifest.files.named().map(|(_, blob)| blob.hex().to_owned()));
            }
            *newer += 1;
        }
        names
    }

    /// Gives a manifest the next version of its line, signs it and keeps it. Versions are never used twice, whichever
    /// process of this host asks.
    ///
    /// # Errors
    /// When it is not well-formed, or cannot be written.
    pub(crate) fn add(&mut self, mut manifest: BackboneManifest, key: &Key) -> Result<BackboneManifest> {
        let folder = self.dir.join("backbones");
        let lock = File::create(folder.join("lock")).context("the folder of backbones cannot be locked")?;
        lock.lock().context("the folder of backbones cannot be locked")?;
        self.reload();
        let newest = self.backbones.keys().filter(|(line, _)| *line == manifest.line).map(|(_, v)| *v).max();
        manifest.version = newest.unwrap_or(0) + 1;
        manifest.sign(key)?;
        let path = folder.join(format!("{}.{}.json", manifest.line, manifest.version));
        whole_file::write(&path, manifest.to_json().as_bytes(), 0o600)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        self.backbones.insert((manifest.line.clone(), manifest.version), manifest.clone());
        Ok(manifest)
    }

    /// Assigns a group a backbone that was made for a device: the same files under a version of their own, so that it is
    /// newer to every board. `validity` is when the manifest was made and when it expires, RFC 3339.
    ///
    /// # Errors
    /// When there is no such version, more than one line has it, or nothing can be written.
    pub(crate) fn assign(
        &mut self,
        version: u64,
        line: Option<&str>,
        group: &str,
        validity: (String, String),
        key: &Key,
    ) -> Result<BackboneManifest> {
        if !is_device_id(group) {
            bail!("a group is named by 1 to 64 of a-z, 0-9 and '-', not {group:?}");
        }
        let fits = |m: &&BackboneManifest| m.version == version && line.is_none_or(|line| line == m.line);
        let found: Vec<_> = self.backbones.values().filter(fits).cloned().collect();
        let [source] = &found[..] else {
            let lines: Vec<_> = found.iter().map(|m| m.line.as_str()).collect();
            match lines.is_empty() {
                true => {
                    bail!("this host has made no version {version}; `graft host status` lists what it has")
                }
                false => bail!("version {version} is there of {}; name one with --line", lines.join(" and ")),
            }
        };
        let (created, expires) = validity;
        let manifest = BackboneManifest {
            device: None,
            job: None,
            group: Some(group.to_owned()),
            created,
            expires,
            ..source.clone()
        };
        let manifest = self.add(manifest, key)?;
        let assignment = Assignment {
            line: manifest.line.clone(),
            version: manifest.version,
            token: crate::random_token()?,
        };
        let path = self.dir.join("groups").join(format!("{group}.json"));
        whole_file::write(&path, &serde_json::to_vec_pretty(&assignment)?, 0o600)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        self.reload();
        Ok(manifest)
    }
}

/// The JSON files of a folder that are whole.
fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::MemberState;
    use graft_wire::messages::Schema1;
    use graft_wire::offload::{Blob, Recipe};
    use tempfile::TempDir;

    fn manifest(line: &str, onnx: &str) -> BackboneManifest {
        BackboneManifest {
            schema: Schema1,
            line: line.into(),
            version: 1,
            device: Some("cam-1".into()),
            group: None,
            job: Some("16".into()),
            base: Blob::of(b"base").digest,
            files: BackboneFiles {
                onnx: Blob::of(onnx.as_bytes()),
                card: Blob::of(b"card"),
                head: Blob::of(b"head"),
                golden: Blob::of(b"golden"),
            },
            tensor: "features".into(),
            width: 64,
            classes: vec!["ok".into(), "bad".into()],
            recipe: Recipe::default(),
            metrics: BTreeMap::from([("accuracy".into(), 0.9), ("baseline_accuracy".into(), 0.8)]),
            created: "2026-01-01T00:00:00.000Z".into(),
            expires: "2099-01-01T00:00:00.000Z".into(),
            key_id: String::new(),
            sig: String::new(),
        }
    }

    fn validity() -> (String, String) {
        ("2026-02-01T00:00:00.000Z".into(), "2099-02-01T00:00:00.000Z".into())
    }

    #[test]
    fn versions_rise_by_line_and_are_never_used_twice() {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = crate::key(other.path()).unwrap();
        let mut fleet = Fleet::open(dir.path()).unwrap();
        // Another process of this host, with its own view.
        let mut second = Fleet::open(dir.path()).unwrap();
        assert_eq!(fleet.add(manifest("tiny", "a"), &key).unwrap().version, 1);
        assert_eq!(second.add(manifest("tiny", "b"), &key).unwrap().version, 2);
        assert_eq!(fleet.add(manifest("large", "c"), &key).unwrap().version, 1);
        assert_eq!(fleet.add(manifest("tiny", "d"), &key).unwrap().version, 3);
        assert_eq!(Fleet::open(dir.path()).unwrap().backbones().count(), 4);
    }

    #[test]
    fn an_assignment_is_a_version_of_its_own_and_its_token_opens_the_files() {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = crate::key(other.path()).unwrap();
        let mut fleet = Fleet::open(dir.path()).unwrap();
        fleet.add(manifest("tiny", "a"), &key).unwrap();
        fleet.add(manifest("large", "b"), &key).unwrap();
        let mut assign = |version, line, group: &str| fleet.assign(version, line, group, validity(), &key);
        let refused = |result: Result<BackboneManifest>| format!("{:#}", result.unwrap_err());
        assert!(refused(assign(9, None, "line-3")).contains("no version 9"));
        assert!(refused(assign(1, None, "line-3")).contains("large and tiny; name one with --line"));
        assert!(refused(assign(1, Some("tiny"), "../x")).contains("1 to 64"));
        let assigned = assign(1, Some("tiny"), "line-3").unwrap();
        assert_eq!((assigned.version, assigned.group.as_deref()), (2, Some("line-3")));
        assert_eq!((&assigned.device, &assigned.job), (&None, &None));
        let (_, assignment, manifest, _) = fleet.assigned().next().unwrap();
        assert_eq!((assignment.version, manifest), (2, &assigned));
        assert_eq!(fleet.files_of(&assignment.token), Some(assigned.files));
        assert_eq!(fleet.files_of("another"), None);
    }

    #[test]
    fn progress_is_of_one_version_and_survives_a_restart() {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = crate::key(other.path()).unwrap();
        let mut fleet = Fleet::open(dir.path()).unwrap();
        fleet.add(manifest("tiny", "a"), &key).unwrap();
        fleet.assign(1, None, "line-3", validity(), &key).unwrap();
        let member = Member { sent: 1, state: MemberState::Applied, ..Member::default() };
        fleet.record("line-3", 2, "cam-1", member.clone()).unwrap();
        let mut fleet = Fleet::open(dir.path()).unwrap();
        assert_eq!(fleet.groups().next().unwrap().2.devices["cam-1"], member);
        // Assigned anew: what boards said of the version before counts no more.
        fleet.assign(1, None, "line-3", validity(), &key).unwrap();
        assert_eq!(fleet.groups().next().unwrap().2.devices, BTreeMap::new());
        let stale = fleet.record("line-3", 2, "cam-1", member.clone()).unwrap_err();
        assert!(stale.to_string().contains("no longer assigned version 2"), "{stale}");
        assert!(fleet.record("line-4", 2, "cam-1", member).is_err());
    }

    #[test]
    fn files_of_old_versions_are_kept_while_a_group_is_assigned_them() {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = crate::key(other.path()).unwrap();
        let mut fleet = Fleet::open(dir.path()).unwrap();
        fleet.add(manifest("tiny", "first"), &key).unwrap();
        fleet.add(manifest("tiny", "second"), &key).unwrap();
        fleet.assign(2, None, "line-3", validity(), &key).unwrap();
        for n in 0..KEPT {
            fleet.add(manifest("tiny", &format!("later {n}")), &key).unwrap();
        }
        let kept = fleet.blobs();
        assert!(!kept.contains(Blob::of(b"first").hex()));
        assert!(kept.contains(Blob::of(b"second").hex()));
        assert!(kept.contains(Blob::of(b"later 0").hex()));
    }
}
