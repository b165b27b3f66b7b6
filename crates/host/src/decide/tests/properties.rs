//! What holds for any sequence of events: a world of three boards and an executor that answers when it pleases.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, VecDeque};

const DEVICES: [&str; 2] = ["cuda:0", "cuda:1"];
const BOARDS: [&str; 3] = ["cam-0", "cam-1", "cam-2"];
const HOST: Option<&str> = Some("gpu-1");

/// Boards, disk and engines around a machine. Each action is checked against them.
struct World {
    machine: Machine,
    second: u64,
    /// Offers as the machine has seen them.
    offers: BTreeMap<String, Offer>,
    disk: BTreeMap<String, Job>,
    /// Engines that run, with their devices.
    engines: BTreeMap<String, String>,
    /// Answers that are still to come, and those that came.
    open: Vec<HostEvent>,
    given: Vec<HostEvent>,
    /// When each job was last claimed.
    claimed: BTreeMap<String, u64>,
    /// Boards that have a result or a release.
    answered: BTreeSet<String>,
    /// Whether the executor's next actions work.
    works: bool,
}

/// Whether a job may change so.
fn follows(old: &Job, new: &Job) -> bool {
    let kept = (&old.token, &old.device, &old.offer) == (&new.token, &new.device, &new.offer);
    kept && match (&old.phase, &new.phase) {
        (Phase::Receiving, Phase::Training)
        | (Phase::Training, Phase::Verifying)
        | (Phase::Verifying, Phase::Returned { .. }) => true,
        (Phase::Training, Phase::Training) => new.attempts == old.attempts + 1 && new.attempts < 3,
        (old, Phase::Released { .. }) => old.is_active(),
        _ => false,
    }
}

impl World {
    fn new() -> Self {
        Self {
            machine: Machine::new(policy(&DEVICES), Vec::new()),
            second: 0,
            offers: BTreeMap::new(),
            disk: BTreeMap::new(),
            engines: BTreeMap::new(),
            open: Vec::new(),
            given: Vec::new(),
            claimed: BTreeMap::new(),
            answered: BTreeSet::new(),
            works: true,
        }
    }

    fn event(&mut self, event: HostEvent) {
        match &event {
            HostEvent::Connected => self.offers.clear(),
            HostEvent::OfferSeen { device, offer } => {
                self.offers.insert(format!("{device}.16"), (**offer).clone());
            }
            HostEvent::OfferCleared { device, .. } => {
                self.offers.remove(&format!("{device}.16"));
            }
            HostEvent::EngineEnded { task, .. } => {
                self.engines.remove(&format!("{task:?}"));
            }
            _ => {}
        }
        // A record is answered at once, as by the executor: nothing comes in between.
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.machine.handle(at(self.second), event) {
                self.check(&action);
                self.carry_out(&action);
                let answer = answer(&action, self.works);
                if matches!(action, HostAction::Record { .. }) {
                    self.given.extend(answer.clone());
                    events.extend(answer);
                } else {
                    self.open.extend(answer);
                }
            }
        }
    }

    fn board(&mut self, device: &str, host: Option<&str>) {
        self.event(HostEvent::OfferSeen { device: device.into(), offer: Box::new(offer("16", host)) });
    }

    fn ours(&self, name: &str) -> bool {
        let offer = self.offers.get(name);
        offer.is_some_and(|offer| offer.state == OfferState::Claimed && offer.host.as_deref() == HOST)
    }

    /// What may never happen.
    fn check(&self, action: &HostAction) {
        let shown = show_action(action);
        match action {
            HostAction::Take { task, .. } => {
                assert!(!self.disk.contains_key(&task.job), "{shown}: it is taken already");
                let active = self.disk.values().filter(|job| job.phase.is_active()).count();
                assert!(active < DEVICES.len(), "{shown}: no device is free");
            }
            HostAction::Record { task, job } => {
                assert!(
                    follows(&self.disk[&task.job], job),
                    "{shown} after {:?}",
                    self.disk[&task.job].phase
                );
            }
            HostAction::Remove { job, .. } => {
                assert!(self.disk.contains_key(job), "{shown}: it is not there");
                let engine = format!("{job}#");
                assert!(
                    !self.engines.keys().any(|task| task.starts_with(&engine)),
                    "{shown}: its engine runs"
                );
            }
            HostAction::Claim { job, .. } => {
                let (name, disk) = (job.name(), &self.disk[&job.name()]);
                assert_eq!((&disk.token, &disk.phase), (&job.token, &job.phase), "{shown}");
                assert!(!matches!(job.phase, Phase::Released { .. }), "{shown}: it was given back");
                assert_eq!(self.offers[&name].state, OfferState::Offered, "{shown}: it is claimed");
                let last = self.claimed.get(&name);
                assert!(last.is_none_or(|last| self.second - last >= 20), "{shown}: claimed twice");
            }
            HostAction::Send { device, message } => {
                let name = format!("{device}.16");
                let phase = &self.disk[&name].phase;
                match message {
                    Offload::Progress(_) => assert!(phase.is_active(), "{shown} in {phase:?}"),
                    Offload::Result { manifest, .. } => {
                        assert_eq!(*phase, Phase::Returned { manifest: manifest.clone() }, "{shown}");
                        assert!(self.ours(&name), "{shown}: it is not this host's");
                    }
                    Offload::Release { outcome, reason, .. } => {
                        let reason = reason.clone().unwrap();
                        assert_eq!(*phase, Phase::Released { outcome: *outcome, reason }, "{shown}");
                        assert!(self.ours(&name), "{shown}: it is not this host's");
                    }
                    other => panic!("{other:?}"),
                }
            }
            HostAction::StartEngine { task, device } => {
                assert_eq!(self.disk[&task.job].phase, Phase::Training, "{shown}");
                assert!(!self.engines.values().any(|busy| busy == device), "{shown}: the device is busy");
            }
            HostAction::StopEngine { task } => {
                assert!(self.engines.contains_key(&format!("{task:?}")), "{shown}: it does not run");
            }
            HostAction::CheckFiles { job, .. }
            | HostAction::PrepareFolder { job, .. }
            | HostAction::Verify { job, .. } => assert_eq!(self.disk[&job.name()], **job, "{shown}"),
            HostAction::Sign { task, .. } => {
                assert_eq!(self.disk[&task.job].phase, Phase::Verifying, "{shown}");
            }
            HostAction::ReadGroups | HostAction::Sweep => {}
            HostAction::LogUnsuitable { .. } | HostAction::RecordMember { .. } | HostAction::Apply { .. } => {
                panic!("{shown}: nothing of the kind is here")
            }
        }
    }

    fn carry_out(&mut self, action: &HostAction) {
        match action {
            HostAction::Take { .. } | HostAction::Record { .. } if !self.works => {}
            HostAction::Take { task, device, .. } => {
                self.disk.insert(task.job.clone(), job(&format!("{device}.16"), Phase::Receiving));
            }
            HostAction::Record { task, job } => {
                self.disk.insert(task.job.clone(), (**job).clone());
            }
            HostAction::Remove { job, .. } => {
                self.disk.remove(job);
                self.claimed.remove(job);
            }
            HostAction::Claim { job, .. } => {
                self.claimed.insert(job.name(), self.second);
            }
            HostAction::Send { device, message: Offload::Result { .. } | Offload::Release { .. } } => {
                self.answered.insert(device.clone());
            }
            HostAction::StartEngine { task, device } => {
                self.engines.insert(format!("{task:?}"), device.clone());
            }
            HostAction::StopEngine { task } => {
                self.engines.remove(&format!("{task:?}"));
            }
            _ => {}
        }
    }

    fn give(&mut self, index: usize) {
        if !self.open.is_empty() {
            let event = self.open.remove(index % self.open.len());
            self.given.push(event.clone());
            self.event(event);
        }
    }

    /// One random step.
    fn step(&mut self, what: u8, which: u8, pause: u64) {
        let device = BOARDS[usize::from(which) % BOARDS.len()];
        let other = [None, HOST, HOST, Some("gpu-2")][usize::from(which / 4) % 4];
        self.works = !pause.is_multiple_of(4);
        match what {
            0..=2 => {
                self.second += pause;
                self.event(HostEvent::Tick);
            }
            3..=6 => self.give(usize::from(which)),
            7 => self.board(device, other),
            8 if self.offers.contains_key(&format!("{device}.16")) => self.board(device, HOST),
            8 => self.board(device, None),
            9 => self.event(HostEvent::UploadComplete { job: format!("{device}.16") }),
            10 if !self.given.is_empty() => {
                let event = self.given[usize::from(which) % self.given.len()].clone();
                self.event(event);
            }
            11 => self.event(HostEvent::OfferCleared { device: device.into(), job: "16".into() }),
            12 => self.event(HostEvent::Connected),
            13 => {
                // A kill: what was under way is gone, the disk is not.
                self.machine = Machine::new(policy(&DEVICES), self.disk.values().cloned().collect());
                self.open.clear();
                self.given.clear();
                self.engines.clear();
                self.claimed.clear();
                self.offers.clear();
            }
            _ => {}
        }
    }

    /// Boards that accept claims and take what they are given, an executor that answers.
    fn settle(&mut self) {
        self.works = true;
        self.event(HostEvent::Connected);
        self.answered.clear();
        for device in BOARDS {
            self.board(device, None);
        }
        for _ in 0..100 {
            self.second += 30;
            self.event(HostEvent::Tick);
            while !self.open.is_empty() {
                self.give(0);
            }
            for name in self.claimed.keys().cloned().collect::<Vec<_>>() {
                let device = name.trim_end_matches(".16");
                if self.offers.contains_key(&name) {
                    self.board(device, HOST);
                }
            }
            for device in std::mem::take(&mut self.answered) {
                self.event(HostEvent::OfferCleared { device, job: "16".into() });
            }
        }
    }
}

proptest! {
    /// No sequence of events breaks a rule of [`World::check`], or leaves a job that works on without an end.
    #[test]
    fn every_job_is_claimed_once_at_a_time_and_ends(
        steps in proptest::collection::vec((0u8..14, any::<u8>(), 1u64..40), 1..120),
    ) {
        let mut world = World::new();
        world.event(HostEvent::Connected);
        for (what, which, pause) in steps {
            world.step(what, which, pause);
        }
        world.settle();
        let left: Vec<String> = world.disk.values().map(phase_line).collect();
        prop_assert!(!world.disk.values().any(|job| job.phase.is_active()), "still at work: {left:?}");
        prop_assert_eq!(&world.engines, &BTreeMap::new());
        // What was given back and is offered all the same waits for the end of its offer.
        world.second += EXPIRES;
        world.event(HostEvent::Tick);
        prop_assert!(world.disk.is_empty(), "never ended: {left:?}");
    }
}
