//! One loss and gradient of softmax by the kernels, beside two products of `matrixmultiply`. `cargo bench kernels`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use graft_learn::{Snapshot, lab};
use half::f16;
use std::hint::black_box;

fn snapshot(samples: usize, width: usize, classes: usize) -> Snapshot {
    let mut random = fastrand::Rng::with_seed(7);
    Snapshot {
        width,
        classes,
        embeddings: (0..samples * width).map(|_| f16::from_f32(random.f32())).collect(),
        labels: (0..samples).map(|sample| (sample % classes) as u32).collect(),
        bursts: (0..samples as u64).collect(),
    }
}

fn passes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pass");
    for (samples, width, classes) in [(1000, 1280, 2), (1000, 1280, 10), (5000, 1280, 10), (1000, 1280, 50)] {
        let snapshot = snapshot(samples, width, classes);
        let pass = lab::Pass::new(&snapshot);
        let size = format!("{samples}x{width}x{classes}");
        group.throughput(Throughput::Elements(pass.flops() as u64));
        group.bench_function(BenchmarkId::new("fused", &size), |bencher| {
            bencher.iter(|| black_box(pass.fused()));
        });
        group.bench_function(BenchmarkId::new("matrixmultiply", &size), |bencher| {
            bencher.iter(|| black_box(pass.product()));
        });
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
