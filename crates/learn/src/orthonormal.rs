//! Orthonormal directions by Gram-Schmidt in panels, repeated until a pass takes little away from any of them. Directions
//! that start out nearly parallel stay as good as orthogonal ones: a pass that leaves most of a unit vector has found it
//! orthogonal to the others to rounding ("twice is enough": Parlett 1980, section 6.9, after Kahan; Giraud, Langou &
//! Rozložník 2005). No Gram matrix is made, so nothing is squared, and nothing is divided by but lengths above zero.

use super::cancel::Proceed;
use super::matmul::fused::{Columns, add_combined, add_scaled, dot, project};
use super::snapshot::LearnError;
use graft_simd::Isa;

/// Directions that are made orthogonal to the earlier ones together: one matrix product.
const PANEL: usize = 32;
/// The part of a unit vector that a pass must leave.
const LEFT: f32 = 0.7;
/// Passes until a direction that still shrinks is given up: there is none beside the earlier ones.
const PASSES: usize = 5;

/// Makes the directions `[count, width]` orthonormal in place, in their order; those that are not there (zeros, numbers
/// that are not finite, more than there are dimensions) become zero. Returns how much of each direction's length was
/// left beside the earlier ones, `[count]`: finite and at least 0.
///
/// # Errors
/// Those of `proceed`, which is asked between pieces of work.
pub(crate) fn orthonormalise(
    isa: Isa,
    directions: &mut Columns,
    proceed: Proceed,
) -> Result<Vec<f64>, LearnError> {
    let width = directions.width;
    let mut lengths = vec![0.0; directions.count];
    let mut done = Columns::zero(0, width);
    done.values.reserve(directions.values.len());
    for start in (0..directions.count).step_by(PANEL) {
        let lengths = &mut lengths[start..directions.count.min(start + PANEL)];
        let mut panel = Columns::zero(lengths.len(), width);
        for (at, length) in lengths.iter_mut().enumerate() {
            panel.column_mut(at).copy_from_slice(directions.column(start + at));
            *length = f64::from(normalise(isa, panel.column_mut(at)));
        }
        for pass in 1..=PASSES {
            proceed()?;
            let mut along = project(isa, &done, &panel);
            along.iter_mut().for_each(|value| *value = -*value);
            add_combined(isa, &mut panel, &along, &done);
            proceed()?;
            let mut settled = true;
            for (at, length) in lengths.iter_mut().enumerate().filter(|(_, length)| **length > 0.0) {
                let mut own = panel.column(at).to_vec();
                for before in (0..at).map(|before| panel.column(before)) {
                    let along = dot(isa, &own, before);
                    add_scaled(isa, &mut own, -along, before);
                }
                let mut left = normalise(isa, &mut own);
                if left <= LEFT {
                    settled = false;
                    if pass == PASSES {
                        left = 0.0;
                        own.fill(0.0);
                    }
                }
                panel.column_mut(at).copy_from_slice(&own);
                *length *= f64::from(left);
            }
            if settled {
                break;
            }
        }
        done.count += panel.count;
        done.values.append(&mut panel.values);
    }
    *directions = done;
    Ok(lengths)
}

/// Gives a vector the length 1 and returns the one it had. What has no length (zeros, numbers that are not finite)
/// becomes zeros.
fn normalise(isa: Isa, vector: &mut [f32]) -> f32 {
    // By the largest number first, whose square could be too large for f32, or too small.
    let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    if largest.is_normal() {
        vector.iter_mut().for_each(|value| *value /= largest);
        let length = dot(isa, vector, vector).sqrt();
        if length.is_finite() && (length * largest).is_finite() {
            vector.iter_mut().for_each(|value| *value /= length);
            return length * largest;
        }
    }
    vector.fill(0.0);
    0.0
}

/// Whether directions are orthonormal, those of zeros left out: a mixture of all of them gives its factors back.
pub(crate) fn are_orthonormal(isa: Isa, directions: &Columns) -> bool {
    /// Rounding leaves some 1e-6.
    const NEAR: f32 = 1e-3;
    let mut random = fastrand::Rng::with_seed(1);
    let factors: Vec<f32> = (0..directions.count)
        .map(|at| {
            let sign = if random.bool() { 1.0 } else { -1.0 };
            if directions.column(at).iter().any(|value| *value != 0.0) { sign } else { 0.0 }
        })
        .collect();
    let mut mixture = Columns::zero(1, directions.width);
    add_combined(isa, &mut mixture, &factors, directions);
    let back = project(isa, directions, &mixture);
    back.iter().zip(&factors).all(|(back, factor)| (back - factor).abs() < NEAR)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest difference between `U·Uᵀ` and one, directions of zeros left out; and how many there are.
    fn defect(directions: &Columns) -> (f64, usize) {
        let live: Vec<&[f32]> = (0..directions.count)
            .map(|at| directions.column(at))
            .filter(|own| own.iter().any(|value| *value != 0.0))
            .collect();
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let mut largest = 0.0f64;
        for (at, a) in live.iter().enumerate() {
            for (before, b) in live[..=at].iter().enumerate() {
                let wanted = f64::from(u8::from(at == before));
                let off = (product(a, b) - wanted).abs();
                // NaN is the largest of all.
                largest = if off <= largest { largest } else { off };
            }
        }
        (largest, live.len())
    }

    /// How directions lie to each other.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        /// Mixtures of axes whose lengths fall to this power of ten.
        Falling(i32),
        /// Mixtures of so many.
        Deficient(usize),
        /// The same one again and again, and one of zeros.
        Duplicates,
        /// One is 1e15 times longer.
        Huge,
        /// All tiny.
        Tiny,
    }

    fn directions(kind: Kind, count: usize, width: usize, seed: u64) -> Columns {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut normal = || crate::tests::normal(&mut random);
        let mut out = Columns::zero(count, width);
        let lengths: Vec<f32> = (0..width)
            .map(|at| match kind {
                Kind::Falling(power) => 10f32.powf(power as f32 * at as f32 / count as f32),
                Kind::Deficient(rank) => f32::from(u8::from(at < rank)),
                _ => 1.0,
            })
            .collect();
        for at in 0..count {
            out.column_mut(at).iter_mut().zip(&lengths).for_each(|(to, length)| *to = length * normal());
            let first = out.column(0).to_vec();
            match kind {
                Kind::Duplicates if at == count / 2 => out.column_mut(at).fill(0.0),
                Kind::Duplicates if at % 3 > 0 => out.column_mut(at).copy_from_slice(&first),
                Kind::Huge if at == 1 => out.column_mut(at).iter_mut().for_each(|v| *v *= 1e15),
                Kind::Tiny => out.column_mut(at).iter_mut().for_each(|v| *v *= 1e-30),
                _ => {}
            }
        }
        out
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            (-20i32..=0).prop_map(Kind::Falling),
            (1usize..40).prop_map(Kind::Deficient),
            Just(Kind::Duplicates),
            Just(Kind::Huge),
            Just(Kind::Tiny),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_directions_become_orthonormal(
            kind in kind(), count in 1usize..90, more in 0usize..200, seed in any::<u64>()
        ) {
            let width = count + more;
            for isa in Isa::available() {
                let mut own = directions(kind, count, width, seed);
                let lengths = orthonormalise(isa, &mut own, &mut || Ok(())).unwrap();
                let (defect, live) = defect(&own);
                prop_assert!(defect < 1e-5, "{isa:?} {kind:?} {defect}");
                prop_assert!(are_orthonormal(isa, &own));
                prop_assert_eq!(live, lengths.iter().filter(|length| **length > 0.0).count());
                prop_assert!(lengths.iter().all(|length| length.is_finite() && *length >= 0.0));
                // What mixes few axes has no more directions than those.
                let axes = match kind {
                    Kind::Deficient(rank) => rank.min(count),
                    _ => count,
                };
                prop_assert!(live <= axes, "{kind:?}: {live} directions");
                // One duplicate alone is the one of zeros.
                prop_assert!(live > 0 || (count == 1 && matches!(kind, Kind::Duplicates)));
                if matches!(kind, Kind::Deficient(_) | Kind::Huge | Kind::Tiny) {
                    prop_assert_eq!(live, axes);
                }
            }
        }
    }

    #[test]
    fn what_is_no_direction_becomes_zero() {
        let (isa, width) = (Isa::detect(), 50);
        let mut own = directions(Kind::Falling(0), 40, width, 1);
        own.column_mut(3)[7] = f32::NAN;
        own.column_mut(5)[49] = f32::INFINITY;
        own.column_mut(8).fill(f32::MAX);
        own.column_mut(33).fill(0.0);
        let lengths = orthonormalise(isa, &mut own, &mut || Ok(())).unwrap();
        let none: Vec<usize> = (0..40).filter(|&at| lengths[at] == 0.0).collect();
        assert_eq!(none, [3, 5, 8, 33]);
        assert!(defect(&own).0 < 1e-5);
        // More than there are dimensions.
        let mut own = directions(Kind::Falling(0), 40, 24, 1);
        orthonormalise(isa, &mut own, &mut || Ok(())).unwrap();
        let (defect, live) = defect(&own);
        assert!(defect < 1e-5 && live == 24, "{defect} {live}");
    }

    #[test]
    fn directions_that_are_not_orthonormal_are_seen() {
        let isa = Isa::detect();
        let mut good = directions(Kind::Falling(0), 40, 60, 1);
        orthonormalise(isa, &mut good, &mut || Ok(())).unwrap();
        assert!(are_orthonormal(isa, &good));
        let spoilt = |spoil: &dyn Fn(&mut Columns)| {
            let mut bad = good.clone();
            spoil(&mut bad);
            are_orthonormal(isa, &bad)
        };
        assert!(spoilt(&|c| c.column_mut(4).fill(0.0)), "one that is not there");
        assert!(!spoilt(&|c| c.column_mut(4)[2] = f32::NAN));
        assert!(!spoilt(&|c| c.column_mut(4)[2] = f32::INFINITY));
        assert!(!spoilt(&|c| c.column_mut(4).iter_mut().for_each(|v| *v *= 1.1)));
        assert!(!spoilt(&|c| {
            let other = c.column(7).to_vec();
            c.column_mut(4).copy_from_slice(&other);
        }));
    }
}
