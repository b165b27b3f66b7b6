//! What one core can do at most.

use std::hint::black_box;

use super::isa::Isa;
use super::lanes::{Kernel, Lanes};

/// Sums that are kept apart: enough for two units that take four steps each, and few enough for 16 registers.
const SUMS: usize = 12;

/// Multiplies and adds in registers, `rounds` times twelve vectors: as fast as one core can. Gives how many
/// floating-point operations that were, and a sum that depends on all of them. The caller holds the clock.
pub fn spin(isa: Isa, rounds: usize) -> (f64, f32) {
    // SAFETY: the kernel asks for nothing but the instructions.
    unsafe { isa.run(Spin(rounds)) }
}

struct Spin(usize);

impl Kernel for Spin {
    type Output = (f64, f32);

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> (f64, f32) {
        // SAFETY: the caller's promise.
        unsafe {
            // Numbers that the compiler does not know, all different, or it would compute one sum or none.
            let (a, b) = (L::splat(black_box(0.999_999)), L::splat(black_box(1e-6)));
            let mut sums = [b; SUMS];
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum = L::splat(black_box(at as f32));
            }
            for _ in 0..self.0 {
                for sum in &mut sums {
                    *sum = b.add_product(*sum, a);
                }
            }
            let mut total = 0.0;
            for sum in sums {
                total += sum.sum();
            }
            (2.0 * (SUMS * L::WIDTH) as f64 * self.0 as f64, total)
        }
    }
}
