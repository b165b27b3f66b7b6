//! The jobs of boards: which offers are taken, and which job takes an event.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::{Entry, Turn};
use super::event::{HostAction, HostEvent, JobEnd, Now, Task};
use super::policy::Policy;
use crate::job::{Job, job_name};
use graft_wire::offload::{Offer, OfferState};

/// A job whose offer has not been seen for this long after a connect is over.
const UNSEEN: Duration = Duration::from_secs(180);
/// The log repeats why an offer is not taken this often.
const LOG_EVERY: Duration = Duration::from_secs(180);
/// An offer that this host gave back is left to other hosts for this long.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(300);

/// An offer at the broker.
#[derive(Clone, Debug)]
struct Offered {
    device: String,
    offer: Offer,
    /// When the log last said why it is not taken.
    logged: Option<Duration>,
}

/// An offer whose first record is being written.
#[derive(Clone, Debug)]
struct Taking {
    task: Task,
    /// The board cleared the offer meanwhile.
    cleared: bool,
}

/// All offers and jobs, by `<device>.<job>`.
#[derive(Clone, Debug)]
pub(super) struct Jobs {
    policy: Policy,
    offers: BTreeMap<String, Offered>,
    jobs: BTreeMap<String, Entry>,
    taking: BTreeMap<String, Taking>,
    /// Offers that this host gave back, and when.
    given_back: BTreeMap<String, Duration>,
    /// Since when the session is up.
    connected: Option<Duration>,
    /// Number of the last task.
    tasks: u64,
}

impl Jobs {
    pub(super) fn new(policy: Policy, jobs: Vec<Job>) -> Self {
        Self {
            policy,
            offers: BTreeMap::new(),
            jobs: jobs.into_iter().map(|job| (job.name(), Entry::new(job))).collect(),
            taking: BTreeMap::new(),
            given_back: BTreeMap::new(),
            connected: None,
            tasks: 0,
        }
    }

    pub(super) fn connected(&mut self, now: Now) {
        self.connected = Some(now.uptime);
        // Those that still stand come with the subscription.
        self.offers.clear();
    }

    pub(super) fn disconnected(&mut self) {
        self.connected = None;
    }

    pub(super) fn offer_seen(&mut self, device: String, offer: Offer) {
        let name = job_name(&device, &offer.job);
        let logged = self.offers.get(&name).and_then(|offered| offered.logged);
        self.offers.insert(name, Offered { device, offer, logged });
    }

    pub(super) fn offer_cleared(&mut self, device: &str, job: &str, actions: &mut Vec<HostAction>) {
        let name = job_name(device, job);
        self.offers.remove(&name);
        self.given_back.remove(&name);
        if let Some(taking) = self.taking.get_mut(&name) {
            taking.cleared = true;
        }
        self.end(&name, JobEnd::OfferCleared, actions);
    }

    /// Goes on with every job, then takes offers while there are devices for them.
    pub(super) fn tick(&mut self, now: Now, actions: &mut Vec<HostAction>) {
        let names: Vec<String> = self.jobs.keys().cloned().collect();
        for name in names {
            self.step(&name, now, actions);
        }
        self.given_back.retain(|_, at| now.uptime.saturating_sub(*at) < LEFT_TO_OTHERS);
        self.take_offers(now, actions);
    }

    /// Ends a job whose offer is over; goes on with it otherwise.
    fn step(&mut self, name: &str, now: Now, actions: &mut Vec<HostAction>) {
        let Some(entry) = self.jobs.get(name) else { return };
        let end = match self.offers.get(name) {
            Some(offered) => entry.end(&offered.offer, now, &self.policy.host),
            None => {
                let unseen = self.connected.is_some_and(|since| now.uptime.saturating_sub(since) > UNSEEN);
                unseen.then_some(JobEnd::OfferUnseen)
            }
        };
        match end {
            Some(end) => {
                if end == JobEnd::OfferedAgain {
                    self.given_back.insert(name.to_owned(), now.uptime);
                }
                self.end(name, end, actions);
            }
            None => {
                let offer = self.offers.get(name).map(|offered| offered.offer.clone());
                self.turn(name, now, actions, |entry, turn| entry.step(offer.as_ref(), turn));
            }
        }
    }

    /// The job is over for this host: engine, files and record go.
    fn end(&mut self, name: &str, why: JobEnd, actions: &mut Vec<HostAction>) {
        if let Some(entry) = self.jobs.remove(name) {
            if let Some(task) = entry.engine() {
                actions.push(HostAction::StopEngine { task: task.clone() });
            }
            actions.push(HostAction::Remove { job: name.to_owned(), why });
        }
    }

    fn take_offers(&mut self, now: Now, actions: &mut Vec<HostAction>) {
        let active = self.jobs.values().filter(|entry| entry.job.phase.is_active()).count();
        let mut free = self.policy.devices.len().saturating_sub(active + self.taking.len());
        for (name, offered) in &mut self.offers {
            let open = offered.offer.state == OfferState::Offered
                && !self.jobs.contains_key(name)
                && !self.taking.contains_key(name)
                && !self.given_back.contains_key(name);
            if free == 0 || !open {
                continue;
            }
            match self.policy.takes(&offered.device, &offered.offer, now) {
                Ok(true) => {
                    free -= 1;
                    self.tasks += 1;
                    let task = Task { job: name.clone(), number: self.tasks };
                    self.taking.insert(name.clone(), Taking { task: task.clone(), cleared: false });
                    let (device, offer) = (offered.device.clone(), Box::new(offered.offer.clone()));
                    actions.push(HostAction::Take { task, device, offer });
                }
                Ok(false) => {}
                Err(why) => {
                    if now.due(&mut offered.logged, LOG_EVERY) {
                        actions.push(HostAction::LogUnsuitable { job: name.clone(), why });
                    }
                }
            }
        }
    }

    /// An offer was recorded as a job: it is claimed. Where it was not, the next tick tries again.
    fn taken(
        &mut self,
        task: &Task,
        result: Result<Box<Job>, String>,
        now: Now,
        actions: &mut Vec<HostAction>,
    ) {
        let Some(taking) = self.taking.get(&task.job).filter(|taking| taking.task == *task) else { return };
        let cleared = taking.cleared;
        self.taking.remove(&task.job);
        match result {
            Ok(_) if cleared => {
                actions.push(HostAction::Remove { job: task.job.clone(), why: JobEnd::OfferCleared });
            }
            Ok(job) => {
                self.jobs.insert(task.job.clone(), Entry::new(*job));
                self.step(&task.job, now, actions);
            }
            Err(_) => {}
        }
    }

    pub(super) fn upload_complete(&mut self, job: &str, now: Now, actions: &mut Vec<HostAction>) {
        self.turn(job, now, actions, Entry::upload_complete);
    }

    /// Takes what the executor says about a task; what no job waits for is stale.
    pub(super) fn answered(&mut self, event: HostEvent, now: Now, actions: &mut Vec<HostAction>) {
        let task = match &event {
            HostEvent::Taken { task, result } => return self.taken(task, result.clone(), now, actions),
            HostEvent::Recorded { task, .. }
            | HostEvent::FilesChecked { task, .. }
            | HostEvent::FolderPrepared { task, .. }
            | HostEvent::EngineStarted { task }
            | HostEvent::EngineProgress { task, .. }
            | HostEvent::EngineEnded { task, .. }
            | HostEvent::Verified { task, .. }
            | HostEvent::Signed { task, .. } => task.clone(),
            _ => return,
        };
        if !self.jobs.get(&task.job).is_some_and(|entry| entry.waits_for(&task)) {
            return;
        }
        let changed = self.turn(&task.job, now, actions, |entry, turn| match event {
            HostEvent::EngineStarted { .. } => {
                entry.engine_started(turn);
                false
            }
            HostEvent::EngineProgress { figures, .. } => {
                entry.engine_progress(figures, turn);
                false
            }
            event => entry.answered(event, turn),
        });
        if changed == Some(true) {
            self.step(&task.job, now, actions);
        }
    }

    /// Lets one job act.
    fn turn<T>(
        &mut self,
        name: &str,
        now: Now,
        actions: &mut Vec<HostAction>,
        act: impl FnOnce(&mut Entry, &mut Turn) -> T,
    ) -> Option<T> {
        let free_device = self.free_device();
        let entry = self.jobs.get_mut(name)?;
        Some(act(
            entry,
            &mut Turn { now, policy: &self.policy, tasks: &mut self.tasks, free_device, actions },
        ))
    }

    /// A device without an engine. A name may be listed more than once: so many engines run on it.
    fn free_device(&self) -> Option<String> {
        let mut free = self.policy.devices.clone();
        for busy in self.jobs.values().filter_map(Entry::device) {
            if let Some(at) = free.iter().position(|device| device == busy) {
                free.remove(at);
            }
        }
        free.into_iter().next()
    }
}
