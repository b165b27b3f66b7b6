//! Groups of boards: each board of a group that is online and has another backbone is given the group's. Each decides
//! for itself; what it says is noted.

use std::time::Duration;

use super::fleet::{Member, Stand};
use super::run::Host;
use graft_wire::command::{Backbone, Command, Envelope};
use graft_wire::messages::{JobMessage, JobStatus};
use graft_wire::{Reply, Status};

/// What `graft host assign` wrote is looked at so often.
const RELOAD_EVERY: Duration = Duration::from_secs(2);
/// A board that has not answered is asked again.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// A board that took the job on and never said how it ended is asked again.
const WAIT_FOR: Duration = Duration::from_secs(1800);

impl Host {
    /// Compares what groups are to have with what their boards have.
    pub(super) fn reconcile(&mut self) {
        if self.due("reload", "", RELOAD_EVERY) {
            self.desk.fleet().reload();
        }
        let grouped: Vec<(String, String, String)> = self
            .boards
            .iter()
            .filter(|(_, board)| board.online)
            .filter_map(|(device, board)| {
                let info = board.info.as_ref()?;
                let digest = info.backbone.as_ref()?.digest.clone();
                Some((device.clone(), info.group.clone()?, digest))
            })
            .collect();
        for (device, group, digest) in grouped {
            self.reconcile_one(&device, &group, &digest);
        }
    }

    fn reconcile_one(&mut self, device: &str, group: &str, digest: &str) {
        let (wanted, member) = {
            let fleet = self.desk.fleet();
            let Some((wish, manifest)) = fleet.wanted(group) else { return };
            let wanted = (wish.token.clone(), manifest.clone());
            (wanted, fleet.member(group, device).cloned())
        };
        let (token, manifest) = wanted;
        let known = member.clone().unwrap_or_default();
        if manifest.files.onnx.digest == digest {
            if member.is_none_or(|m| m.is != Stand::Applied) {
                self.note(group, device, Member { is: Stand::Applied, reason: None, ..known });
            }
            return;
        }
        let every = match known.is {
            Stand::Sent => ASK_EVERY,
            Stand::Accepted => WAIT_FOR,
            // It went back by itself, or never wanted it: a person decides, with another `assign`.
            Stand::Applied | Stand::Refused => return,
        };
        if !self.due("assign", &format!("{group}/{device}/{}", manifest.version), every) {
            return;
        }
        let sent = known.sent + 1;
        let id = format!("{}:{group}:{}:{sent}", self.settings.id, manifest.version);
        let command =
            Command::Backbone(Backbone::Apply { url: self.url.clone(), token, manifest: Box::new(manifest) });
        self.note(group, device, Member { sent, is: Stand::Sent, ..known });
        self.send(device, Envelope { id: Some(id), ..Envelope::bare(command) });
    }

    fn note(&self, group: &str, device: &str, member: Member) {
        tracing::info!(group, device, stand = ?member.is, reason = member.reason, "the backbone of a group");
        if let Err(error) = self.desk.fleet().note(group, device, member) {
            tracing::error!(error = format!("{error:#}"), "how far a group is could not be written");
        }
    }

    /// A board answers to the backbone of its group.
    pub(super) fn answer_of_group(&mut self, device: &str, payload: &[u8]) {
        let Ok(reply) = Reply::from_json(payload) else { return };
        let Some(rest) =
            reply.id.as_deref().and_then(|id| id.strip_prefix(&self.settings.id)?.strip_prefix(':'))
        else {
            return;
        };
        let mut words = rest.split(':');
        let (Some(group), Some(version)) = (words.next(), words.next()) else { return };
        let known = {
            let fleet = self.desk.fleet();
            let Some((wish, _)) = fleet.wanted(group).filter(|(wish, _)| wish.version.to_string() == version)
            else {
                return;
            };
            tracing::debug!(group, version = wish.version, "a board answers");
            fleet.member(group, device).cloned().unwrap_or_default()
        };
        let member = match (reply.status, reply.error) {
            (Status::Error, Some(error)) if error.retryable => {
                Member { reason: Some(error.message), ..known }
            }
            (Status::Error, error) => {
                Member { is: Stand::Refused, reason: error.map(|error| error.message), ..known }
            }
            (Status::Ok | Status::Accepted, _) => {
                Member { is: Stand::Accepted, job: reply.job, reason: None, ..known }
            }
        };
        self.note(group, device, member);
    }

    /// The job in which a board looks at the backbone of its group moves on.
    pub(super) fn job_of_group(&mut self, device: &str, job: &str, payload: &[u8]) {
        let Ok(message) = serde_json::from_slice::<JobMessage>(payload) else { return };
        let reason = match message.status {
            JobStatus::Failed | JobStatus::Canceled => {
                message.error.map_or_else(|| "cancelled on the board".to_owned(), |error| error.message)
            }
            JobStatus::Successful if message.result.get("promoted") == Some(&false.into()) => {
                message.result.get("reason").and_then(|r| r.as_str()).unwrap_or("its gate said no").to_owned()
            }
            _ => return,
        };
        let found = {
            let fleet = self.desk.fleet();
            fleet.groups().find_map(|(group, _, progress)| {
                let member = progress.devices.get(device)?;
                let same = member.is == Stand::Accepted && member.job.as_deref() == Some(job);
                same.then(|| (group.clone(), member.clone()))
            })
        };
        if let Some((group, member)) = found {
            self.note(&group, device, Member { is: Stand::Refused, reason: Some(reason), ..member });
        }
    }
}
