//! ONNX file → embedding: scan, cut, preprocessing, tract.
//!
//! A file goes through [`scan`](mod@scan) (limits, before anything is allocated), is cut where its classifier begins,
//! ends in one row of numbers, and is then run by tract with a batch of one. Pictures reach it by one path only.
#![forbid(unsafe_code)]

pub mod admission;
mod card;
mod change;
mod contain;
mod cut;
mod error;
pub mod export;
pub mod fetch;
mod file;
#[cfg(test)]
mod graphs;
mod inspect;
pub mod lab;
mod load;
mod onnx;
#[cfg(test)]
mod parity_tests;
mod plan;
mod preprocess;
mod prune;
mod recipes;
mod returned;
pub mod scan;
#[cfg(test)]
mod tests;

pub use admission::Golden;
pub use card::{Card, Crop, IMAGENET_MEAN, IMAGENET_STD, Layout, MAX_SIZE};
pub use cut::Found;
pub use error::BackboneError;
pub use file::{MAX_WIDTH, read_file};
pub use inspect::{CutReport, Inspection, Timing, inspect};
pub use plan::{Backbone, Identity};
pub use preprocess::{Preprocessor, Rect, crop_rect, cut_out, part_shown};
pub use recipes::{recipes, tiny};
pub use returned::{ReturnedError, same_interface};
