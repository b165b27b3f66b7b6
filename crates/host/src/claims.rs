//! Claims: which offers this host takes, and the signs of life that keep them.

use std::time::{Duration, Instant};

use super::advance::{UNSEEN, Work};
use super::book::{Job, Phase};
use super::run::Host;
use super::{now_ms, token};
use graft_wire::backbone_manifest::is_backbone_line;
use graft_wire::command::{self, Command, Envelope, Offload};
use graft_wire::offload::{Claim, Offer, OfferState};
use graft_wire::timestamp::{parse_rfc3339, rfc3339};

/// A claim is good for so long.
const CLAIM_GOOD: Duration = Duration::from_secs(300);
/// A job that was given back is left to others for so long.
const AVOID: Duration = Duration::from_secs(300);

impl Host {
    /// Claims offers, as many as there are devices to train on.
    pub(super) fn claim_more(&mut self) {
        let mut free = self.free_slots();
        let mut names: Vec<String> = self.offers.keys().cloned().collect();
        names.sort_unstable();
        for name in names {
            let offered = self.offers.get(&name).filter(|offer| offer.state == OfferState::Offered);
            let Some(offer) = offered.cloned() else { continue };
            let known = self.desk.book().get(&name).is_some();
            let avoided = self.avoid.get(&name).is_some_and(|since| since.elapsed() < AVOID);
            let device = name.split('.').next().unwrap_or_default();
            if free == 0 || known || avoided || !self.takes(device, &offer) {
                continue;
            }
            let Ok(token) = token() else { continue };
            let job = Job { device: device.to_owned(), offer, token, phase: Phase::Receiving, attempts: 0 };
            if let Err(error) = self.desk.book().put(job.clone()) {
                tracing::error!(error = format!("{error:#}"), "an offer could not be taken");
                return;
            }
            free -= 1;
            tracing::info!(job = name, recipe = %job.offer.recipe, samples = job.offer.dataset.samples, "claimed");
            self.said.insert(("claim", name.clone()), Instant::now());
            self.claim(&job);
        }
    }

    pub(super) fn free_slots(&self) -> usize {
        let active = self.desk.book().jobs().filter(|(_, job)| job.phase.is_active()).count();
        self.settings.engine.devices.len().saturating_sub(active)
    }

    /// Whether an offer is one that this host takes.
    pub(super) fn takes(&mut self, device: &str, offer: &Offer) -> bool {
        let offers = &self.settings.offers;
        let listed = offers.devices.is_empty() || offers.devices.iter().any(|d| d == device);
        let in_time = parse_rfc3339(&offer.expires).is_some_and(|end| now_ms() < end);
        let (size, most) = (offer.dataset.bytes, offers.max_bytes());
        let why = match () {
            () if size > most => format!("it has {size} bytes, taken are {most} (offers.max_gb)"),
            () if !is_backbone_line(&offer.backbone.name) => {
                format!(
                    "its backbone is called {:?} on its card: use a-z, 0-9, '.', '_', '-'",
                    offer.backbone.name
                )
            }
            () => return listed && in_time,
        };
        if self.due("left alone", &format!("{device}.{}", offer.job), UNSEEN) {
            tracing::warn!(device, job = offer.job, "an offer is left alone: {why}");
        }
        false
    }

    pub(super) fn claim(&mut self, job: &Job) {
        let until = now_ms().saturating_add(CLAIM_GOOD.as_millis() as i64);
        let mut claim = Claim {
            job: job.offer.job.clone(),
            host: self.settings.id.clone(),
            url: self.url.clone(),
            token: job.token.clone(),
            until: rfc3339(until),
            key_id: String::new(),
            sig: String::new(),
        };
        match claim.sign(&job.device, &self.key) {
            Ok(()) => self.send_named(&job.name(), Command::Offload(Offload::Claim(claim))),
            Err(error) => tracing::error!(%error, "a claim cannot be signed; see http.url"),
        }
    }

    /// Sends a command to the board of a job, with an id under which a refusal comes back.
    pub(super) fn send_named(&mut self, name: &str, command: Command) {
        let Some((device, _)) = name.split_once('.') else { return };
        let id = format!("{}:{name}:{:08x}", self.settings.id, fastrand::u32(..));
        self.send(device, Envelope { id: Some(id), ..Envelope::bare(command) });
    }

    /// A sign of life, with figures where there are some.
    pub(super) fn beat(&mut self, name: &str) {
        let Some(job) = self.desk.book().get(name).cloned() else { return };
        let mut progress = command::Progress {
            job: job.offer.job.clone(),
            host: self.settings.id.clone(),
            stage: job.phase.word().to_owned(),
            ..command::Progress::default()
        };
        if let Some(Work::Training { line, .. }) = self.work.get(name) {
            let finite = |figure: Option<f64>| figure.filter(|f| f.is_finite());
            progress.step = line.step;
            progress.steps = line.steps;
            progress.epoch = line.epoch;
            progress.loss = finite(line.loss);
            progress.val_accuracy = finite(line.val_accuracy).filter(|a| (0.0..=1.0).contains(a));
            progress.eta_s = finite(line.eta_s).filter(|s| *s >= 0.0);
            let stage: String = line.stage.chars().filter(|c| !c.is_control()).take(64).collect();
            if !stage.is_empty() {
                progress.stage = stage;
            }
        }
        self.send(&job.device, Envelope::bare(Command::Offload(Offload::Progress(progress))));
    }
}
