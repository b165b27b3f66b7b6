//! Whether a backbone that a host sends is one that this board may take on.

use super::tasks::floor_key;
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use graft_wire::backbone_manifest::Wanted;
use graft_wire::{BackboneManifest, Code, Error};

/// A version may be this far above the last one.
const MAX_JUMP: u64 = 1000;

/// Checks signature, addressee, version, time, room and width of a manifest. `job` and `base` are the job that it has to
/// be the result of, and the backbone that this job had.
///
/// # Errors
/// Why it is refused.
pub fn manifest(
    cx: &Context,
    manifest: &BackboneManifest,
    job: Option<&str>,
    base: Option<&str>,
    fx: &Effects,
) -> Result<(), Error> {
    let offload = &cx.settings.offload;
    let pinned = offload.keys().map_err(Error::internal)?;
    let room = fx.room();
    let free = room.free.unwrap_or(u64::MAX).saturating_sub(cx.settings.store.free_floor_bytes);
    manifest.verify(
        &pinned,
        &Wanted {
            device: fx.topics().device(),
            group: offload.group.as_deref(),
            job,
            base,
            line: &cx.line,
            floor: cx.floors.get(&floor_key(manifest)).copied().unwrap_or(0),
            max_jump: MAX_JUMP,
            max_bytes: offload.quota_bytes.saturating_sub(room.used).min(free),
            now_ms: cx.now.synced.then_some(cx.now.wall_ms),
        },
    )?;
    if manifest.width != cx.backbone.width as u64 {
        let (found, here) = (manifest.width, cx.backbone.width);
        let message = format!("its embeddings have {found} numbers, those of the present backbone {here}");
        return Err(Error::new(Code::Incompatible, message).with("reason", "wrong_width"));
    }
    Ok(())
}
