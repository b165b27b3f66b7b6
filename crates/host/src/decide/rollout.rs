//! Groups of boards: each board of a group that is online and runs another backbone is sent the group's. Each board
//! judges it for itself; how far it is is recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{ApplyReply, Group, HostAction, Now};
use crate::group::{Member, MemberState};

/// Assignments are read from disk this often: `graft host assign` is another process.
const READ_EVERY: Duration = Duration::from_secs(2);
/// A board that has not answered is sent the backbone again.
const SEND_EVERY: Duration = Duration::from_secs(60);
/// A board that accepted and never told the end of its job is sent the backbone again.
const ACCEPTED_FOR: Duration = Duration::from_secs(1800);

/// What a board shows of itself.
#[derive(Clone, Debug, Default)]
struct Board {
    online: bool,
    group: Option<String>,
    /// Digest of the backbone that it runs.
    backbone: Option<String>,
}

/// The roll-out of backbones to groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Rollout {
    boards: BTreeMap<String, Board>,
    groups: BTreeMap<String, Group>,
    /// When a board of a group was last sent this version: `(group, device, version)`.
    sent: BTreeMap<(String, String, u64), Option<Duration>>,
    read: Option<Duration>,
}

impl Rollout {
    pub(super) fn board_info(&mut self, device: String, group: Option<String>, backbone: Option<String>) {
        let board = self.boards.entry(device).or_default();
        (board.group, board.backbone) = (group, backbone);
    }

    pub(super) fn board_availability(&mut self, device: String, online: bool) {
        self.boards.entry(device).or_default().online = online;
    }

    pub(super) fn groups_read(&mut self, groups: Vec<Group>) {
        self.groups = groups.into_iter().map(|group| (group.name.clone(), group)).collect();
        let groups = &self.groups;
        self.sent.retain(|(group, _, version), _| {
            groups.get(group).is_some_and(|group| group.assignment.version == *version)
        });
    }

    /// Compares what groups are assigned with what their boards run.
    pub(super) fn tick(&mut self, now: Now, actions: &mut Vec<HostAction>) {
        if now.due(&mut self.read, READ_EVERY) {
            actions.push(HostAction::ReadGroups);
        }
        for (device, board) in &self.boards {
            let (true, Some(name), Some(runs)) = (board.online, &board.group, &board.backbone) else {
                continue;
            };
            let Some(group) = self.groups.get_mut(name) else { continue };
            let known = group.progress.devices.get(device);
            let state = known.map(|member| member.state);
            let member = known.cloned().unwrap_or_default();
            if group.manifest.files.onnx.digest == *runs {
                if state != Some(MemberState::Applied) {
                    let member = Member { state: MemberState::Applied, reason: None, ..member };
                    record(group, device, member, actions);
                }
                continue;
            }
            let every = match member.state {
                MemberState::Sent => SEND_EVERY,
                MemberState::Accepted => ACCEPTED_FOR,
                // It went back by itself, or never wanted it: a person decides, with another `assign`.
                MemberState::Applied | MemberState::Refused => continue,
            };
            let version = group.assignment.version;
            let last = self.sent.entry((name.clone(), device.clone(), version)).or_default();
            if now.due(last, every) {
                let sent = member.sent + 1;
                record(group, device, Member { sent, state: MemberState::Sent, ..member }, actions);
                actions.push(HostAction::Apply {
                    device: device.clone(),
                    group: name.clone(),
                    token: group.assignment.token.clone(),
                    manifest: Box::new(group.manifest.clone()),
                    sent,
                });
            }
        }
    }

    /// A board answers to a version of its group; an answer to another version is stale.
    pub(super) fn replied(
        &mut self,
        device: &str,
        group: &str,
        version: u64,
        reply: ApplyReply,
        actions: &mut Vec<HostAction>,
    ) {
        let Some(group) = self.groups.get_mut(group).filter(|group| group.assignment.version == version)
        else {
            return;
        };
        let known = group.progress.devices.get(device).cloned().unwrap_or_default();
        let member = match reply {
            ApplyReply::Accepted { job } => {
                Member { state: MemberState::Accepted, job, reason: None, ..known }
            }
            ApplyReply::Later { reason } => Member { reason: Some(reason), ..known },
            ApplyReply::Refused { reason } => Member { state: MemberState::Refused, reason, ..known },
        };
        record(group, device, member, actions);
    }

    /// The job in which a board judged the backbone of its group ended without promotion.
    pub(super) fn not_promoted(
        &mut self,
        device: &str,
        job: &str,
        reason: String,
        actions: &mut Vec<HostAction>,
    ) {
        for group in self.groups.values_mut() {
            let judging =
                group.progress.devices.get(device).filter(|member| {
                    member.state == MemberState::Accepted && member.job.as_deref() == Some(job)
                });
            if let Some(member) = judging.cloned() {
                let member = Member { state: MemberState::Refused, reason: Some(reason), ..member };
                return record(group, device, member, actions);
            }
        }
    }
}

/// Keeps how far a board is, and has it written.
fn record(group: &mut Group, device: &str, member: Member, actions: &mut Vec<HostAction>) {
    group.progress.devices.insert(device.to_owned(), member.clone());
    actions.push(HostAction::RecordMember {
        group: group.name.clone(),
        version: group.assignment.version,
        device: device.to_owned(),
        member,
    });
}
