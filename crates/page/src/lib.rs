//! The page as it was built: the files of `crates/page/dist`, in the binary. A build of graft needs no node; `make page`
//! builds them anew from `crates/page/web`. In the development profile they are read from the disk at each request
//! (`debug-assertions` of this crate, in the workspace's `Cargo.toml`).
#![forbid(unsafe_code)]

use rust_embed::RustEmbed;
use std::borrow::Cow;

/// What the page's build wrote.
#[derive(RustEmbed)]
#[folder = "dist"]
struct Dist;

/// One file of the page.
#[derive(Clone, Debug)]
pub struct File {
    /// Its bytes.
    pub bytes: Cow<'static, [u8]>,
    /// MIME type.
    pub content_type: &'static str,
    /// Its name has a digest of its bytes: under this name it never changes.
    pub immutable: bool,
}

/// The file at this path relative to the page's root, `index.html` or `assets/index-1a2b3c4d.js`.
pub fn file(path: &str) -> Option<File> {
    let content_type = content_type(path)?;
    let bytes = Dist::get(path)?.data;
    Some(File { bytes, content_type, immutable: path.starts_with("assets/") })
}

/// Every path.
pub fn paths() -> impl Iterator<Item = Cow<'static, str>> {
    Dist::iter()
}

/// Only what a page is made of is served; an editor's backup is not.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_there_and_nothing_outside_of_it() {
        let index = file("index.html").unwrap();
        assert!(index.content_type.starts_with("text/html") && !index.immutable);
        assert!(paths().any(|path| path == "index.html"));
        for path in ["../Cargo.toml", "/index.html", "", "index", "assets/../../Cargo.toml", "assets/none.js"]
        {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
