//! SIMD for loops that are written once: which instructions this CPU has ([`Isa`]), vectors of f32 over them
//! ([`Lanes`]), loops that run with any of them ([`Kernel`]), and threads that share loops ([`ThreadPool`]).
//!
//! ```
//! use graft_simd::{Isa, Kernel, Lanes};
//!
//! /// Adds `1.0` to each number.
//! struct AddOne<'a>(&'a mut [f32]);
//!
//! impl Kernel for AddOne<'_> {
//!     type Output = ();
//!     #[inline(always)]
//!     unsafe fn run<L: Lanes>(self) {
//!         let (whole, rest) = self.0.split_at_mut(self.0.len() / L::WIDTH * L::WIDTH);
//!         for part in whole.chunks_exact_mut(L::WIDTH) {
//!             // SAFETY: `part` has `WIDTH` numbers, and `Isa::run` has seen to the instructions.
//!             unsafe { L::load(part.as_ptr()).add(L::splat(1.0)).store(part.as_mut_ptr()) }
//!         }
//!         rest.iter_mut().for_each(|value| *value += 1.0);
//!     }
//! }
//!
//! let mut values = vec![0.0; 37];
//! // SAFETY: the kernel asks for nothing more than the instructions.
//! unsafe { Isa::detect().run(AddOne(&mut values)) }
//! assert_eq!(values, vec![1.0; 37]);
//! ```
//!
//! No dependencies. The standard library is used for three things: to ask the CPU what it has, to remember the answer,
//! and to start threads. Nothing reads files, clocks or the environment; see [`Isa::choose`] for the override.

#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "vectors")]
mod arm;
mod instructions;
#[allow(unsafe_code, reason = "functions with other instructions")]
mod isa;
#[allow(unsafe_code, reason = "vectors")]
mod lanes;
#[allow(unsafe_code, reason = "a loop in vectors")]
mod peak;
#[allow(unsafe_code, reason = "vectors")]
mod portable;
#[allow(unsafe_code, reason = "threads that share what their caller borrowed")]
mod threads;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vectors")]
mod x86;

#[cfg(test)]
#[allow(unsafe_code, reason = "loops in vectors")]
mod tests;

pub use instructions::Instructions;
pub use isa::{Isa, IsaError};
pub use lanes::{Kernel, Lanes};
pub use peak::spin;
pub use portable::{Portable, half_to_single};
pub use threads::{Pointer, ThreadPool, Waiting, for_each, for_each_chunk, thread_count, thread_index};
