//! What a start learned about a backbone and the next one need not find out again.

use graft_backbone::Backbone;
use graft_store::{Store, StoreError};

/// State key: name of the backbone that was loaded last, and its [`Backbone::proof`].
const KEY: &str = "backbone_proof";

/// Loads the backbone `name` with what is known of it: `told` just now, or by an earlier start.
///
/// # Errors
/// What is wrong, for people.
pub fn load_known(
    store: &mut Store,
    name: &str,
    told: Option<String>,
    load: impl FnOnce(Option<&str>) -> Result<Backbone, String>,
) -> Result<Backbone, String> {
    let fault = |e: StoreError| format!("the backbone cannot be used: {e}");
    let kept = store.get_state(KEY).map_err(fault)?;
    let of_this = kept.as_deref().and_then(|kept| kept.strip_prefix(name)?.strip_prefix(' '));
    let backbone = load(told.as_deref().or(of_this))?;
    if let Some(proof) = backbone.proof().filter(|proof| of_this != Some(*proof)) {
        store.put_state(KEY, &format!("{name} {proof}")).map_err(fault)?;
    }
    Ok(backbone)
}
