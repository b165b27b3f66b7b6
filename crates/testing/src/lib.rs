//! What tests share, and the laboratory with them: tests that say aloud when they cannot run, a broker to throw away, and
//! an operator who commands a board over it. No crate of the product depends on this one but for its tests.
#![forbid(unsafe_code)]

#[cfg(feature = "mqtt")]
pub mod broker;
#[cfg(feature = "mqtt")]
pub mod operator;
mod skip;

pub use skip::skip;
