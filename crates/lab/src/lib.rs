//! What only developers run: the demos, the measurements, the writer of the documents. The product's crates know nothing
//! of it.
#![forbid(unsafe_code)]

pub mod bench;
pub mod demo;
pub mod docs;
mod npz;
mod shared;
pub mod teach;
