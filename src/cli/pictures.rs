//! Folders of pictures: one folder a class (ImageFolder), or flat.

use super::failure::Usage;
use anyhow::{Context, Result};
use graft_base::pictures::{Links, image_folder};
use std::path::{Path, PathBuf};

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

/// Lists the pictures of a folder. Hidden files and folders are left out; folders in class folders and links are
/// followed.
///
/// # Errors
/// When a folder cannot be read or there is no picture at all.
pub fn list(folder: &Path) -> Result<Folder> {
    let listed = image_folder(folder, Links::Follow)
        .with_context(|| format!("{} cannot be read; give a folder of pictures", folder.display()))?;
    let text = |file: &Path| file.to_string_lossy().into_owned();
    let mut found = Folder::default();
    for class in listed.classes.into_iter().filter(|class| !class.pictures.is_empty()) {
        let number = found.classes.len();
        found.classes.push(class.name);
        let pictures = class.pictures.iter();
        found.pictures.extend(pictures.map(|file| Picture {
            file: text(file),
            path: folder.join(file),
            class: number,
        }));
    }
    if found.classes.is_empty() {
        let flat = listed.loose.iter();
        found.pictures =
            flat.map(|file| Picture { file: text(file), path: folder.join(file), class: 0 }).collect();
    } else {
        found.stray = listed.loose.iter().map(|file| text(file)).collect();
    }
    if found.pictures.is_empty() {
        let text = "no pictures in it; give a folder with one folder of pictures a class";
        return Err(Usage(format!("{}: {text}", folder.display())).into());
    }
    Ok(found)
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
        assert_eq!(files, [("a/deep/y.jpg", 0), ("a/x.jpeg", 0), ("b/10.png", 1), ("b/2.JPG", 1)]);
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
