//! The inference thread: newest frame → crop → embedding → head → observation. It owns the backbone
//! and the active head; a new head is sent to it and swapped between two frames.

use super::event::{Done, Event, Inbox};
use super::frames::{
    ActiveHead, Embedded, FRESH, Installed, Network, NotEmbedded, Observation, Order, SeenFrame, Shows,
};
use super::picture::{Picture, Promise};
use crate::web::Preview;
use graft_backbone::{Rect, cut_out};
use graft_base::frame::{Frame, Rgb};
use graft_camera::{self as camera, FrameCheck, Slot};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::mpsc as queue;

/// How crops are kept.
#[derive(Clone, Debug)]
pub struct CropSettings {
    /// Region of interest, normalised x, y, width, height.
    pub roi: Option<[f64; 4]>,
    /// Longest side of a stored crop, in pixels.
    pub max_side: u32,
    /// JPEG quality, 1 to 100.
    pub jpeg_quality: u8,
    /// At most this many frames a second are kept for labelling.
    pub keep_hz: f64,
    /// At most this many are looked at; `None`: all.
    pub max_hz: Option<f64>,
    /// Levels by which a crop may differ from the one embedded before to be embedded no second time; 0: none.
    pub change_gate: f32,
}

/// The thread's side.
pub struct Inference {
    /// The backbone in use.
    pub network: Network,
    /// Where frames come from.
    pub slot: Arc<Slot>,
    /// What it is told.
    pub orders: mpsc::Receiver<Order>,
    /// Where it is told that an order is carried out.
    pub inbox: Inbox,
    /// Where observations go; a full queue drops them, counted.
    pub observations: queue::Sender<Observation>,
    /// Frames that could not be decoded or embedded, or whose observation found no room.
    pub failures: Arc<AtomicU64>,
    /// The camera's whole picture, for those who look.
    pub preview: Arc<Preview>,
    /// Counts turns of the loop: the watchdog's proof of progress.
    pub turns: Arc<AtomicU64>,
    /// How crops are kept.
    pub crops: CropSettings,
    /// Threads that share a frame.
    pub threads: usize,
}

/// Orders are looked at this often while no frame comes.
const WAIT: Duration = Duration::from_millis(50);
/// An embedding stands for later frames this long at most: a frame older than this is never labelled as what is seen now.
const REUSE: Duration = FRESH;

/// Quality of the whole picture for those who look.
const PREVIEW_QUALITY: u8 = 75;

/// What the inference thread remembers from frame to frame.
#[derive(Default)]
struct Memory {
    active: Option<ActiveHead>,
    rgb: Rgb,
    /// When the last frame was taken that was looked at, and that was kept.
    looked: Option<Instant>,
    kept: Option<Instant>,
    /// When the last frame was taken that somebody who looks was shown.
    shown: Option<Instant>,
    /// When the last frame was taken that went through the backbone in use, and what came out.
    embedded: Option<(Instant, Arc<[f32]>)>,
}

/// Is it time for a frame taken at `now`, at most so many a second, after the last at `last`? Cameras are not quite even.
fn is_due(last: Option<Instant>, now: Instant, hz: f64) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last).as_secs_f64() >= 0.9 / hz)
}

impl Inference {
    /// Works until told to stop.
    pub fn run(mut self) {
        let mut memory = Memory::default();
        self.share();
        loop {
            self.turns.fetch_add(1, Ordering::Relaxed);
            loop {
                match self.orders.try_recv() {
                    Ok(Order::Install { head, then }) => {
                        memory.active = Some(head);
                        self.installed(then);
                    }
                    Ok(Order::InstallPair { network, head, then }) => {
                        if let Some(network) = network.take() {
                            (self.network, memory.embedded) = (*network, None);
                            self.share();
                        }
                        memory.active = Some(head);
                        self.installed(Some(then));
                    }
                    Ok(Order::Embed { picture, shows, answer }) => {
                        // Nobody waits any more: nothing to tell.
                        let embedded = self.embed_picture(&picture, shows).map(|mut embedded| {
                            let head = memory.active.as_ref();
                            embedded.said = head.map(|a| (a.clone(), a.predict(&embedded.embedding)));
                            embedded
                        });
                        let _ = answer.send(embedded);
                        break;
                    }
                    Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return,
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            let Some(frame) = self.slot.take(WAIT) else { continue };
            if self.crops.max_hz.is_some_and(|hz| !is_due(memory.looked, frame.taken, hz)) {
                self.slot.pass_over();
                continue;
            }
            memory.looked = Some(frame.taken);
            let keep = is_due(memory.kept, frame.taken, self.crops.keep_hz);
            match self.observe(&frame, &mut memory, keep) {
                Ok((observation, promise)) => {
                    if keep {
                        memory.kept = Some(frame.taken);
                    }
                    if self.observations.try_send(observation).is_err() {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                    } else if let Some(promise) = promise {
                        promise.keep(self.crop_jpeg(&memory.rgb));
                    }
                    self.show(frame.taken, &mut memory);
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    // Without the frame's number, so that the log sees that it is the same error.
                    tracing::warn!(error, "a frame was skipped");
                }
            }
        }
    }

    /// What comes of a frame and, where it is kept, the promise of its picture; the frame is in `memory` until the next one.
    fn observe(
        &mut self,
        frame: &Frame,
        memory: &mut Memory,
        keep: bool,
    ) -> Result<(Observation, Option<Promise>), String> {
        let begun = Instant::now();
        let Memory { active, rgb, embedded, .. } = memory;
        let age_ms = begun.saturating_duration_since(frame.taken).as_secs_f32() * 1e3;
        camera::to_rgb(frame, rgb).map_err(|e| e.to_string())?;
        let glance = FrameCheck::of(rgb);
        let CropSettings { roi, change_gate, .. } = self.crops;
        let earlier = embedded.take_if(|(taken, _)| frame.taken.saturating_duration_since(*taken) < REUSE);
        let levels = if earlier.is_some() { change_gate } else { 0.0 };
        let fresh = self
            .network
            .backbone
            .embed_if_changed(rgb, roi, levels)
            .map_err(|e| e.to_string())?
            .map(Arc::from);
        let reused = fresh.is_none();
        let (taken, embedding) = match (fresh, earlier) {
            (Some(fresh), _) => (frame.taken, fresh),
            (None, earlier) => earlier.ok_or("there is no earlier embedding")?,
        };
        *embedded = Some((taken, Arc::clone(&embedding)));
        let prediction = active.as_ref().map(|a| (a.clone(), a.predict(&embedding)));
        let infer_ms = begun.elapsed().as_secs_f32() * 1e3;
        let wall_ms = frame.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let (picture, promise) = keep.then(Picture::promised).unzip();
        let picture = picture.unwrap_or_default();
        let observation = Observation {
            seen: SeenFrame {
                frame: frame.id,
                taken: frame.taken,
                wall_ms,
                name: frame.name.clone(),
                picture,
                embedding,
                key: Arc::clone(&self.network.key),
                sample: None,
                shown: self.network.backbone.shows(rgb.width, rgb.height, roi),
            },
            size: [rgb.width, rgb.height],
            glance,
            kept: keep,
            reused,
            prediction,
            infer_ms,
            age_ms,
        };
        Ok((observation, promise))
    }

    /// Shows those who look the whole frame that is in `memory`: after its prediction went out, and not too often.
    fn show(&self, taken: Instant, memory: &mut Memory) {
        if !self.preview.is_wanted() || !is_due(memory.shown, taken, Preview::HZ) {
            return;
        }
        memory.shown = Some(taken);
        let whole = Rect::whole(memory.rgb.width, memory.rgb.height);
        if let Ok(picture) = cut_out(&memory.rgb, whole, Preview::SIDE) {
            self.preview.show(camera::encode_jpeg(&picture, PREVIEW_QUALITY));
        }
    }

    fn installed(&self, then: Option<Installed>) {
        if let Some(installed) = then {
            self.inbox.send(Event::Done(Done::Installed(installed)));
        }
    }

    /// Has the backbone in use share its frames among threads.
    fn share(&mut self) {
        if let Err(error) = self.network.backbone.share(self.threads) {
            tracing::warn!(%error, "frames are computed by one thread");
        }
    }

    fn crop_jpeg(&self, rgb: &Rgb) -> Vec<u8> {
        let crop = self.network.backbone.crop_image(rgb, self.crops.roi, self.crops.max_side);
        camera::encode_jpeg(&crop, self.crops.jpeg_quality)
    }

    fn embed_picture(&mut self, picture: &Rgb, shows: Shows) -> Result<Embedded, NotEmbedded> {
        let failed = |e: graft_backbone::BackboneError| NotEmbedded::Failed(e.to_string());
        let (key, roi) = (Arc::clone(&self.network.key), self.crops.roi);
        let backbone = &mut self.network.backbone;
        if let Shows::Part(shown) = shows {
            // Its bytes are stored as they came.
            let embedding = backbone.embed_shown(picture, shown, roi).map_err(failed)?;
            let embedding = embedding.ok_or(NotEmbedded::OtherPart)?;
            return Ok(Embedded { jpeg: Vec::new(), shown, embedding, key, said: None });
        }
        let embedding = backbone.embed(picture, roi).map_err(failed)?;
        let shown = backbone.shows(picture.width, picture.height, roi);
        Ok(Embedded { jpeg: self.crop_jpeg(picture), shown, embedding, key, said: None })
    }
}

#[cfg(test)]
#[path = "inference_tests.rs"]
mod tests;
