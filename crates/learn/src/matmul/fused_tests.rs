use super::fused::*;
use graft_simd::Isa;
use half::f16;
use proptest::prelude::*;

/// Rows in both storages: f16, and the same numbers widened and padded.
fn rows(values: &[f32], width: usize) -> (Vec<f16>, Vec<f32>) {
    let half: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
    let mut single = vec![0.0; values.len() / width.max(1) * stride(width)];
    if width > 0 {
        for (from, to) in half.chunks_exact(width).zip(single.chunks_exact_mut(stride(width))) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32());
        }
    }
    (half, single)
}

fn columns(count: usize, width: usize, random: &mut fastrand::Rng) -> Columns {
    let mut columns = Columns::zero(count, width);
    for at in 0..count {
        columns.column_mut(at).fill_with(|| random.f32() - 0.5);
    }
    columns
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Every kernel, both storages, against f64.
    #[test]
    fn a_pass_agrees_with_loops_in_f64(
        n in 0usize..60, width in prop::sample::select(vec![0usize, 1, 3, 4, 7, 8, 15, 16, 33, 64, 100, 130, 1024]),
        count in 0usize..19, small in prop::sample::select(vec![1.0f32, 1e-3, 6e-8]), cut in 0usize..5,
        seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        // `small` reaches the denormals of f16.
        let values: Vec<f32> = (0..n * width).map(|_| small * (random.f32() * 4.0 - 1.0)).collect();
        let (half, single) = rows(&values, width);
        let weights = columns(count, width, &mut random);
        // Some rows, out of order.
        let mut order: Vec<u32> = (cut.min(n) as u32..n as u32).collect();
        random.shuffle(&mut order);
        let x = |i: usize, at: usize| f64::from(half[i * width + at]);
        for isa in Isa::available() {
            for storage in [Rows::Half(&half), Rows::Single(&single)] {
                let mut gradient = Columns::zero(count, width);
                let mut room = Vec::new();
                let mut seen = vec![f32::NAN; order.len() * count];
                pass(isa, storage, &order, &weights, &mut gradient, &mut room, &mut |first, block| {
                    seen[first * count..first * count + block.len()].copy_from_slice(block);
                    // Any residual will do: here a shifted score.
                    block.iter_mut().for_each(|score| *score = 0.5 - *score);
                });
                let mut again = vec![0.0; order.len() * count];
                scores(isa, storage, &order, &weights, &mut again);
                // Other blocks, other tiles: the same up to rounding only.
                for (i, &row) in order.iter().enumerate() {
                    for c in 0..count {
                        let terms = (0..width).map(|at| x(row as usize, at) * f64::from(weights.column(c)[at]));
                        let size: f64 = terms.clone().map(f64::abs).sum();
                        let want: f64 = terms.sum();
                        for got in [seen[i * count + c], again[i * count + c]] {
                            let error = (f64::from(got) - want).abs();
                            prop_assert!(error <= 1e-5 * size + 1e-30, "{isa:?} {got} {want}");
                        }
                    }
                }
                for c in 0..count {
                    for at in 0..width {
                        let residual = |i: usize| f64::from(0.5 - seen[i * count + c]);
                        let terms = order.iter().enumerate().map(|(i, &row)| x(row as usize, at) * residual(i));
                        let size: f64 = terms.clone().map(f64::abs).sum();
                        let want: f64 = terms.sum();
                        let got = f64::from(gradient.column(c)[at]);
                        prop_assert!((got - want).abs() <= 1e-5 * size + 1e-30, "{isa:?} {got} {want}");
                    }
                }
            }
        }
    }

    #[test]
    fn widening_is_exact(bits in prop::collection::vec(any::<u16>(), 0..40)) {
        let from: Vec<f16> = bits.iter().map(|&b| f16::from_bits(b)).collect();
        for isa in Isa::available() {
            let mut to = vec![0.0; from.len()];
            widen(isa, &from, &mut to);
            for (to, from) in to.iter().zip(&from) {
                prop_assert!(*to == from.to_f32() || (to.is_nan() && from.is_nan()));
            }
        }
    }
}

#[test]
fn nan_goes_through_every_kernel() {
    for isa in Isa::available() {
        let order: Vec<u32> = (0..30).collect();
        for width in [1, 7, 8, 40] {
            for count in 1..12 {
                let mut values = vec![1.0f32; 30 * width];
                values[29 * width + width - 1] = f32::NAN;
                let (half, _) = rows(&values, width);
                let mut random = fastrand::Rng::with_seed(1);
                let weights = columns(count, width, &mut random);
                let mut gradient = Columns::zero(count, width);
                pass(
                    isa,
                    Rows::Half(&half),
                    &order,
                    &weights,
                    &mut gradient,
                    &mut Vec::new(),
                    &mut |_, _| (),
                );
                for c in 0..count {
                    assert!(gradient.column(c)[width - 1].is_nan(), "{isa:?} {width} {count}");
                    assert!(
                        gradient.column(c)[..width - 1].iter().all(|v| v.is_nan()),
                        "the score of that row is NaN"
                    );
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "of one shape")]
fn a_gradient_of_another_shape_is_a_fault_of_the_caller() {
    let (weights, mut gradient) = (Columns::zero(2, 8), Columns::zero(1, 8));
    let mut room = Vec::new();
    pass(Isa::PORTABLE, Rows::Single(&[]), &[], &weights, &mut gradient, &mut room, &mut |_, _| ());
}
