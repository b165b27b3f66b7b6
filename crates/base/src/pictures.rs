//! Picture files by their names, and folders of them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// File name endings of pictures, in lower case.
const ENDINGS: [&str; 13] =
    ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "pnm", "ppm", "pgm", "pbm", "pam"];
/// Folders that hold class folders rather than being one.
pub(crate) const SPLITS: [&str; 5] = ["train", "val", "valid", "validation", "test"];
/// Folders are followed so deep; this also ends loops of symbolic links.
const MAX_DEPTH: usize = 8;
/// Most pictures of one folder.
const MAX_PICTURES: usize = 1_000_000;

/// Whether a file name ends like a picture's, in any case.
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Where symbolic links may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Anywhere.
    Follow,
    /// Only to what lies inside the folder.
    Inside,
}

/// A file or folder that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the folder.
    pub path: PathBuf,
    /// Why, and what to do.
    pub reason: String,
}

/// The pictures of one class, relative to the folder, in path order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The name of its folder.
    pub name: String,
    /// May be empty.
    pub pictures: Vec<PathBuf>,
}

/// A folder with one folder a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFolder {
    /// In the order of their names.
    pub classes: Vec<Class>,
    /// Pictures beside the class folders, which belong to no class.
    pub loose: Vec<PathBuf>,
    /// What is no picture or was not followed.
    pub skipped: Vec<Skipped>,
}

/// Finds the pictures under `root` in path order, relative to it. Hidden names are left out; no file is opened, so a
/// picture may turn out to be unreadable.
///
/// # Errors
/// When `root` cannot be listed, or holds too many pictures.
pub fn walk(root: &Path, links: Links) -> io::Result<Vec<PathBuf>> {
    let mut walker = Walker::new(root, links)?;
    let mut pictures = Vec::new();
    walker.collect(Path::new(""), 0, &mut pictures)?;
    Ok(pictures)
}

/// Finds the pictures of `<class>/…`, or of `train/<class>/…`, `val/<class>/…` and so on, which are joined.
///
/// # Errors
/// As [`walk`].
pub fn image_folder(root: &Path, links: Links) -> io::Result<ImageFolder> {
    let mut walker = Walker::new(root, links)?;
    let mut found = ImageFolder::default();
    let top = walker.list(Path::new(""))?;
    let mut splits = Vec::new();
    for (path, _) in
        top.iter().filter(|(path, is_folder)| *is_folder && SPLITS.iter().any(|s| path == Path::new(s)))
    {
        if walker.list(path).is_ok_and(|inside| inside.iter().any(|(_, is_folder)| *is_folder)) {
            splits.push(path.clone());
        }
    }
    walker.skipped.clear();
    let roots = if splits.is_empty() { vec![PathBuf::new()] } else { splits };
    for root in roots {
        let entries = match walker.list(&root) {
            Ok(entries) => entries,
            Err(error) => {
                walker.skip(root, format!("cannot be read: {error}"));
                continue;
            }
        };
        for (path, is_folder) in entries {
            if !is_folder {
                if is_picture(&path) {
                    found.loose.push(path);
                }
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let at = match found.classes.iter().position(|class| class.name == name) {
                Some(at) => at,
                None => {
                    found.classes.push(Class { name, pictures: Vec::new() });
                    found.classes.len() - 1
                }
            };
            walker.collect(&path, 1, &mut found.classes[at].pictures)?;
        }
    }
    found.classes.sort_by(|a, b| a.name.cmp(&b.name));
    found.skipped = walker.skipped;
    Ok(found)
}

struct Walker<'a> {
    root: &'a Path,
    /// Without symbolic links; with [`Links::Inside`] nothing outside it is followed.
    inside: Option<PathBuf>,
    pictures: usize,
    skipped: Vec<Skipped>,
}

impl<'a> Walker<'a> {
    fn new(root: &'a Path, links: Links) -> io::Result<Self> {
        let inside = (links == Links::Inside).then(|| fs::canonicalize(root)).transpose()?;
        Ok(Self { root, inside, pictures: 0, skipped: Vec::new() })
    }

    fn skip(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skipped.push(Skipped { path, reason: reason.into() });
    }

    /// Adds the pictures under `folder`, which lies `depth` folders below the root.
    fn collect(&mut self, folder: &Path, depth: usize, pictures: &mut Vec<PathBuf>) -> io::Result<()> {
        let entries = match self.list(folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(error),
            Err(error) => {
                self.skip(folder.to_owned(), format!("cannot be read: {error}"));
                return Ok(());
            }
        };
        for (path, is_folder) in entries {
            if is_folder && depth < MAX_DEPTH {
                self.collect(&path, depth + 1, pictures)?;
            } else if is_folder {
                self.skip(path, format!("more than {MAX_DEPTH} folders deep: move its pictures up"));
            } else if !is_picture(&path) {
                self.skip(path, "not the name of a picture");
            } else if self.pictures == MAX_PICTURES {
                return Err(io::Error::other(format!(
                    "it holds over {MAX_PICTURES} pictures: use it in parts"
                )));
            } else {
                self.pictures += 1;
                pictures.push(path);
            }
        }
        Ok(())
    }

    /// The entries of a folder, relative to the root, in name order, and whether each is a folder.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let name = entry?.file_name();
            if !name.to_string_lossy().starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            let path = folder.join(name);
            let full = self.root.join(&path);
            if let Some(inside) = &self.inside {
                match fs::canonicalize(&full) {
                    Ok(target) if target.starts_with(inside) => {}
                    Ok(_) => {
                        self.skip(path, "the link leads out of the folder: refused");
                        continue;
                    }
                    Err(error) => {
                        self.skip(path, format!("cannot be read: {error}"));
                        continue;
                    }
                }
            }
            // A broken link counts as a file: whoever reads it reports it.
            let is_folder = fs::metadata(&full).is_ok_and(|meta| meta.is_dir());
            if is_folder && leads_back(&full) {
                self.skip(path, "the link leads back to a folder that it lies in");
            } else {
                entries.push((path, is_folder));
            }
        }
        Ok(entries)
    }
}

/// Whether a folder is a link to one that the link lies in.
fn leads_back(path: &Path) -> bool {
    let around = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    path.is_symlink()
        && around.zip(fs::canonicalize(path).ok()).is_some_and(|(around, to)| around.starts_with(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn endings_are_known_in_any_case() {
        assert!(is_picture(Path::new("a/b.JPeG")));
        assert!(is_picture(Path::new("x.pbm")));
        assert!(!is_picture(Path::new("jpg")));
        assert!(!is_picture(Path::new("a.txt")));
    }

    #[test]
    fn a_walk_is_in_path_order_without_hidden_names() {
        let root = folder(&[
            "b/2.JPG",
            "b/10.png",
            "a/deep/y.jpg",
            "a/x.jpeg",
            "z.ppm",
            "n.txt",
            ".git/h.jpg",
            "a/.h.jpg",
        ]);
        let found = walk(root.path(), Links::Follow).unwrap();
        assert_eq!(names(&found), ["a/deep/y.jpg", "a/x.jpeg", "b/10.png", "b/2.JPG", "z.ppm"]);
        assert!(walk(&root.path().join("none"), Links::Follow).is_err());
    }

    #[test]
    fn class_folders_of_splits_are_joined() {
        let root = folder(&[
            "train/ants/1.jpg",
            "val/ants/1.jpg",
            "val/bees/in/2.png",
            "test.jpg",
            "val/loose.jpg",
            "val/ants/a.txt",
        ]);
        let found = image_folder(root.path(), Links::Inside).unwrap();
        let classes: Vec<_> = found.classes.iter().map(|c| (c.name.as_str(), names(&c.pictures))).collect();
        assert_eq!(
            classes,
            [("ants", vec!["train/ants/1.jpg", "val/ants/1.jpg"]), ("bees", vec!["val/bees/in/2.png"])]
        );
        assert_eq!(names(&found.loose), ["val/loose.jpg"]);
        assert_eq!(found.skipped.len(), 1);
        // A class may have the name of a split.
        let found = image_folder(folder(&["test/1.jpg", "ok/2.jpg"]).path(), Links::Inside).unwrap();
        assert_eq!(found.classes.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["ok", "test"]);
    }

    #[test]
    fn links_lead_out_of_a_folder_only_where_they_may() {
        let outside = folder(&["secret.jpg", "class/2.jpg"]);
        let root = folder(&["ok/1.jpg"]);
        symlink(outside.path().join("secret.jpg"), root.path().join("ok/2.jpg")).unwrap();
        symlink(outside.path().join("class"), root.path().join("linked")).unwrap();
        symlink("1.jpg", root.path().join("ok/inside.jpg")).unwrap();
        let followed = walk(root.path(), Links::Follow).unwrap();
        assert_eq!(names(&followed), ["linked/2.jpg", "ok/1.jpg", "ok/2.jpg", "ok/inside.jpg"]);
        let found = image_folder(root.path(), Links::Inside).unwrap();
        assert_eq!(found.classes.len(), 1);
        assert_eq!(names(&found.classes[0].pictures), ["ok/1.jpg", "ok/inside.jpg"]);
        assert!(found.skipped.iter().all(|skipped| skipped.reason.contains("out of the folder")));
        assert_eq!(found.skipped.len(), 2);
    }

    #[test]
    fn loops_of_links_end() {
        let root = folder(&["ok/1.jpg", "bad/1.jpg"]);
        symlink(root.path(), root.path().join("ok/root")).unwrap();
        let found = image_folder(root.path(), Links::Inside).unwrap();
        assert_eq!(found.skipped.len(), 1);
        assert!(found.skipped[0].reason.contains("leads back"));
        symlink("../bad", root.path().join("ok/bad")).unwrap();
        symlink("../ok", root.path().join("bad/ok")).unwrap();
        let found = image_folder(root.path(), Links::Inside).unwrap();
        assert!(found.skipped.iter().any(|skipped| skipped.reason.contains("deep")));
    }
}
