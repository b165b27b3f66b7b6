//! Folders of pictures: one folder a class (ImageFolder), or flat.

use super::failure::Usage;
use anyhow::{Context, Result};
use graft_camera as camera;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders below a class folder are followed so deep.
const MAX_DEPTH: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Below the folder, with `/` between the parts.
    pub file: String,
    pub path: PathBuf,
    /// Index into [`Folder::classes`]; 0 in a flat folder.
    pub class: usize,
}

/// The pictures of a folder, class by class and by name within each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// Sorted names of the class folders that hold pictures; none in a flat folder.
    pub classes: Vec<String>,
    /// In order.
    pub pictures: Vec<Picture>,
    /// Pictures beside class folders, which belong to no class.
    pub stray: Vec<String>,
}

/// Lists the pictures of a folder. Hidden files and folders are left out; folders in class folders are followed.
///
/// # Errors
/// When a folder cannot be read or there is no picture at all.
pub fn list(folder: &Path) -> Result<Folder> {
    let (files, folders) = entries(folder)?;
    let mut found = Folder::default();
    for name in folders {
        let mut pictures = Vec::new();
        walk(&folder.join(&name), &name, found.classes.len(), 0, &mut pictures)?;
        if !pictures.is_empty() {
            found.classes.push(name);
            found.pictures.append(&mut pictures);
        }
    }
    let flat = files.into_iter().filter(|name| camera::is_image_name(Path::new(name)));
    if found.classes.is_empty() {
        let picture = |file: String| Picture { path: folder.join(&file), file, class: 0 };
        found.pictures = flat.map(picture).collect();
    } else {
        found.stray = flat.collect();
    }
    if found.pictures.is_empty() {
        let text = "no pictures in it; give a folder with one folder of pictures a class";
        return Err(Usage(format!("{}: {text}", folder.display())).into());
    }
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, class: usize, depth: usize, into: &mut Vec<Picture>) -> Result<()> {
    let (files, folders) = entries(folder)?;
    let pictures = files.iter().filter(|name| camera::is_image_name(Path::new(name)));
    into.extend(pictures.map(|name| Picture {
        file: format!("{prefix}/{name}"),
        path: folder.join(name),
        class,
    }));
    for name in folders.iter().filter(|_| depth < MAX_DEPTH) {
        walk(&folder.join(name), &format!("{prefix}/{name}"), class, depth + 1, into)?;
    }
    Ok(())
}

/// Names of the files and of the folders in a folder, sorted. Names that are not Unicode are written as well as
/// they can be, and then cannot be opened: they are reported like any unreadable picture.
fn entries(folder: &Path) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let says = || format!("{} cannot be read; give a folder of pictures", folder.display());
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).with_context(says)? {
        let entry = entry.with_context(says)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            // A broken link counts as a file: it is then reported as unreadable.
            let is_folder = std::fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
            if is_folder {
                folders.insert(name)
            } else {
                files.insert(name)
            };
        }
    }
    Ok((files, folders))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn class_folders_are_read_in_the_order_of_their_names() {
        let folder = folder(&[
            "b/2.JPG",
            "b/10.png",
            "a/x.jpeg",
            "a/deep/y.jpg",
            "c/notes.txt",
            ".git/z.jpg",
            "stray.jpg",
            "a/.h.jpg",
        ]);
        let found = list(folder.path()).unwrap();
        assert_eq!(found.classes, ["a", "b"]);
        let files: Vec<_> = found.pictures.iter().map(|p| (p.file.as_str(), p.class)).collect();
        assert_eq!(files, [("a/x.jpeg", 0), ("a/deep/y.jpg", 0), ("b/10.png", 1), ("b/2.JPG", 1)]);
        assert_eq!(found.stray, ["stray.jpg"]);
    }

    #[test]
    fn a_flat_folder_has_no_classes() {
        let found = list(folder(&["2.jpg", "1.jpg", "labels.csv"]).path()).unwrap();
        assert_eq!(
            (found.classes.len(), found.pictures[0].file.as_str(), found.pictures[1].class),
            (0, "1.jpg", 0)
        );
    }

    #[test]
    fn an_empty_folder_and_a_missing_one_say_what_to_do() {
        let error = list(folder(&["a/notes.txt"]).path()).unwrap_err().to_string();
        assert!(
            error.ends_with("no pictures in it; give a folder with one folder of pictures a class"),
            "{error}"
        );
        let error = list(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert_eq!(error, "/no/such/folder cannot be read; give a folder of pictures");
    }
}
