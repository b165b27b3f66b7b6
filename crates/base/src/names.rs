//! What the names of files say about what was taken together.

use crate::pictures::SPLITS;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Groups pictures by their names: those whose names differ in nothing but their last number (`rock01-000.png` and
/// `rock01-119.png`), and those of one folder inside a class folder. `classes` are their classes. Returns for each picture
/// the first one of its group.
///
/// `None` where names say nothing: where most groups would have one picture, or a class would be a single group.
pub fn group(files: &[&Path], classes: &[usize]) -> Option<Vec<usize>> {
    let mut first_of: HashMap<String, usize> = HashMap::new();
    let mut first = Vec::with_capacity(files.len());
    let mut of_class: HashMap<usize, HashSet<usize>> = HashMap::new();
    for (at, (file, class)) in files.iter().zip(classes).enumerate() {
        let group = *first_of.entry(key(file)).or_insert(at);
        of_class.entry(*class).or_default().insert(group);
        first.push(group);
    }
    let large = !files.is_empty() && files.len() >= 2 * first_of.len();
    (large && of_class.values().all(|groups| groups.len() > 1)).then_some(first)
}

/// What is equal in the names of one group.
fn key(file: &Path) -> String {
    let parents = file.parent().into_iter().flat_map(Path::components);
    let mut parents: Vec<_> = parents.map(|part| part.as_os_str().to_string_lossy()).collect();
    if parents.len() > 1 && SPLITS.contains(&&*parents[0]) {
        parents.remove(0);
    }
    // The class itself says nothing.
    let inside = parents.split_off(parents.len().min(1)).join("/");
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    // Roboflow's names of pictures that were made from one: the picture, `.rf.` and a digest.
    let stem = stem.split(".rf.").next().unwrap_or_default();
    let number = |c: char| c.is_ascii_digit();
    let between = |c: char| matches!(c, '-' | '_' | '.' | ' ' | '(' | ')');
    let begin = stem.trim_end_matches(between).trim_end_matches(number).trim_end_matches(between);
    format!("{inside}/{begin}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(files: &[&str], classes: &[usize]) -> Option<Vec<usize>> {
        group(&files.iter().map(Path::new).collect::<Vec<_>>(), classes)
    }

    #[test]
    fn names_that_differ_in_their_last_number_are_one_group() {
        let files =
            ["rock/rock01-000.png", "rock/rock01-001.png", "rock/rock02-000.png", "rock/rock02-9.png"];
        assert_eq!(groups(&files, &[0; 4]), Some(vec![0, 0, 2, 2]));
        // One person shows several classes.
        let files = ["a/anna_1.jpg", "a/ben_1.jpg", "b/anna_2.jpg", "b/ben_2.jpg"];
        assert_eq!(groups(&files, &[0, 0, 1, 1]), Some(vec![0, 1, 0, 1]));
        let files = ["train/a/x/1.jpg", "train/a/x/2.jpg", "val/a/y/1.jpg", "val/a/y/2.jpg"];
        assert_eq!(groups(&files, &[0; 4]), Some(vec![0, 0, 2, 2]));
        let files = ["a/i_jpg.rf.0a1.jpg", "a/i_jpg.rf.0b2.jpg", "a/j_jpg.rf.3c.jpg", "a/j_jpg.rf.4d.jpg"];
        assert_eq!(groups(&files, &[0; 4]), Some(vec![0, 0, 2, 2]));
    }

    #[test]
    fn names_that_say_nothing_give_no_groups() {
        // A running number alone, and names of which each is its own.
        assert_eq!(
            groups(&["a/IMG_1.JPG", "a/IMG_2.JPG", "b/IMG_3.JPG", "b/IMG_4.JPG"], &[0, 0, 1, 1]),
            None
        );
        assert_eq!(groups(&["train/a/cat1.jpg", "val/a/cat2.jpg"], &[0, 0]), None);
        assert_eq!(groups(&["a/5f3a.jpg", "a/77bc.jpg", "a/91aa.jpg"], &[0; 3]), None);
        assert_eq!(groups(&[], &[]), None);
    }
}
