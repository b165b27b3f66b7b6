//! What the loop does beside commands: the first orders, the camera's news, looking after the store.

use super::Daemon;
use graft_camera as camera;
use graft_control::{Event, Hold};
use graft_wire::messages::{EventType, to_json};
use graft_wire::{Code, Error};
use std::time::{Duration, Instant};

/// The store is looked after this often.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

impl Daemon {
    /// Hands the stored head to the inference thread.
    pub(super) fn begin(&mut self, rolled_back: Option<String>) {
        self.introduce();
        match self.active.clone() {
            Some(active) => {
                // Once a start: the session says it again at each connect.
                self.publish_head(active.version);
                self.install(active, |_| {});
            }
            None => self.stand_in(),
        }
        self.reembed();
        if let Some(reason) = rolled_back {
            self.backbone_rolled_back(reason);
        }
        self.resume_offload();
    }

    pub(super) fn camera_says(&mut self, status: camera::Status) {
        self.state_changed = true;
        match status {
            camera::Status::Open(description) => {
                tracing::info!(description, "camera open");
                // Whether a frame was seen says nothing: the first one may overtake this message.
                let was_lost = self.tally.openings > 0 && self.control.holds().contains(&Hold::CameraLost);
                self.tally.openings += 1;
                if let Some(camera) = &mut self.camera {
                    camera.description = description;
                }
                self.control(Event::Released(Hold::CameraLost));
                if was_lost {
                    self.event(EventType::CameraBack, |e| e);
                }
            }
            camera::Status::Lost(reason) => {
                let held = self.control.holds().contains(&Hold::CameraLost) && self.tally.openings == 0;
                // Now, not when it is back: the first frame may be there by then.
                self.ring.clear();
                // In the message itself: `journalctl` does not show fields.
                tracing::warn!("camera lost: {reason}");
                self.control(Event::Held(Hold::CameraLost));
                self.label_lost();
                if !held {
                    let error = Error::new(Code::Camera, reason);
                    self.event(EventType::CameraLost, |e| e.because(error));
                }
            }
            camera::Status::Ended => {
                tracing::info!("the camera's pictures are at their end");
                self.control(Event::Held(Hold::CameraLost));
                self.label_lost();
            }
        }
        self.say_info();
    }

    /// Publishes what this device is.
    pub(super) fn say_info(&self) {
        self.retain(self.topics.info(), to_json(&self.info()));
    }

    /// Lets the store purge, checkpoint and look at its space now and then.
    pub(super) fn maintain(&mut self) {
        if self.maintained.is_some_and(|at| at.elapsed() < MAINTAIN_EVERY) {
            return;
        }
        self.maintained = Some(Instant::now());
        crate::log::tell_repeats();
        let now_ms = self.clock.wall_ms();
        self.store_then(
            move |store| store.maintain(now_ms),
            |_, result| {
                if let Err(error) = result {
                    tracing::warn!(%error, "the store could not be maintained");
                }
            },
        );
    }
}
