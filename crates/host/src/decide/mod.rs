//! What the host decides. PURE: a [`HostEvent`] and the time go in, [`HostAction`]s come out; the executor carries out
//! each of them. No file, socket, clock, random number or log.
//!
//! Held by the property tests: nothing is claimed, returned or released before its record is on disk; at most one job
//! occupies a training device; an offer is claimed only while nobody has it; every job ends once its tasks are answered
//! and its board is done with it.

mod entry;
mod event;
mod jobs;
mod policy;
mod rollout;
#[cfg(test)]
mod tests;

pub(crate) use event::{ApplyReply, EngineEnd, Group, HostAction, HostEvent, Now, Task};
pub(crate) use policy::Policy;

use std::time::Duration;

use crate::job::Job;
use jobs::Jobs;
use rollout::Rollout;

/// Files that nothing needs are deleted this often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The host's decisions: jobs of boards, and the backbones of groups of boards.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    jobs: Jobs,
    rollout: Rollout,
    swept: Option<Duration>,
}

impl Machine {
    /// A machine with the jobs that are on disk.
    pub(crate) fn new(policy: Policy, jobs: Vec<Job>) -> Self {
        Self { jobs: Jobs::new(policy, jobs), rollout: Rollout::default(), swept: None }
    }

    /// Takes one event and says what is to be done, in order.
    pub(crate) fn handle(&mut self, now: Now, event: HostEvent) -> Vec<HostAction> {
        let mut actions = Vec::new();
        match event {
            HostEvent::BoardInfo { device, group, backbone } => {
                self.rollout.board_info(device, group, backbone)
            }
            HostEvent::BoardAvailability { device, online } => {
                self.rollout.board_availability(device, online)
            }
            HostEvent::GroupsRead(groups) => self.rollout.groups_read(groups),
            HostEvent::ApplyReplied { device, group, version, reply } => {
                self.rollout.replied(&device, &group, version, reply, &mut actions);
            }
            HostEvent::NotPromoted { device, job, reason } => {
                self.rollout.not_promoted(&device, &job, reason, &mut actions)
            }
            HostEvent::Tick => {
                self.jobs.tick(now, &mut actions);
                self.rollout.tick(now, &mut actions);
                if now.due(&mut self.swept, SWEEP_EVERY) {
                    actions.push(HostAction::Sweep);
                }
            }
            HostEvent::Connected => self.jobs.connected(now),
            HostEvent::Disconnected => self.jobs.disconnected(),
            HostEvent::OfferSeen { device, offer } => self.jobs.offer_seen(device, *offer),
            HostEvent::OfferCleared { device, job } => {
                self.jobs.offer_cleared(&device, &job, &mut actions);
            }
            HostEvent::UploadComplete { job } => self.jobs.upload_complete(&job, now, &mut actions),
            answer => self.jobs.answered(answer, now, &mut actions),
        }
        actions
    }
}
