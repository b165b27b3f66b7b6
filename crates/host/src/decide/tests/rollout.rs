//! Backbones of groups of boards.

use super::*;
use crate::group::MemberState;

fn group(version: u64, devices: &[(&str, Member)]) -> Group {
    let devices = devices.iter().map(|(device, member)| ((*device).to_owned(), member.clone())).collect();
    Group {
        name: "line-3".into(),
        assignment: Assignment { line: "tiny".into(), version, token: "secret".into() },
        manifest: BackboneManifest { device: None, group: Some("line-3".into()), ..manifest(version, "new") },
        progress: Progress { version, devices },
    }
}

fn runs(device: &str, group: Option<&str>, onnx: &str) -> HostEvent {
    let backbone = Some(Blob::of(onnx.as_bytes()).digest);
    HostEvent::BoardInfo { device: device.into(), group: group.map(Into::into), backbone }
}

fn online(device: &str, online: bool) -> HostEvent {
    HostEvent::BoardAvailability { device: device.into(), online }
}

fn replied(device: &str, version: u64, reply: ApplyReply) -> HostEvent {
    HostEvent::ApplyReplied { device: device.into(), group: "line-3".into(), version, reply }
}

#[test]
fn a_group_is_rolled_out_to_the_boards_that_are_online() {
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::GroupsRead(vec![group(2, &[])]));
    for (device, group, onnx) in
        [("cam-1", Some("line-3"), "old"), ("cam-2", Some("line-3"), "new"), ("cam-3", None, "old")]
    {
        script.event(0, runs(device, group, onnx));
        script.event(0, online(device, true));
    }
    script.event(0, runs("cam-4", Some("line-3"), "old"));
    script.event(0, runs("cam-5", Some("line-9"), "old"));
    script.event(0, online("cam-5", true));
    script.text.clear();
    script.tick(1);
    script.tick(60);
    script.tick(61);
    script.event(62, replied("cam-1", 2, ApplyReply::Accepted { job: Some("7".into()) }));
    script.event(63, replied("cam-1", 1, ApplyReply::Refused { reason: None }));
    script.tick(200);
    script.event(201, runs("cam-1", Some("line-3"), "new"));
    script.tick(201);
    // It went back by itself: a person decides.
    script.event(300, runs("cam-1", Some("line-3"), "old"));
    script.tick(4000);
    script.event(4001, online("cam-4", true));
    script.tick(4001);
    script.event(4002, replied("cam-4", 2, ApplyReply::Later { reason: "busy".into() }));
    script.tick(4061);
    script.expect(r#"   1 s  Tick
          -> RecordMember line-3 2 cam-1: sent, sent 1, job None, reason None
          -> Apply cam-1: group line-3, version 2, sent 1
          -> RecordMember line-3 2 cam-2: applied, sent 0, job None, reason None
  60 s  Tick
  61 s  Tick
          -> RecordMember line-3 2 cam-1: sent, sent 2, job None, reason None
          -> Apply cam-1: group line-3, version 2, sent 2
  62 s  ApplyReplied { device: "cam-1", group: "line-3", version: 2, reply: Accepted { job: Some("7") } }
          -> RecordMember line-3 2 cam-1: accepted, sent 2, job Some("7"), reason None
  63 s  ApplyReplied { device: "cam-1", group: "line-3", version: 1, reply: Refused { reason: None } }
 200 s  Tick
 201 s  BoardInfo { device: "cam-1", group: Some("line-3"), backbone: Some("sha256:11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437") }
 201 s  Tick
          -> RecordMember line-3 2 cam-1: applied, sent 2, job Some("7"), reason None
 300 s  BoardInfo { device: "cam-1", group: Some("line-3"), backbone: Some("sha256:cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4") }
4000 s  Tick
4001 s  BoardAvailability { device: "cam-4", online: true }
4001 s  Tick
          -> RecordMember line-3 2 cam-4: sent, sent 1, job None, reason None
          -> Apply cam-4: group line-3, version 2, sent 1
4002 s  ApplyReplied { device: "cam-4", group: "line-3", version: 2, reply: Later { reason: "busy" } }
          -> RecordMember line-3 2 cam-4: sent, sent 1, job None, reason Some("busy")
4061 s  Tick
          -> RecordMember line-3 2 cam-4: sent, sent 2, job None, reason Some("busy")
          -> Apply cam-4: group line-3, version 2, sent 2
"#);
}

#[test]
fn a_refusal_is_final_until_the_next_assignment() {
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::GroupsRead(vec![group(2, &[])]));
    script.event(0, runs("cam-1", Some("line-3"), "old"));
    script.event(0, online("cam-1", true));
    script.tick(1);
    script.event(2, replied("cam-1", 2, ApplyReply::Accepted { job: Some("7".into()) }));
    script.text.clear();
    let ended = |job: &str| HostEvent::NotPromoted {
        device: "cam-1".into(),
        job: job.into(),
        reason: "worse".into(),
    };
    script.event(3, ended("6"));
    script.event(4, ended("7"));
    script.event(5, ended("7"));
    script.tick(4000);
    script.event(4001, HostEvent::GroupsRead(vec![group(3, &[])]));
    script.tick(4001);
    script.expect(
        r#"   3 s  NotPromoted { device: "cam-1", job: "6", reason: "worse" }
   4 s  NotPromoted { device: "cam-1", job: "7", reason: "worse" }
          -> RecordMember line-3 2 cam-1: refused, sent 1, job Some("7"), reason Some("worse")
   5 s  NotPromoted { device: "cam-1", job: "7", reason: "worse" }
4000 s  Tick
4001 s  GroupsRead ["line-3 3"]
4001 s  Tick
          -> RecordMember line-3 3 cam-1: sent, sent 1, job None, reason None
          -> Apply cam-1: group line-3, version 3, sent 1
"#,
    );
}

#[test]
fn an_accepted_backbone_whose_end_is_never_told_is_sent_again() {
    let accepted = Member { sent: 1, state: MemberState::Accepted, job: Some("7".into()), reason: None };
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::GroupsRead(vec![group(2, &[("cam-1", accepted)])]));
    script.event(0, runs("cam-1", Some("line-3"), "old"));
    script.event(0, online("cam-1", true));
    script.text.clear();
    // After the host's start it is not known when it was sent.
    script.tick(1);
    script.event(2, replied("cam-1", 2, ApplyReply::Accepted { job: Some("8".into()) }));
    script.tick(1800);
    script.tick(1801);
    script.expect(
        r#"   1 s  Tick
          -> RecordMember line-3 2 cam-1: sent, sent 2, job Some("7"), reason None
          -> Apply cam-1: group line-3, version 2, sent 2
   2 s  ApplyReplied { device: "cam-1", group: "line-3", version: 2, reply: Accepted { job: Some("8") } }
          -> RecordMember line-3 2 cam-1: accepted, sent 2, job Some("8"), reason None
1800 s  Tick
1801 s  Tick
          -> RecordMember line-3 2 cam-1: sent, sent 3, job Some("8"), reason None
          -> Apply cam-1: group line-3, version 2, sent 3
"#,
    );
}

#[test]
fn assignments_are_read_and_blobs_swept_at_intervals() {
    let mut machine = Machine::new(policy(&["cpu"]), Vec::new());
    let mut tick = |second| machine.handle(at(second), HostEvent::Tick);
    assert_eq!(tick(0), [HostAction::ReadGroups, HostAction::Sweep]);
    assert_eq!(tick(1), []);
    assert_eq!(tick(2), [HostAction::ReadGroups]);
    assert_eq!(tick(3600), [HostAction::ReadGroups, HostAction::Sweep]);
}
