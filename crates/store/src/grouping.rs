//! Bursts of imported pictures that came without: what their names say, else how alike they are.

use std::fmt;
use std::path::{Path, PathBuf};

use graft_base::names;
use graft_learn::{Likeness, Snapshot};

use super::samples::ALONE;
use super::{NewSample, StoreError};

/// Numbers of embeddings that are kept until the end of an import: 100 MB.
const MOST_NUMBERS: usize = 50 << 20;
/// The burst of several such pictures: the digest of the first one follows.
const TOGETHER: &str = "files:";

/// Why pictures were taken for one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Their names differ in nothing but their last number, or they lie in a folder of their own.
    Names,
    /// How alike they are.
    Likeness(Likeness),
}

/// What was assumed about pictures that came without bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// How many they are.
    pub pictures: usize,
    /// In how many bursts.
    pub bursts: usize,
    /// Why.
    pub evidence: Evidence,
}

impl Assumed {
    /// The word for programs.
    pub fn as_str(&self) -> &'static str {
        match self.evidence {
            Evidence::Names => "names",
            Evidence::Likeness(Likeness::None) => "none",
            Evidence::Likeness(Likeness::Neighbours(_)) => "neighbours",
            Evidence::Likeness(Likeness::Copies) => "copies",
        }
    }
}

impl fmt::Display for Assumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pictures, bursts, evidence } = self;
        match evidence {
            Evidence::Names => write!(
                f,
                "{pictures} pictures in {bursts} bursts: names that differ only in their last number, and folders \
                 inside a class, are one burst"
            ),
            Evidence::Likeness(Likeness::Neighbours(length)) => write!(
                f,
                "{pictures} pictures in {bursts} bursts: about {length} that follow each other in a class are alike"
            ),
            Evidence::Likeness(Likeness::Copies) => {
                write!(f, "{pictures} pictures in {bursts} bursts: near-copies of one class are one burst")
            }
            Evidence::Likeness(Likeness::None) => write!(
                f,
                "each of {pictures} pictures is a burst of its own: neither names nor likeness tell what was taken \
                 together"
            ),
        }
    }
}

/// Groups pictures that stand in the order of their files: for each the first one of its burst. Samples of one burst of the
/// snapshot stay together.
pub fn group_pictures(files: &[&Path], snapshot: &Snapshot) -> (Vec<usize>, Assumed) {
    let classes: Vec<usize> = snapshot.labels.iter().map(|label| *label as usize).collect();
    let (first, evidence) = match names::group(files, &classes) {
        Some(first) => (first, Evidence::Names),
        None => {
            let found = graft_learn::group(snapshot);
            (found.first, Evidence::Likeness(found.why))
        }
    };
    let bursts = first.iter().enumerate().filter(|(at, first)| at == *first).count();
    let assumed = Assumed { pictures: first.len(), bursts, evidence };
    (first, assumed)
}

/// The pictures of an import whose bursts nobody named, as they are stored.
#[derive(Debug, Default)]
pub struct Loose {
    ids: Vec<i64>,
    files: Vec<PathBuf>,
    bursts: Vec<String>,
    classes: Vec<String>,
    snapshot: Snapshot,
}

impl Loose {
    /// Takes note of samples that were stored under these ids.
    pub fn take(&mut self, samples: &[NewSample], ids: &[i64]) {
        for (sample, id) in samples.iter().zip(ids) {
            if sample.burst.starts_with(ALONE) && self.snapshot.embeddings.len() < MOST_NUMBERS {
                self.take_one(sample, *id);
            }
        }
    }

    fn take_one(&mut self, sample: &NewSample, id: i64) {
        let label = match self.classes.iter().position(|class| *class == sample.class) {
            Some(label) => label,
            None => {
                self.classes.push(sample.class.clone());
                self.classes.len() - 1
            }
        };
        self.snapshot.width = sample.embedding.len();
        self.snapshot.classes = self.classes.len();
        let burst = super::burst_number(&sample.burst);
        // One of another width belongs to a backbone that has changed meanwhile.
        if self.snapshot.push(&sample.embedding, label as u32, burst).is_ok() {
            self.ids.push(id);
            self.files.push(sample.source.trim_start_matches(ALONE).into());
            self.bursts.push(sample.burst.clone());
        }
    }

    /// The bursts that they should have, where that is another one; and what was assumed. `None` without such pictures.
    pub fn group(&self) -> Option<(Vec<(i64, String)>, Assumed)> {
        if self.ids.is_empty() {
            return None;
        }
        let files: Vec<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        let (first, assumed) = group_pictures(&files, &self.snapshot);
        let mut members = vec![0usize; first.len()];
        first.iter().for_each(|first| members[*first] += 1);
        let named = |(at, first): (usize, &usize)| {
            let name = self.bursts[*first].trim_start_matches(ALONE);
            (members[*first] > 1).then(|| (self.ids[at], format!("{TOGETHER}{name}")))
        };
        Some((first.iter().enumerate().filter_map(named).collect(), assumed))
    }
}

impl super::Store {
    /// Gives samples other bursts: what an import found out when all of its pictures were there. Undoing the import takes
    /// this back, too. Returns the revision.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored; then none has another burst.
    pub fn regroup(&mut self, bursts: &[(i64, String)]) -> Result<i64, StoreError> {
        self.transaction(|tx| {
            let mut statement = tx.conn.prepare("UPDATE samples SET burst = ?2 WHERE id = ?1")?;
            for (id, burst) in bursts {
                statement.execute((id, burst))?;
            }
            super::journal::count_up(tx.conn, "rev", i64::from(!bursts.is_empty()))
        })
    }
}
