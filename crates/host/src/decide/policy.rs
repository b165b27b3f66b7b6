//! Which offers this host takes.

use super::event::{Now, Unsuitable};
use graft_wire::backbone_manifest::is_backbone_line;
use graft_wire::offload::Offer;
use graft_wire::timestamp::parse_rfc3339;

/// The settings that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Id of this host.
    pub(crate) host: String,
    /// Training devices: one job at a time on each.
    pub(crate) devices: Vec<String>,
    /// Ids of the boards whose offers are taken; none: all.
    pub(crate) boards: Vec<String>,
    /// Bytes of the largest job that is taken.
    pub(crate) max_job_bytes: u64,
}

impl Policy {
    /// Whether an offer of this board is one that the host takes; `Err`: a person should know why not.
    pub(super) fn takes(&self, device: &str, offer: &Offer, now: Now) -> Result<bool, Unsuitable> {
        let most = self.max_job_bytes;
        if offer.dataset.bytes > most {
            return Err(Unsuitable::TooLarge { bytes: offer.dataset.bytes, most });
        }
        if !is_backbone_line(&offer.backbone.name) {
            return Err(Unsuitable::BackboneName(offer.backbone.name.clone()));
        }
        let listed = self.boards.is_empty() || self.boards.iter().any(|board| board == device);
        Ok(listed && parse_rfc3339(&offer.expires).is_some_and(|end| now.wall_ms < end))
    }
}
