//! Sets from `.npz` files: `X_train, y_train, files_train, X_val, …, classes` of photographs, or `X, label, frame` of a
//! stream.

use super::set::{Picture, Set};
use crate::npz::Reader;
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::path::Path;

/// Frames a second of the camera whose frame numbers stand in a file.
const FPS: f64 = 30.0;
/// Photographs that a person would show one after another.
const CHUNK: usize = 5;

/// The sets of a folder, in the order of their names.
///
/// # Errors
/// When the folder or a file of it cannot be read.
pub fn folder(folder: &Path) -> Result<Vec<Set>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    files.sort();
    files.iter().map(|path| file(path)).collect()
}

/// One set; `<set>__<backbone>.npz` names both.
///
/// # Errors
/// When it cannot be read, or lacks an array.
pub fn file(path: &Path) -> Result<Set> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let (name, backbone) = stem.split_once("__").unwrap_or((&stem, ""));
    let mut reader = Reader::open(path)?;
    let set = if reader.has("X_train") { photographs(&mut reader) } else { stream(&mut reader) };
    let mut set = set.with_context(|| format!("{} cannot be used", path.display()))?;
    (set.name, set.backbone) = (name.to_owned(), backbone.to_owned());
    let rows = set.pictures.len() * (1 + usize::from(set.dark));
    ensure!(set.values.len() == rows * set.width, "{}: not one embedding a picture", path.display());
    Ok(set)
}

fn blank(classes: Vec<String>, width: usize) -> Set {
    Set {
        name: String::new(),
        backbone: String::new(),
        classes,
        width,
        values: Vec::new(),
        pictures: Vec::new(),
        dark: false,
        rate: None,
    }
}

fn photographs(reader: &mut Reader) -> Result<Set> {
    let mut set = blank(reader.texts("classes")?, 0);
    set.dark = reader.has("X_train_dark");
    let mut dark = Vec::new();
    for half in ["train", "val"] {
        let (shape, values) = reader.floats(&format!("X_{half}"))?;
        set.width = shape.get(1).copied().unwrap_or(0);
        set.values.extend(values);
        if set.dark {
            dark.extend(reader.floats(&format!("X_{half}_dark"))?.1);
        }
        let labels = reader.integers(&format!("y_{half}"))?;
        let labels: Vec<usize> = labels.iter().map(|label| *label as usize).collect();
        ensure!(labels.iter().all(|label| *label < set.classes.len()), "y_{half} names no class");
        let named = format!("groups_{half}");
        let groups = if reader.has(&named) {
            reader.integers(&named)?.iter().map(|group| *group as u64).collect()
        } else {
            groups(&reader.texts(&format!("files_{half}"))?, &labels)
        };
        ensure!(groups.len() == labels.len(), "{half}: not one group a picture");
        let first = set.pictures.iter().map(|picture| picture.group + 1).max().unwrap_or(0);
        let judges = half == "val";
        set.pictures.extend(labels.iter().zip(groups).map(|(class, group)| Picture {
            class: Some(*class),
            group: first + group,
            judges,
        }));
    }
    set.values.append(&mut dark);
    Ok(set)
}

fn stream(reader: &mut Reader) -> Result<Set> {
    let (shape, values) = reader.floats("X")?;
    let labels = reader.texts("label")?;
    let frames = reader.integers("frame")?;
    let names = labels.iter().filter(|label| *label != "unclear");
    let classes: Vec<String> =
        names.cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let step = frames.windows(2).map(|two| two[1] - two[0]).min().unwrap_or(1).max(1);
    let mut set = blank(classes, shape.get(1).copied().unwrap_or(0));
    set.values = values;
    set.rate = Some(FPS / step as f64);
    set.dark = reader.has("X_dark");
    if set.dark {
        set.values.extend(reader.floats("X_dark")?.1);
    }
    let class_of = |label: &String| set.classes.iter().position(|class| class == label);
    set.pictures = runs(&labels.iter().map(class_of).collect::<Vec<_>>());
    Ok(set)
}

/// Frames of one class that follow each other are one group.
pub fn runs(classes: &[Option<usize>]) -> Vec<Picture> {
    let mut group = 0;
    let mut pictures: Vec<Picture> = Vec::new();
    for class in classes {
        group += u64::from(pictures.last().is_some_and(|last| last.class != *class));
        pictures.push(Picture { class: *class, group, judges: false });
    }
    pictures
}

/// What was taken together, by the names of the files: `group__picture`; the running number of a camera that one person
/// after another stood before, each showing every class once; else some that follow each other.
fn groups(files: &[String], labels: &[usize]) -> Vec<u64> {
    let names: Vec<&str> = files.iter().map(|file| file.rsplit('/').next().unwrap_or(file)).collect();
    if names.iter().all(|name| name.contains("__")) {
        let mut known = HashMap::new();
        let group = |name: &&str| {
            let next = known.len() as u64;
            *known.entry(name.split("__").next().unwrap_or_default().to_owned()).or_insert(next)
        };
        return names.iter().map(group).collect();
    }
    let numbers: Option<Vec<u32>> =
        names.iter().map(|name| name.strip_prefix("IMG_")?.split('.').next()?.parse().ok()).collect();
    match numbers {
        Some(numbers) => turns(&numbers, labels),
        None => chunks(labels),
    }
}

/// In the order of their numbers, another turn begins where a class comes again or an earlier one follows.
fn turns(numbers: &[u32], labels: &[usize]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by_key(|at| numbers[*at]);
    let mut groups = vec![0; numbers.len()];
    let (mut group, mut last) = (0, None);
    for at in order {
        group += u64::from(last.is_some_and(|last| last >= labels[at]));
        last = Some(labels[at]);
        groups[at] = group;
    }
    groups
}

fn chunks(labels: &[usize]) -> Vec<u64> {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    labels
        .iter()
        .map(|label| {
            let count = seen.entry(*label).or_default();
            *count += 1;
            (((*count - 1) / CHUNK) << 16 | label) as u64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_from_the_names_of_files() {
        let files = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let named = files(&["train/a/a-b01__1.jpg", "train/a/a-b01__2.jpg", "train/b/b-b01__1.jpg"]);
        assert_eq!(groups(&named, &[0, 0, 1]), [0, 0, 1]);
        // Two people: 0, 1, 2 and 0, 2.
        let numbered =
            files(&["0/IMG_10.JPG", "0/IMG_13.JPG", "1/IMG_11.JPG", "2/IMG_12.JPG", "2/IMG_15.JPG"]);
        assert_eq!(groups(&numbered, &[0, 0, 1, 2, 2]), [0, 1, 0, 0, 1]);
        let plain = files(&["a/x.jpg"; 7]);
        let found = groups(&plain, &[0, 0, 0, 0, 0, 0, 1]);
        assert!(found[0] == found[4] && found[4] != found[5] && found[5] != found[6]);
    }

    #[test]
    fn runs_of_one_class_are_groups() {
        let groups: Vec<u64> =
            runs(&[Some(0), Some(0), None, Some(0), Some(1)]).iter().map(|p| p.group).collect();
        assert_eq!(groups, [0, 0, 1, 2, 3]);
    }
}
