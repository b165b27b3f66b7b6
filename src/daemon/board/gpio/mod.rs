//! A button and a lamp on the board: while the button is held, frames are kept as samples of one class; the lamp is lit
//! while that happens.

#[cfg(feature = "gpio")]
mod lines;
#[cfg(not(feature = "gpio"))]
mod none;

#[cfg(feature = "gpio")]
pub use lines::{Lamp, watch};
#[cfg(not(feature = "gpio"))]
pub use none::{Lamp, watch};
