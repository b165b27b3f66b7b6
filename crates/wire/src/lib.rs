//! The interface of graft: topics, commands, replies, messages, the head file, its manifest
//! and signatures. Pure: no files, no sockets, no clock; times are passed in as milliseconds since 1970.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::disallowed_macros,
        reason = "tests read files, and tell"
    )
)]

pub mod backbone_manifest;
pub mod class_name;
pub mod command;
pub mod digest;
pub mod error;
mod fields;
pub mod head_file;
pub mod home_assistant;
pub mod keys;
pub mod manifest;
pub mod messages;
pub mod nearest;
pub mod offload;
pub mod parts;
pub mod reply;
pub mod statistics_file;
mod strict_json;
pub mod timestamp;
pub mod topic;
#[cfg(test)]
mod wall;

pub use backbone_manifest::{BackboneManifest, BackboneManifestError};
pub use class_name::ClassName;
pub use command::{Command, Envelope, Op, parse};
pub use error::{Code, Error};
pub use fields::{BadField, Malformed};
pub use head_file::{Dtype, HeadFile, HeadFileError, HeadMeta, PictureRecipe};
pub use keys::{Key, PublicKey};
pub use manifest::{Expected, Manifest, ManifestError};
pub use reply::{Reply, Status};
pub use statistics_file::{StatisticsFile, StatisticsMeta};
pub use topic::{TopicError, Topics};
