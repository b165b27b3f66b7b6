//! The measuring material beside the checkout: pictures, embeddings and networks that may not lie in the repository.

use std::path::{Path, PathBuf};

/// A folder of it, if it is there: below `$GRAFT_SHARED`, else below `shared` beside the checkout.
pub fn folder(below: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("GRAFT_SHARED").map_or_else(beside, PathBuf::from);
    Some(root.join(below)).filter(|folder| folder.is_dir())
}
