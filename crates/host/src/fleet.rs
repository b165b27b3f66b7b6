//! The backbones that this host has made, by line and version, and which group of boards is to have which.
//!
//! `backbones/<line>.<version>.json` are manifests; `groups/<group>.json` says what a group is to have and is written by
//! `graft host assign`; `groups/<group>.state.json` says how far that is and is written by the running host.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use graft_base::whole_file;
use graft_wire::backbone_manifest::{BackboneFiles, BackboneManifest};
use graft_wire::{Key, topic::is_device_id};

/// Files of older versions of a line are not kept, unless a group is to have one.
const KEPT: usize = 10;

/// What a group is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The line.
    pub line: String,
    /// The version in it, which is the group's own.
    pub version: u64,
    /// Bearer token of its files.
    pub token: String,
}

/// How far a wish is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The version that this is about.
    pub version: u64,
    /// By device.
    pub devices: BTreeMap<String, Member>,
}

/// One board of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// How often it was sent.
    pub sent: u32,
    /// How far it is.
    pub is: Stand,
    /// Its job there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why it did not take it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a board is with the backbone of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It has not answered yet.
    #[default]
    Sent,
    /// It has taken the job on.
    Accepted,
    /// It runs it.
    Applied,
    /// It does not want it.
    Refused,
}

/// When a manifest was made and how long it is good.
#[derive(Clone, Debug)]
pub struct Life {
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub expires: String,
}

impl Stand {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Accepted => "accepted",
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub struct Fleet {
    dir: PathBuf,
    backbones: BTreeMap<(String, u64), BackboneManifest>,
    groups: BTreeMap<String, (Wish, Progress)>,
}

impl Fleet {
    /// Reads it from a state folder.
    ///
    /// # Errors
    /// When a folder cannot be made.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut fleet = Self { dir: dir.to_owned(), ..Self::default() };
        for folder in ["backbones", "groups"] {
            fs::create_dir_all(dir.join(folder))
                .with_context(|| format!("{} cannot be made", dir.display()))?;
        }
        fleet.reload();
        Ok(fleet)
    }

    /// Reads again what `graft host assign` may have changed.
    pub fn reload(&mut self) {
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
            let wish = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Wish>(&bytes).ok());
            let (true, Some(wish)) = (is_device_id(&stem), wish) else { continue };
            let state = fs::read(self.state_path(&stem)).ok().and_then(|b| serde_json::from_slice(&b).ok());
            let progress = state.filter(|p: &Progress| p.version == wish.version);
            let fresh = || Progress { version: wish.version, devices: BTreeMap::new() };
            let progress = progress.unwrap_or_else(fresh);
            self.groups.insert(stem, (wish, progress));
        }
    }

    fn state_path(&self, group: &str) -> PathBuf {
        self.dir.join("groups").join(format!("{group}.state.json"))
    }

    /// Every backbone.
    pub fn backbones(&self) -> impl Iterator<Item = &BackboneManifest> {
        self.backbones.values()
    }

    /// Every group with what it is to have and how far that is.
    pub fn groups(&self) -> impl Iterator<Item = (&String, &Wish, &Progress)> {
        self.groups.iter().map(|(group, (wish, progress))| (group, wish, progress))
    }

    /// What a group is to have.
    pub fn wanted(&self, group: &str) -> Option<(&Wish, &BackboneManifest)> {
        let (wish, _) = self.groups.get(group)?;
        Some((wish, self.backbones.get(&(wish.line.clone(), wish.version))?))
    }

    /// How far a board of a group is.
    pub fn member(&self, group: &str, device: &str) -> Option<&Member> {
        self.groups.get(group)?.1.devices.get(device)
    }

    /// Notes how far a board is, on disk first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&mut self, group: &str, device: &str, member: Member) -> Result<()> {
        let path = self.state_path(group);
        let Some((_, progress)) = self.groups.get_mut(group) else { return Ok(()) };
        progress.devices.insert(device.to_owned(), member);
        whole_file::write(&path, &serde_json::to_vec_pretty(progress)?, 0o600)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The files that a group's token opens.
    pub fn files_of(&self, token: &str) -> Option<BackboneFiles> {
        let (wish, _) = self.groups.values().find(|(wish, _)| wish.token == token)?;
        Some(self.backbones.get(&(wish.line.clone(), wish.version))?.files.clone())
    }

    /// Names of the blobs to keep: the newest versions of each line, and what groups are to have.
    pub fn blobs(&self) -> HashSet<String> {
        let wished: HashSet<_> =
            self.groups.values().map(|(wish, _)| (wish.line.clone(), wish.version)).collect();
        let mut later: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names = HashSet::new();
        for (key, manifest) in self.backbones.iter().rev() {
            let newer = later.entry(&manifest.line).or_default();
            if *newer < KEPT || wished.contains(key) {
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
    pub fn add(&mut self, mut manifest: BackboneManifest, key: &Key) -> Result<BackboneManifest> {
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

    /// Gives a group a backbone that was made for a device: the same files under a version of their own, so that it is
    /// newer to every board.
    ///
    /// # Errors
    /// When there is no such version, more than one line has it, or nothing can be written.
    pub fn assign(
        &mut self,
        version: u64,
        line: Option<&str>,
        group: &str,
        life: Life,
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
        let (created, expires) = (life.created, life.expires);
        let manifest = BackboneManifest {
            device: None,
            job: None,
            group: Some(group.to_owned()),
            created,
            expires,
            ..source.clone()
        };
        let manifest = self.add(manifest, key)?;
        let wish = Wish { line: manifest.line.clone(), version: manifest.version, token: super::token()? };
        let path = self.dir.join("groups").join(format!("{group}.json"));
        whole_file::write(&path, &serde_json::to_vec_pretty(&wish)?, 0o600)
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
