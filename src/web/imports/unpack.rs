//! Unpacking what a stranger has packed: no path leads out, no file is larger than it says, nothing but pictures and lists.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use graft_base::pictures::is_picture;
use graft_wire::class_name::ClassName;
use graft_wire::{Code, Error};
use zip::ZipArchive;

/// Bytes of all files of a zip. Pictures hardly get smaller by packing: more is no set of pictures.
const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes of one file.
const MAX_FILE: u64 = 64 << 20;
/// Files of a zip.
const MAX_FILES: usize = 100_000;
/// Folders in folders.
const MAX_DEPTH: usize = 6;
/// Files beside pictures that an import reads.
const LISTS: [&str; 2] = ["labels.txt", "samples.jsonl"];

/// What may be unpacked.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub bytes: u64,
    pub files: usize,
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::bad_request("", format!("this is no zip that can be read: {error}"))
}

fn full(error: io::Error) -> Error {
    Error::new(Code::DiskFull, format!("the upload cannot be unpacked: {error}"))
}

/// Unpacks an upload beside itself and removes it. Gives the folder to import, relative to `place`.
pub fn unpack(upload: &Path, place: &Path, class: Option<&str>) -> Result<PathBuf, Error> {
    let class =
        class.map(|name| ClassName::new(name).map_err(|e| Error::bad_request("/class", e.to_string())));
    let class = class.transpose()?;
    let set = place.join("set");
    fs::create_dir(&set).map_err(full)?;
    let mut magic = [0u8; 4];
    let mut file = File::open(upload).map_err(full)?;
    let read = file.read(&mut magic).map_err(full)?;
    let zipped = magic[..read].starts_with(b"PK\x03\x04") || magic[..read].starts_with(b"PK\x05\x06");
    match (zipped, &class) {
        (true, class) => {
            let room = Room { bytes: MAX_UNPACKED, files: MAX_FILES };
            unzip(File::open(upload).map_err(full)?, &set, class.as_ref(), room)?;
        }
        (false, Some(class)) => {
            let folder = set.join(class.as_str());
            fs::create_dir(&folder).map_err(full)?;
            fs::rename(upload, folder.join(format!("upload.{}", ending(&magic)))).map_err(full)?;
        }
        (false, None) => {
            let message = "this is no zip; a single picture needs ?class=";
            return Err(Error::bad_request("", message));
        }
    }
    let _ = fs::remove_file(upload);
    Ok(Path::new("set").join(root(&set).map_err(full)?))
}

/// The ending that an import knows a picture by. What it is in truth, the decoder sees from its bytes.
fn ending(magic: &[u8]) -> &'static str {
    if magic.starts_with(b"\x89PNG") {
        "png"
    } else if magic.starts_with(b"RIFF") {
        "webp"
    } else {
        "jpg"
    }
}

/// A zip of a folder has the folder as its only entry: what is meant is inside of it, if there are folders in it.
fn root(set: &Path) -> io::Result<PathBuf> {
    let mut inside = PathBuf::new();
    for _ in 0..MAX_DEPTH {
        let entries: Vec<_> = fs::read_dir(set.join(&inside))?.collect::<Result<_, _>>()?;
        let [only] = &entries[..] else { break };
        let below = inside.join(only.file_name());
        let has_folders = || -> io::Result<bool> {
            let all: Vec<_> = fs::read_dir(set.join(&below))?.collect::<Result<_, _>>()?;
            Ok(all.iter().any(|entry| entry.path().is_dir()))
        };
        if !only.path().is_dir() || !has_folders()? {
            break;
        }
        inside = below;
    }
    Ok(inside)
}

/// The parts of a name in a zip, if all are plain names: none leads out, and none is hidden.
fn parts(name: &str) -> Option<Vec<&str>> {
    if name.contains(['\\', '\0', ':']) || name.len() > 1024 {
        return None;
    }
    let parts: Option<Vec<&str>> = Path::new(name)
        .components()
        .map(|part| match part {
            Component::Normal(part) => {
                part.to_str().filter(|name| !name.starts_with('.') && *name != "__MACOSX")
            }
            _ => None,
        })
        .collect();
    parts.filter(|parts| !parts.is_empty() && parts.len() <= MAX_DEPTH)
}

/// Unpacks pictures and lists; with a class, all pictures into its folder.
pub fn unzip(file: File, set: &Path, class: Option<&ClassName>, room: Room) -> Result<(), Error> {
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(wrong)?;
    let too_large = |what: String| Error::new(Code::TooLarge, what);
    if archive.len() > room.files {
        return Err(too_large(format!("a zip has at most {} files", room.files)));
    }
    let (mut left, mut pictures) = (room.bytes, 0usize);
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(wrong)?;
        let name = entry.name().map_err(wrong)?.into_owned();
        let Some(parts) = parts(&name).filter(|_| entry.is_file()) else { continue };
        let last = parts.last().copied().unwrap_or_default();
        let picture = is_picture(Path::new(last));
        if !picture && !LISTS.contains(&last) {
            continue;
        }
        pictures += usize::from(picture);
        let path = match class {
            Some(_) if !picture => continue,
            Some(class) => {
                let ending = Path::new(last).extension().unwrap_or_default().to_string_lossy();
                set.join(class.as_str()).join(format!("{at:06}.{ending}"))
            }
            None => parts.iter().fold(set.to_owned(), |path, part| path.join(part)),
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(full)?;
        }
        let mut out = File::create_new(&path).map_err(full)?;
        // What the zip says of the size is not believed.
        let most = left.min(MAX_FILE);
        let written = io::copy(&mut (&mut entry).take(most + 1), &mut out).map_err(wrong)?;
        if written > most {
            let limit = if most == MAX_FILE { MAX_FILE } else { room.bytes } >> 20;
            return Err(too_large(format!("{name:?}: what is unpacked is over the limit of {limit} MB")));
        }
        left -= written;
    }
    if pictures == 0 {
        let message = "there is no picture in this zip; jpeg, png, bmp, gif, webp, tiff and pnm are known";
        return Err(Error::bad_request("", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    /// A zip with these files.
    fn zipped(files: &[(&str, &[u8])]) -> File {
        let mut writer = zip::ZipWriter::new(tempfile::tempfile().unwrap());
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    fn all(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            for entry in fs::read_dir(at).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    const ROOM: Room = Room { bytes: 1 << 20, files: 10 };

    #[test]
    fn no_path_leads_out_and_nothing_but_pictures_comes_in() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("imports/one/set");
        fs::create_dir_all(&set).unwrap();
        let file = zipped(&[
            ("ok/1.jpg", b"a"),
            ("../../evil.jpg", b"b"),
            ("/etc/evil.jpg", b"c"),
            ("ok/..\\..\\evil.jpg", b"d"),
            ("ok/run.sh", b"e"),
            ("__MACOSX/ok/._1.jpg", b"f"),
            ("ok/.hidden.jpg", b"g"),
            ("_odd_/1.jpg", b"h"),
            ("labels.txt", b"ok\n"),
        ]);
        unzip(file, &set, None, ROOM).unwrap();
        let inside = ["_odd_/1.jpg", "labels.txt", "ok/1.jpg"].map(|name| format!("imports/one/set/{name}"));
        assert_eq!(all(dir.path()), inside);
        let file = zipped(&[("a/1.jpg", b"a"), ("b/1.jpg", b"b"), ("labels.txt", b"x")]);
        unzip(file, &set, Some(&ClassName::new("<b>x").unwrap()), ROOM).unwrap();
        assert_eq!(all(&set.join("<b>x")), ["000000.jpg", "000001.jpg"]);
    }

    #[test]
    fn what_grows_beyond_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let zeros = vec![0u8; 700 << 10];
        let two: [(&str, &[u8]); 2] = [("ok/1.jpg", &zeros), ("ok/2.jpg", &zeros)];
        let error = unzip(zipped(&two), dir.path(), None, ROOM).unwrap_err();
        assert_eq!(error.code, Code::TooLarge);
        let many: Vec<String> = (0..11).map(|n| format!("ok/{n}.jpg")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b"a"[..])).collect();
        let error = unzip(zipped(&many), dir.path(), None, ROOM).unwrap_err();
        assert_eq!(error.code, Code::TooLarge);
        let error = unzip(zipped(&[("readme.md", b"a")]), dir.path(), None, ROOM).unwrap_err();
        assert_eq!(error.code, Code::BadRequest);
    }

    #[test]
    fn a_folder_around_the_folders_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        for (files, inside) in [
            (&[("set1/ok/1.jpg", &b"a"[..]), ("set1/no/2.jpg", b"b")][..], "set1"),
            (&[("ok/1.jpg", b"a"), ("no/2.jpg", b"b")], ""),
            (&[("ok/1.jpg", b"a")], ""),
        ] {
            let set = tempfile::tempdir_in(dir.path()).unwrap();
            unzip(zipped(files), set.path(), None, ROOM).unwrap();
            assert_eq!(root(set.path()).unwrap(), Path::new(inside));
        }
    }
}
