//! One round of training on clustered synthetic embeddings, and one prediction. `cargo bench`.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use graft_learn::{Alone, Choice, Head, Method, Options, Snapshot, train};
use half::f16;
use std::hint::black_box;
use std::ops::ControlFlow;

/// `samples` embeddings of `width` numbers around one centre a class, in bursts of ten near-copies.
fn snapshot(samples: usize, width: usize, classes: usize) -> Snapshot {
    let mut random = fastrand::Rng::with_seed(7);
    let mut normal = || (0..4).map(|_| random.f32() - 0.5).sum::<f32>();
    let centres: Vec<f32> = (0..classes * width).map(|_| normal()).collect();
    let mut embeddings = Vec::with_capacity(samples * width);
    let mut moment = vec![0.0f32; width];
    for sample in 0..samples {
        if sample % 10 == 0 {
            moment.fill_with(|| 1.5 * normal());
        }
        let class = (sample / 10) % classes;
        let centre = &centres[class * width..(class + 1) * width];
        embeddings.extend(
            centre.iter().zip(&moment).map(|(c, m)| f16::from_f32((c + m + 0.1 * normal()).max(0.0))),
        );
    }
    Snapshot {
        width,
        classes,
        embeddings,
        labels: (0..samples).map(|s| ((s / 10) % classes) as u32).collect(),
        bursts: (0..samples).map(|s| (s / 10) as u64).collect(),
    }
}

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round");
    group.sample_size(10);
    for (samples, width, classes) in [(200, 1280, 10), (1000, 1280, 10), (1000, 576, 2)] {
        let snapshot = snapshot(samples, width, classes);
        for (name, choice) in [("ridge", Choice::Only(Method::Ridge)), ("auto", Choice::Auto)] {
            let options = Options { choice, ..Options::default() };
            group.bench_function(format!("{name} {samples}x{width}x{classes}"), |bencher| {
                bencher.iter(|| {
                    train(black_box(&snapshot), &options, &Alone, &mut |_| ControlFlow::Continue(()))
                });
            });
        }
    }
    group.finish();
    let head = Head::random(10, 1280, 1);
    criterion.bench_function("predict 1280x10", |bencher| {
        bencher.iter_batched(|| vec![0.5f32; 1280], |x| head.predict(black_box(&x)), BatchSize::SmallInput);
    });
}

criterion_group!(benches, rounds);
criterion_main!(benches);
