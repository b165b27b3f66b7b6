//! Whether the scene is still the one that was taught: frames are cut into slices, slices that show something else than
//! the last are bursts, and a window of bursts gets a verdict (`learn::Reference`). Nothing is kept of a frame.

use crate::daemon::frames::Observation;
use crate::daemon::labels::burst::cosine;
use graft_learn::{Assessment, Burst, DRIFT_WINDOW, Drift, Tally};
use graft_wire::messages::{CameraFault, DriftState, DriftVerdict};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Shortest slice.
const SHORTEST: Duration = Duration::from_millis(500);
/// Slices in a row that make a fault of the camera: one picture held for a moment is none.
const FAULTY: usize = 5;
/// A slice is faulty when this part of its frames is.
const MOST: f32 = 0.9;
/// Looks in a row that must agree before another verdict is told.
const AGREE: usize = 2;

/// What has been seen since the head came into use.
#[derive(Debug, Default)]
pub struct Scene {
    head: u64,
    tally: Option<Tally>,
    /// The running slice: when it began, its frames, how many of them had which fault, and its summed embeddings.
    begun: Option<Instant>,
    frames: u32,
    faults: [u32; 3],
    sum: Vec<f32>,
    print: Option<u64>,
    /// The same sum of the last slice that counted as a burst.
    last: Vec<f32>,
    window: VecDeque<Burst>,
    assessment: Option<Assessment>,
    /// The fault of the last slices, and how many these are.
    faulty: Option<(CameraFault, usize)>,
    /// The verdict of the last looks, and how many these are.
    looks: Option<(DriftVerdict, usize)>,
    /// What was told last.
    pub told: Option<DriftState>,
}

/// What a slice that ended brought.
#[derive(Debug, PartialEq)]
pub enum Look {
    /// The camera is at fault.
    Fault(CameraFault),
    /// What the scene looks like beside what was taught.
    Scene(Assessment),
}

impl Scene {
    /// A scene of which nothing was seen yet, but for what an earlier start told of it.
    pub fn after(told: Option<DriftState>) -> Self {
        Self { told, ..Self::default() }
    }

    /// The version of the head that is watched.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Takes one frame; a slice that ended with it may bring a look.
    pub fn see(&mut self, observation: &Observation, slice: Duration, near: f32) -> Option<Look> {
        let seen = &observation.seen;
        let due = self
            .begun
            .is_some_and(|begun| seen.taken.saturating_duration_since(begun) >= slice.max(SHORTEST));
        let look = if due { self.look(observation, near) } else { None };
        let head = observation.prediction.as_ref().map_or(0, |(active, _)| active.version);
        if head != self.head {
            let told = self.told.take_if(|told| told.head == head);
            *self = Self { head, told, print: self.print, ..Self::default() };
        }
        self.begun.get_or_insert(seen.taken);
        self.frames += 1;
        let glance = observation.glance;
        let frozen = self.print.replace(glance.fingerprint) == Some(glance.fingerprint);
        for (count, fault) in self.faults.iter_mut().zip([glance.black, glance.saturated, frozen]) {
            *count += u32::from(fault);
        }
        if let Some((active, prediction)) = observation.prediction.as_ref().filter(|_| head > 0) {
            self.tally.get_or_insert_with(|| Tally::new(active.classes.len())).add(
                prediction.class as u32,
                prediction.confidence,
                prediction.unknown,
            );
            self.sum.resize(seen.embedding.len(), 0.0);
            self.sum.iter_mut().zip(seen.embedding.iter()).for_each(|(sum, value)| *sum += value);
        }
        look
    }

    /// Ends the slice.
    fn look(&mut self, observation: &Observation, near: f32) -> Option<Look> {
        let enough = |count: u32| count as f32 >= MOST * self.frames as f32;
        let kinds = [CameraFault::Black, CameraFault::Saturated, CameraFault::Frozen];
        let fault =
            kinds.into_iter().zip(self.faults).find(|(_, count)| enough(*count)).map(|(fault, _)| fault);
        let burst = self.tally.as_mut().and_then(Tally::take);
        (self.begun, self.frames, self.faults) = (None, 0, [0; 3]);
        self.faulty = fault.map(|fault| match self.faulty {
            Some((last, slices)) if last == fault => (fault, slices + 1),
            _ => (fault, 1),
        });
        if let Some((fault, slices)) = self.faulty {
            // What a faulty camera shows is no burst.
            self.sum.fill(0.0);
            return (slices >= FAULTY).then_some(Look::Fault(fault));
        }
        // A slice that looks like the last burst is that burst still: a scene at rest is one observation.
        if let Some(burst) = burst
            && cosine(&self.last, &self.sum) <= near
        {
            std::mem::swap(&mut self.last, &mut self.sum);
            self.window.truncate(DRIFT_WINDOW - 1);
            self.window.push_front(burst);
            let reject = observation.prediction.as_ref().and_then(|(active, _)| active.head.reject.as_ref());
            self.assessment = reject.and_then(|reject| reject.usual().assess(self.window.make_contiguous()));
        }
        self.sum.fill(0.0);
        self.assessment.clone().map(Look::Scene)
    }

    /// The verdict of a look, if it is to be told.
    pub fn verdict(&mut self, look: &Look) -> Option<DriftVerdict> {
        let (verdict, at_once) = match look {
            Look::Fault(_) => (DriftVerdict::CameraFault, true),
            Look::Scene(found) => match found.drift {
                Drift::Same => (DriftVerdict::Same, false),
                Drift::NewClass => (DriftVerdict::NewClass, false),
                Drift::NewPlace => (DriftVerdict::NewPlace, false),
            },
        };
        let looks = match self.looks {
            Some((last, looks)) if last == verdict => looks + 1,
            _ => 1,
        };
        self.looks = Some((verdict, looks));
        (at_once || looks >= AGREE).then_some(verdict)
    }
}

#[cfg(test)]
#[path = "scene_tests.rs"]
mod tests;
