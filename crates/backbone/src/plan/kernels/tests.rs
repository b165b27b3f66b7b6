//! Every kind of processor's kernels against sums written out one by one, over random shapes.

use graft_simd::{Isa, ThreadPool, Waiting};
use proptest::prelude::*;

use super::*;

/// A layer's outline.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inputs: usize,
    outputs: usize,
    groups: usize,
    size: [usize; 2],
    filter: Filter,
    after: [usize; 2],
}

impl Shape {
    fn out(&self, axis: usize) -> usize {
        let reach = (self.filter.kernel[axis] - 1) * self.filter.dilation[axis] + 1;
        (self.size[axis] + self.filter.pad[axis] + self.after[axis] - reach) / self.filter.stride[axis] + 1
    }

    fn halo(&self) -> Halo {
        let [top, left] = self.filter.pad;
        let [bottom, right] = self.after;
        Halo { top, left, bottom, right }
    }
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// A grid filled from dense numbers, with NaN in what nobody may read.
fn placed(grid: &Grid, planar: &[f32]) -> Buffer {
    let mut buffer = Buffer::zeros(grid.len());
    if grid.channels.is_multiple_of(grid.block) {
        buffer.fill(f32::NAN);
    }
    grid.clear_halo(&mut buffer);
    grid.fill(Isa::detect(), planar, &mut buffer, End::NOTHING);
    buffer
}

fn taken(grid: &Grid, buffer: &[f32]) -> Vec<f32> {
    let mut planar = vec![0.0; grid.channels * grid.height * grid.width];
    grid.empty(buffer, &mut planar);
    planar
}

/// The convolution as its definition says it, in double precision.
fn written_out(
    shape: &Shape,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    residual: &[f32],
    end: End,
) -> Vec<f32> {
    let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
    let [kh, kw] = shape.filter.kernel;
    let mut all = Vec::new();
    for o in 0..shape.outputs {
        for y in 0..shape.out(0) {
            for x_at in 0..shape.out(1) {
                let mut sum = f64::from(bias[o]);
                for i in 0..inputs {
                    for ky in 0..kh {
                        for kx in 0..kw {
                            let at = |axis: usize, out: usize, k: usize| {
                                let place = out * shape.filter.stride[axis] + k * shape.filter.dilation[axis];
                                place.checked_sub(shape.filter.pad[axis]).filter(|at| *at < shape.size[axis])
                            };
                            let (Some(row), Some(column)) = (at(0, y, ky), at(1, x_at, kx)) else { continue };
                            let channel = o / outputs * inputs + i;
                            let value = x[(channel * shape.size[0] + row) * shape.size[1] + column];
                            let weight = weights[((o * inputs + i) * kh + ky) * kw + kx];
                            sum += f64::from(value) * f64::from(weight);
                        }
                    }
                }
                let residual = residual.get(all.len()).copied().unwrap_or(0.0);
                all.push(end.of((sum + f64::from(residual)) as f32));
            }
        }
    }
    all
}

fn close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len());
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (found - wanted).abs() <= 2e-5 * (1.0 + wanted.abs()),
            "{what}: {found} for {wanted} at {at}"
        );
    }
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::NOTHING),
        Just(End::Clamp { low: 0.0, high: 0.7 }),
        Just(End::HardSwish { slope: 1.0 / 6.0, offset: 0.5, high: 1.0 }),
        Just(End::Sigmoid),
        Just(End::Silu),
    ]
}

fn shapes() -> impl Strategy<Value = Shape> {
    let channels = (1usize..40, 1usize..70, prop_oneof![Just(1usize), Just(2), Just(5)]);
    let filter = (1usize..4, 1usize..4, 1usize..3, 1usize..3, 1usize..3);
    let around = (0usize..3, 0usize..3, 0usize..3, 0usize..3);
    (channels, (6usize..22, 6usize..34), filter, around).prop_map(|(channels, size, filter, around)| {
        let (inputs, outputs, groups) = channels;
        let (kh, kw, stride, rows, dilation) = filter;
        Shape {
            inputs: inputs.next_multiple_of(groups),
            outputs: outputs.next_multiple_of(groups),
            groups,
            size: [size.0, size.1],
            filter: Filter {
                kernel: [kh, kw],
                stride: [rows, stride],
                dilation: [dilation, dilation],
                pad: [around.0, around.1],
            },
            after: [around.2, around.3],
        }
    })
}

/// Runs a convolution on every kind of processor that is here.
fn check(shape: &Shape, planar: bool, residual: bool, out_halo: Halo, end: End) {
    let [h, w] = shape.size;
    let mut input = Grid { halo: shape.halo(), ..Grid::blocked(shape.inputs, h, w) };
    if planar {
        input.block = 1;
    }
    let output = Grid { halo: out_halo, ..Grid::blocked(shape.outputs, shape.out(0), shape.out(1)) };
    let beside = Grid::blocked(shape.outputs, shape.out(0), shape.out(1));
    let x = numbers(shape.inputs * h * w, 1);
    let taps = shape.filter.kernel[0] * shape.filter.kernel[1];
    let values = numbers(shape.outputs * shape.inputs / shape.groups * taps, 2);
    let bias = numbers(shape.outputs, 3);
    let added = if residual { numbers(shape.outputs * shape.out(0) * shape.out(1), 4) } else { Vec::new() };
    let wanted = written_out(shape, &x, &values, &bias, &added, end);
    // Factors of two change no digit.
    let halves: Vec<f32> = values.iter().map(|value| value / 2.0).collect();
    let twos = vec![2.0; shape.outputs];
    for isa in Isa::available() {
        let weights = Weights { values: &halves, scale: &twos, bias: &bias, groups: shape.groups };
        let grid = residual.then_some(&beside);
        let conv = Conv::new(isa, &shape.filter, &weights, &input, &output, grid, end).unwrap();
        let from = placed(&input, &x);
        let beside_values = if residual { placed(&beside, &added) } else { Buffer::default() };
        let [mut out, mut shared] = [(); 2].map(|()| Buffer::zeros(output.len()));
        let rest = residual.then_some(&*beside_values);
        conv.run(&from, &mut out, rest);
        close(&taken(&output, &out), &wanted, isa.name());
        let run = || conv.run(&from, &mut shared, rest);
        ThreadPool::new(3, "test", Waiting::Spinning, |_| ()).unwrap().run(run);
        assert!(*shared == *out, "{}: another number by three threads", isa.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn convolutions_are_their_definition(shape in shapes(), residual: bool, planar: bool, halo in 0usize..2, end in ends()) {
        let halo = Halo { top: halo, left: halo, bottom: halo, right: halo };
        check(&shape, planar, residual, halo, end);
    }

    #[test]
    fn depthwise_ones_too(channels in 1usize..40, h in 7usize..20, w in 7usize..40, kind in 0usize..3, stride in 1usize..3,
                          before in 0usize..3, after in 0usize..3, end in ends()) {
        let kernel = [3, 5, 7][kind];
        let filter = Filter { kernel: [kernel, kernel], stride: [stride, stride], dilation: [1, 1], pad: [before, after] };
        let shape = Shape { inputs: channels, outputs: channels, groups: channels, size: [h, w], filter, after: [after, before] };
        let input = Grid { halo: shape.halo(), ..Grid::blocked(channels, h, w) };
        let output = Grid::blocked(channels, shape.out(0), shape.out(1));
        let (x, weights, bias) = (numbers(channels * h * w, 1), numbers(channels * kernel * kernel, 2), numbers(channels, 3));
        let wanted = written_out(&shape, &x, &weights, &bias, &[], end);
        let (halves, twos) = (weights.iter().map(|weight| weight / 2.0).collect::<Vec<_>>(), vec![2.0; channels]);
        let packed = Weights { values: &halves, scale: &twos, bias: &bias, groups: channels };
        for isa in Isa::available() {
            let depthwise = Depthwise::new(isa, &filter, &packed, &input, &output, end).unwrap();
            let (from, mut out) = (placed(&input, &x), Buffer::zeros(output.len()));
            for block in 0..output.blocks() {
                depthwise.run(block, &from[block * input.plane()..], &mut out[block * output.plane()..]);
            }
            close(&taken(&output, &out), &wanted, isa.name());
        }
    }

    #[test]
    fn number_by_number(channels in 1usize..40, h in 1usize..9, w in 1usize..9, halo in 0usize..2, end in ends()) {
        let dense = Grid::blocked(channels, h, w);
        let other = Grid { halo: Halo { top: halo, left: 0, bottom: 1, right: halo }, ..dense };
        let (a, b) = (numbers(channels * h * w, 1), numbers(channels * h * w, 2));
        let (scale, shift) = (numbers(channels, 3), numbers(channels, 4));
        for isa in Isa::available() {
            let (left, right) = (placed(&dense, &a), placed(&other, &b));
            let mut out = Buffer::zeros(other.len());
            for product in [false, true] {
                combine(isa, product, (&left, &dense), (&right, &other), (&mut out, &other), end);
                let of = |(a, b): (&f32, &f32)| end.of(if product { a * b } else { a + b });
                close(&taken(&other, &out), &a.iter().zip(&b).map(of).collect::<Vec<_>>(), isa.name());
            }
            affine(isa, (&left, &dense), &Buffer::of(&scale), &Buffer::of(&shift), (&mut out, &other), end);
            let of = |(at, a): (usize, &f32)| end.of(a * scale[at / (h * w)] + shift[at / (h * w)]);
            close(&taken(&other, &out), &a.iter().enumerate().map(of).collect::<Vec<_>>(), isa.name());
        }
    }
}

#[test]
fn every_stretch_of_the_ends_is_met() {
    // Far outside what random convolutions give: saturation, halves, the exponential's bounds.
    let values: Vec<f32> = (-4000..4000).map(|at| at as f32 * 0.05).collect();
    let grid = Grid::blocked(1, 1, values.len());
    let quantise = End::Quantise { inverse: 8.0, least: -10.0, most: 30.0, scale: 0.125 };
    let swish = End::HardSwish { slope: 1.0 / 6.0, offset: 0.5, high: 1.0 };
    for end in [End::Sigmoid, End::Silu, swish, quantise, End::Clamp { low: -3.0, high: 6.0 }] {
        for isa in Isa::available() {
            let (from, mut out) = (placed(&grid, &values), Buffer::zeros(grid.len()));
            affine(isa, (&from, &grid), &[1.0; BLOCK], &[0.0; BLOCK], (&mut out, &grid), end);
            let wanted: Vec<f32> = values.iter().map(|value| end.of(*value)).collect();
            for (found, wanted) in taken(&grid, &out).iter().zip(&wanted) {
                assert!(
                    (found - wanted).abs() <= 1e-6 + 2e-6 * wanted.abs(),
                    "{} {end:?}: {found} {wanted}",
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn a_number_that_is_none_stays() {
    let grid = Grid::blocked(1, 1, 1);
    for isa in Isa::available() {
        for end in [End::NOTHING, End::Clamp { low: 0.0, high: 6.0 }] {
            let (from, mut out) = (placed(&grid, &[f32::NAN]), Buffer::zeros(grid.len()));
            affine(isa, (&from, &grid), &[1.0; BLOCK], &[0.0; BLOCK], (&mut out, &grid), end);
            assert!(out[0].is_nan(), "{}", isa.name());
        }
    }
}

#[test]
fn bytes_are_taken_apart_alike_by_all() {
    let pixels: Vec<[u8; 3]> =
        (0..=255).map(|value: u8| [value, 255 - value, value.wrapping_mul(7)]).collect();
    let (scale, shift) = ([0.017, -0.3, 1.0 / 255.0], [-2.1, 0.0, 1e-3]);
    for isa in Isa::available() {
        for length in [0, 1, 37, 256] {
            let mut out = [[f32::NAN; 256]; 3];
            planes(isa, &pixels[..length], scale, shift, out.each_mut().map(|plane| &mut plane[..length]));
            for (plane, values) in out.iter().enumerate() {
                let definition = |pixel: &[u8; 3]| f32::from(pixel[plane]) * scale[plane] + shift[plane];
                let expected: Vec<f32> = pixels[..length].iter().map(definition).collect();
                assert_eq!(values[..length], expected, "{}", isa.name());
                assert!(values[length..].iter().all(|value| value.is_nan()), "{}", isa.name());
            }
        }
    }
}

#[test]
fn windows_see_only_the_picture() {
    let filter = Filter { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pad: [1, 1] };
    let grid = Grid { halo: Halo { top: 1, left: 1, bottom: 1, right: 1 }, ..Grid::blocked(2, 4, 4) };
    let out_grid = Grid::blocked(2, 2, 2);
    let x: Vec<f32> = (0..32).map(|at| at as f32 - 40.0).collect();
    for isa in Isa::available() {
        let (from, mut out) = (placed(&grid, &x), Buffer::zeros(out_grid.len()));
        pool(isa, true, Some(1.0), &filter, (&from, &grid), (&mut out, &out_grid));
        assert_eq!(taken(&out_grid, &out), [-35.0, -33.0, -27.0, -25.0, -19.0, -17.0, -11.0, -9.0]);
        pool(isa, false, None, &filter, (&from, &grid), (&mut out, &out_grid));
        assert_eq!(taken(&out_grid, &out)[..2], [-37.5, -36.0]);
        pool(isa, false, Some(1.0 / 9.0), &filter, (&from, &grid), (&mut out, &out_grid));
        close(&taken(&out_grid, &out)[..1], &[-150.0 / 9.0], isa.name());
    }
}

#[test]
fn a_halo_too_small_is_refused() {
    let filter = Filter { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pad: [1, 1] };
    let grid = Grid::blocked(1, 4, 4);
    let weights = Weights { values: &[1.0; 9], scale: &[1.0], bias: &[0.0], groups: 1 };
    assert!(Conv::new(Isa::detect(), &filter, &weights, &grid, &grid, None, End::NOTHING).is_none());
    let far = Filter { stride: [3, 3], ..filter };
    let wide = Grid { halo: Halo { top: 1, left: 1, bottom: 1, right: 1 }, ..grid };
    assert!(Conv::new(Isa::detect(), &far, &weights, &wide, &grid, None, End::NOTHING).is_none());
}
