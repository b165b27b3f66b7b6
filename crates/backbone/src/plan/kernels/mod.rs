//! The hot loops on channel-blocked pictures of features, the only place of this crate with `unsafe`.
//!
//! [`Conv`], [`Depthwise`] and the small functions are safe: each knows how far it reads and writes and compares that
//! with the slices it is given, before it hands pointers to the loops of `tile.rs` and `elementwise.rs`.

mod buffer;
mod conv;
mod depthwise;
mod elementwise;
mod end;
mod grid;
mod simple;
mod spans;
#[cfg(test)]
mod tests;
mod tile;

pub(crate) use buffer::{BLOCK, Buffer};
pub(crate) use conv::{Conv, Filter, Weights};
pub(crate) use depthwise::Depthwise;
pub(crate) use elementwise::planes;
pub(crate) use end::End;
pub(crate) use grid::{Grid, Halo};
pub(crate) use simple::{affine, combine, pool};
