//! What only developers run. The product's crates know nothing of it.
#![forbid(unsafe_code)]

pub mod docs;
