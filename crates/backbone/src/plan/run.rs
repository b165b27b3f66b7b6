//! Carries a [`Program`] out on a frame.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use graft_simd::{for_each_chunk, thread_count, thread_index};

use super::kernels::{BLOCK, Buffer, Grid, affine, combine, pool};
use super::program::{Between, Memory, Pair, Place, Program, Step, Work};

impl Place {
    fn of<'a>(&self, slots: &'a [Buffer]) -> (&'a [f32], &Grid) {
        (&slots[self.slot][self.start..], &self.grid)
    }
}

impl Program {
    /// Dense `[channels, height, width]` inputs to such outputs, in memory that [`Program::memory`] made.
    pub(super) fn run(&self, memory: &mut Memory, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        memory.between.resize_with(thread_count().max(memory.between.len()), || self.between());
        for (step, nanoseconds) in self.steps.iter().zip(&self.nanoseconds) {
            let start = Instant::now();
            self.step(step, memory, inputs);
            nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        self.frames.fetch_add(1, Ordering::Relaxed);
        for (place, output) in self.outputs.iter().zip(outputs) {
            let (from, grid) = place.of(&memory.slots);
            grid.empty(from, output);
        }
    }

    /// Milliseconds of each step, on average over the frames so far.
    pub(super) fn times(&self) -> impl Iterator<Item = f64> {
        let frames = self.frames.load(Ordering::Relaxed).max(1) as f64;
        self.nanoseconds.iter().map(move |sum| sum.load(Ordering::Relaxed) as f64 / frames / 1e6)
    }

    /// Carries out one step.
    fn step(&self, step: &Step, memory: &mut Memory, inputs: &[&[f32]]) {
        let Step { work, from, to, .. } = step;
        let Memory { slots, between } = memory;
        let mut slot = std::mem::take(&mut slots[to.slot]);
        let out = &mut slot[to.start..][..to.grid.len()];
        let plane = to.grid.plane();
        to.grid.clear_halo(out);
        match work {
            Work::Take { input, end } => to.grid.fill(self.isa, inputs[*input], out, *end),
            Work::Conv(conv) => {
                let (input, _) = from[0].of(slots);
                let residual = from.get(1).map(|place| place.of(slots));
                conv.run(input, out, residual.map(|(values, _)| values));
            }
            Work::Depthwise(depthwise) => {
                let (input, grid) = from[0].of(slots);
                for_each_chunk(out, plane, |block, out| {
                    depthwise.run(block, &input[block * grid.plane()..], out)
                });
            }
            Work::Pair(pair) => {
                let Pair { conv, middle, depthwise } = &**pair;
                let (input, _) = from[0].of(slots);
                // All panels but the last are as wide as the first.
                for_each_chunk(out, conv.blocks(0).len() * plane, |panel, out| {
                    let mut between = between[thread_index()].lock().unwrap_or_else(PoisonError::into_inner);
                    let Between { buffer, clear } = &mut *between;
                    if clear.replace(*middle) != Some(*middle) {
                        middle.clear_halo(buffer);
                    }
                    conv.run_panel(panel, input, buffer);
                    for (block, out) in conv.blocks(panel).zip(out.chunks_mut(plane)) {
                        let first = block - conv.blocks(panel).start;
                        depthwise.run(block, &buffer[first * middle.plane()..], out);
                    }
                });
            }
            Work::Affine { scale, shift, end } => {
                affine(self.isa, from[0].of(slots), scale, shift, (out, &to.grid), *end);
            }
            Work::Combine { product, end } => {
                let (a, b) = (from[0].of(slots), from[1].of(slots));
                combine(self.isa, *product, a, b, (out, &to.grid), *end);
            }
            Work::Weigh { zeros, end } => {
                let (gate, _) = from[1].of(slots);
                affine(self.isa, from[0].of(slots), gate, zeros, (out, &to.grid), *end);
            }
            Work::Pool { largest, filter, factor } => {
                pool(self.isa, *largest, *factor, filter, from[0].of(slots), (out, &to.grid));
            }
            Work::Join => join(from, slots, out, &to.grid),
        }
        slots[to.slot] = slot;
    }
}

/// Copies the parts' channels one after the other.
fn join(parts: &[Place], slots: &[Buffer], out: &mut [f32], to: &Grid) {
    let mut next = 0;
    for part in parts {
        let (values, from) = part.of(slots);
        for channel in 0..from.channels {
            let at = |grid: &Grid, channel: usize| {
                channel / BLOCK * grid.plane() + grid.origin() + channel % BLOCK
            };
            let (source, target) = (at(from, channel), at(to, next + channel));
            for y in 0..to.height {
                let line = values[source + y * from.row()..].iter().step_by(BLOCK).take(to.width);
                let place = out[target + y * to.row()..].iter_mut().step_by(BLOCK);
                place.zip(line).for_each(|(to, value)| *to = *value);
            }
        }
        next += from.channels;
    }
}
