use super::product::*;
use proptest::prelude::*;

/// The triple loop in f64 that everything is held against.
fn reference(
    alpha: f64,
    a: &dyn Fn(usize, usize) -> f64,
    b: &dyn Fn(usize, usize) -> f64,
    beta: f64,
    c: &[f64],
    (m, k, n): (usize, usize, usize),
    stride: usize,
) -> Vec<f64> {
    let mut out = c.to_vec();
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|p| a(i, p) * b(p, j)).sum();
            let old = if beta == 0.0 { 0.0 } else { beta * c[i * stride + j] };
            out[i * stride + j] = alpha * sum + old;
        }
    }
    out
}

fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(seed);
    // Multiples of 1/64 are exact in f32, so both kernels see the same numbers.
    (0..count).map(|_| (random.f64() * 256.0 - 128.0).round() / 64.0).collect()
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn products_agree_with_a_triple_loop(
        m in 0usize..40, k in 0usize..70, n in 0usize..40,
        pads in (0usize..5, 0usize..5, 0usize..5),
        flips in (any::<bool>(), any::<bool>()),
        beta in prop::sample::select(vec![0.0f64, 1.0, -0.5]), seed in any::<u64>(),
    ) {
        let (a_rows, a_columns) = if flips.0 { (k, m) } else { (m, k) };
        let (b_rows, b_columns) = if flips.1 { (n, k) } else { (k, n) };
        let (sa, sb, sc) = (a_columns + pads.0, b_columns + pads.1, n + pads.2);
        let a = numbers(a_rows * sa, seed);
        let b = numbers(b_rows * sb, seed ^ 1);
        let c = numbers(m * sc, seed ^ 2);
        let expected = reference(
            1.5,
            &|i, p| if flips.0 { a[p * sa + i] } else { a[i * sa + p] },
            &|p, j| if flips.1 { b[j * sb + p] } else { b[p * sb + j] },
            beta, &c, (m, k, n), sc,
        );
        let mut c64 = c.clone();
        {
            let (av, bv) = (Matrix::strided(&a, a_rows, a_columns, sa), Matrix::strided(&b, b_rows, b_columns, sb));
            let (av, bv) = (if flips.0 { av.transposed() } else { av }, if flips.1 { bv.transposed() } else { bv });
            multiply(1.5, av, bv, beta, MatrixMut::strided(&mut c64, m, n, sc));
        }
        let (a32, b32) = (single(&a), single(&b));
        let mut c32 = single(&c);
        {
            let (av, bv) = (Matrix::strided(&a32, a_rows, a_columns, sa), Matrix::strided(&b32, b_rows, b_columns, sb));
            let (av, bv) = (if flips.0 { av.transposed() } else { av }, if flips.1 { bv.transposed() } else { bv });
            multiply(1.5, av, bv, beta as f32, MatrixMut::strided(&mut c32, m, n, sc));
        }
        for (at, &want) in expected.iter().enumerate() {
            prop_assert!((c64[at] - want).abs() <= 1e-11 * (1.0 + want.abs()), "{at}: {} {want}", c64[at]);
            prop_assert!((f64::from(c32[at]) - want).abs() <= 1e-4 * (1.0 + want.abs()), "{at}: {} {want}", c32[at]);
        }
    }

    #[test]
    fn a_product_in_pieces_is_the_whole(
        m in 1usize..300, k in 1usize..600, n in 1usize..600, flips in (any::<bool>(), any::<bool>()), seed in any::<u64>(),
    ) {
        let (a, b) = (numbers(m * k, seed), numbers(k * n, seed ^ 1));
        let a = if flips.0 { Matrix::new(&a, k, m).transposed() } else { Matrix::new(&a, m, k) };
        let b = if flips.1 { Matrix::new(&b, n, k).transposed() } else { Matrix::new(&b, k, n) };
        let (mut whole, mut pieces) = (vec![0.5; m * n], vec![0.5; m * n]);
        multiply(-1.5, a, b, 1.0, MatrixMut::new(&mut whole, m, n));
        let mut asked = 0;
        multiply_in_pieces(-1.5, a, b, 1.0, MatrixMut::new(&mut pieces, m, n), &mut || { asked += 1; Ok::<(), ()>(()) }).unwrap();
        prop_assert!(asked * 8_000_000 >= m * k * n, "{asked} pieces");
        for (piece, whole) in pieces.iter().zip(&whole) {
            prop_assert!((piece - whole).abs() <= 1e-11 * (1.0 + whole.abs()), "{piece} {whole}");
        }
    }

    #[test]
    fn gram_is_the_product_with_the_transpose(n in 0usize..230, k in 0usize..9, seed in any::<u64>()) {
        let a = numbers(n * k, seed);
        let mut g = vec![1.0; n * n];
        add_gram_lower(-2.0, Matrix::new(&a, n, k), &mut g, n, &mut || Ok::<(), ()>(())).unwrap();
        for i in 0..n {
            prop_assert!(g[i * n + i + 1..(i + 1) * n].iter().all(|&above| above == 1.0));
        }
        mirror_lower(&mut g, n);
        for i in 0..n {
            for j in 0..n {
                let want: f64 = 1.0 - 2.0 * (0..k).map(|p| a[i * k + p] * a[j * k + p]).sum::<f64>();
                prop_assert!((g[i * n + j] - want).abs() < 1e-11 * (1.0 + want.abs()));
            }
        }
    }
}

#[test]
fn nan_is_not_swallowed_and_beta_zero_does_not_read() {
    let (a, b) = ([f32::NAN, 1.0], [1.0f32, 1.0]);
    let mut c = [0.0f32];
    multiply(1.0, Matrix::new(&a, 1, 2), Matrix::new(&b, 2, 1), 0.0, MatrixMut::new(&mut c, 1, 1));
    assert!(c[0].is_nan());
    let mut c = [f32::NAN];
    multiply(1.0, Matrix::new(&b, 1, 2), Matrix::new(&b, 2, 1), 0.0, MatrixMut::new(&mut c, 1, 1));
    assert_eq!(c[0], 2.0);
}

#[test]
#[should_panic(expected = "do not agree")]
fn shapes_that_do_not_agree_are_a_fault_of_the_caller() {
    let a = [0.0f32; 6];
    let mut c = [0.0f32; 4];
    multiply(1.0, Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3), 0.0, MatrixMut::new(&mut c, 2, 2));
}

#[test]
#[should_panic(expected = "past its slice")]
fn a_view_past_its_slice_is_refused() {
    let _ = Matrix::strided(&[0.0f32; 5], 2, 3, 3);
}
