//! The hot loops of a backbone on channel-blocked pictures of features, optimised in every profile.
//!
//! [`Conv`], [`Depthwise`] and the small functions are safe: each knows how far it reads and writes and compares that
//! with the slices it is given, before it hands pointers to the loops of `tile.rs` and `elementwise.rs`.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "loops in vectors")]
mod buffer;
#[allow(unsafe_code, reason = "loops in vectors")]
mod conv;
#[allow(unsafe_code, reason = "loops in vectors")]
mod depthwise;
#[allow(unsafe_code, reason = "loops in vectors")]
mod elementwise;
mod end;
mod grid;
#[allow(unsafe_code, reason = "loops in vectors")]
mod simple;
mod spans;
#[cfg(test)]
mod tests;
#[allow(unsafe_code, reason = "loops in vectors")]
mod tile;

pub use buffer::{BLOCK, Buffer};
pub use conv::{Conv, Filter, Weights};
pub use depthwise::Depthwise;
pub use elementwise::planes;
pub use end::End;
pub use grid::{Grid, Halo};
pub use simple::{affine, combine, pool};
