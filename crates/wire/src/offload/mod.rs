//! Offload on the wire: what a board offers, how a host claims it, what the board sends, what comes back.
//! Control goes over MQTT, bytes over HTTP; docs/reference/offload.md tells the whole story.

mod blob;
mod claim;
mod dataset;
mod offer;
mod recipe;
#[cfg(test)]
mod tests;

pub use blob::{Blob, hex_of};
pub use claim::{Claim, ClaimError};
pub use dataset::{Dataset, DatasetError, MAX_BYTES as MAX_DATASET_BYTES, Sample, Split};
pub use offer::{Offer, OfferState, OfferedBackbone, OfferedDataset};
pub use recipe::{Norm, Recipe, Train};
