//! What only developers run: the demos, the measurements. The product's crates know nothing of it.
#![forbid(unsafe_code)]

pub mod bench;
pub mod demo;
