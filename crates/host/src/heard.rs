//! What comes from the broker: offers, what boards are, what they answer.

use std::time::Instant;

use super::book::name_of;
use super::run::Host;
use graft_mqtt::{Incoming, Report};
use graft_wire::command::is_job_id;
use graft_wire::digest::is_digest;
use graft_wire::messages::ONLINE;
use graft_wire::offload::Offer;
use graft_wire::topic::is_device_id;
use graft_wire::{Reply, Status};

impl Host {
    /// Takes in what the session says.
    pub(super) fn hear(&mut self, report: Report) {
        match report {
            Report::Connected { .. } => {
                self.connected = Some(Instant::now());
                // Those that still stand come with the subscription.
                self.offers.clear();
                tracing::info!("connected to the broker");
            }
            Report::Disconnected { reason } => {
                self.connected = None;
                tracing::warn!(reason, "not connected to the broker");
            }
            Report::Command(incoming) => self.heard(incoming),
            Report::Acked(_) | Report::Refused { .. } => {}
        }
    }

    fn heard(&mut self, incoming: Incoming) {
        let Incoming { topic, payload, ack, .. } = incoming;
        let rest = topic.strip_prefix(&self.settings.base).and_then(|rest| rest.strip_prefix('/'));
        let words: Vec<&str> = rest.unwrap_or_default().split('/').collect();
        match words[..] {
            [device, "offload", job] if is_device_id(device) && is_job_id(job) => {
                self.offer(device, job, &payload)
            }
            [device, "info"] if is_device_id(device) => {
                self.boards.entry(device.to_owned()).or_default().info =
                    serde_json::from_slice(&payload).ok();
            }
            [device, "availability"] if is_device_id(device) => {
                self.boards.entry(device.to_owned()).or_default().online = payload == ONLINE;
            }
            [device, "job", job] if is_device_id(device) => self.job_of_group(device, job, &payload),
            [device, "reply", "backbone"] => self.answer_of_group(device, &payload),
            [device, "reply", "offload"] => self.answer(device, &payload),
            _ => {}
        }
        // What it changes here is on disk, or comes again with the next connect.
        self.mqtt.ack(ack);
    }

    /// An offer came, changed, or was cleared.
    fn offer(&mut self, device: &str, job: &str, payload: &[u8]) {
        let name = name_of(device, job);
        if payload.is_empty() {
            self.offers.remove(&name);
            self.avoid.remove(&name);
            if self.desk.book().get(&name).is_some() {
                self.end(&name, "the board cleared its offer");
            }
            return;
        }
        let read = serde_json::from_slice::<Offer>(payload).map_err(|e| e.to_string()).and_then(|offer| {
            let fits =
                offer.job == job && is_digest(&offer.dataset.digest) && is_digest(&offer.backbone.digest);
            if fits { Ok(offer) } else { Err("its job or a digest is not well-formed".into()) }
        });
        match read {
            Ok(offer) => {
                self.offers.insert(name, offer);
            }
            Err(why) => tracing::warn!(device, job, why, "an offer cannot be read and is left alone"),
        }
    }

    /// A board refuses what we said about a job.
    fn answer(&mut self, device: &str, payload: &[u8]) {
        let Ok(Reply { id: Some(id), status: Status::Error, error: Some(error), .. }) =
            Reply::from_json(payload)
        else {
            return;
        };
        let Some(name) = id.strip_prefix(&self.settings.id).and_then(|rest| rest.strip_prefix(':')) else {
            return;
        };
        let name = name.split(':').next().unwrap_or_default();
        tracing::warn!(
            device,
            job = name,
            code = error.code.as_str(),
            "the board refuses: {}",
            error.message
        );
    }
}
