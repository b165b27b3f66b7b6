//! One example a command, with its reply. The documentation shows them, a test reads them all.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::example::{example_backbone, example_claim};

use crate::command::{Backbone, Command, Envelope, Offload, Op};
use crate::digest::sha256;
use crate::error::{Code, Error};
use crate::reply::Reply;

/// A command as it may be sent, and the reply it may get.
pub struct Example {
    /// Its op.
    pub op: Op,
    /// What it does.
    pub about: &'static str,
    /// The payload.
    pub body: Cow<'static, str>,
    /// The reply.
    pub reply: Reply,
}

fn example(op: Op, about: &'static str, body: impl Into<Cow<'static, str>>, reply: Reply) -> Example {
    Example { op, about, body: body.into(), reply }
}

fn ok(data: Value) -> Reply {
    Reply::with(None, data)
}

fn changed(rev: i64, affected: u32, text: &str) -> Reply {
    ok(json!({"rev": rev, "affected": affected, "text": text}))
}

/// Every example, op by op.
pub fn examples() -> Vec<Example> {
    let id = |id: &str| Some(id.to_owned());
    vec![
        example(Op::Mode, "Learn from new samples", "adapt", Reply::ok(None)),
        example(Op::Mode, "The same, as a home automation switch says it", "ON", Reply::ok(None)),
        example(
            Op::Mode,
            "Only predict, with an id for the reply",
            r#"{"action":"infer","id":"shift-7"}"#,
            Reply::ok(id("shift-7")),
        ),
        example(Op::Mode, "Neither predict nor learn", "pause", Reply::ok(None)),
        example(
            Op::Capture,
            "Keep 4 frames a second as samples of `ok`, at most 40",
            r#"{"action":"start","class":"ok"}"#,
            ok(json!({"class": "ok", "burst": "b-0193"})),
        ),
        example(
            Op::Capture,
            "For 5 seconds",
            r#"{"action":"start","class":"ok","seconds":5}"#,
            ok(json!({"class": "ok", "burst": "b-0193"})),
        ),
        example(
            Op::Capture,
            "With every field; the limit that is reached first ends it",
            r#"{"action":"start","class":"ok","hz":2,"seconds":60,"max":100,"burst":"tray-17"}"#,
            ok(json!({"class": "ok", "burst": "tray-17"})),
        ),
        example(
            Op::Capture,
            "End it",
            "stop",
            ok(json!({"class": "ok", "burst": "b-0193", "kept": 31, "skipped": 6})),
        ),
        example(
            Op::Capture,
            "One frame",
            r#"{"action":"snap","class":"scratched"}"#,
            ok(json!({"sample": 812, "class": "scratched", "frame": 40377, "burst": "b-0194", "rev": 1042})),
        ),
        example(
            Op::Label,
            "The newest frame is `ok`",
            "ok",
            ok(json!({"sample": 813, "class": "ok", "frame": 40391, "burst": "b-0195", "rev": 1043})),
        ),
        example(
            Op::Label,
            "The frame that a prediction named is `scratched`",
            r#"{"action":"set","class":"scratched","frame":40377,"id":"l-9"}"#,
            Reply::with(
                id("l-9"),
                json!({"sample": 814, "class": "scratched", "frame": 40377, "burst": "b-0196", "rev": 1044}),
            ),
        ),
        example(
            Op::Label,
            "A frame that is no longer kept",
            r#"{"action":"set","class":"ok","frame":3}"#,
            Reply::error(
                None,
                Error::new(Code::NotFound, "frame 3 is no longer kept; label within 30 seconds"),
            ),
        ),
        example(
            Op::Label,
            "Give a sample another class",
            r#"{"action":"relabel","sample":814,"class":"ok"}"#,
            changed(1045, 1, "sample 814: scratched -> ok"),
        ),
        example(
            Op::Label,
            "Delete a sample, if nothing changed since revision 1045",
            r#"{"action":"delete","sample":814,"if_rev":1045}"#,
            changed(1046, 1, "deleted sample 814"),
        ),
        example(
            Op::Label,
            "Take the last change back",
            "undo",
            changed(1047, 1, "undone: deleted sample 814"),
        ),
        example(Op::Dataset, "Write all samples into a folder", "export", Reply::accepted(None, "12")),
        example(
            Op::Dataset,
            "Into a folder of that name",
            r#"{"action":"export","path":"/var/lib/graft/exports/may"}"#,
            Reply::accepted(None, "13"),
        ),
        example(
            Op::Dataset,
            "Read an export or an ImageFolder",
            r#"{"action":"import","path":"/var/lib/graft/inbox"}"#,
            Reply::accepted(None, "14"),
        ),
        example(
            Op::Dataset,
            "Delete all samples (can be undone)",
            "clear",
            changed(1048, 640, "deleted 640 samples"),
        ),
        example(
            Op::Dataset,
            "Add a class",
            r#"{"action":"add_class","class":"none"}"#,
            changed(1049, 0, "added class none"),
        ),
        example(
            Op::Dataset,
            "Rename a class",
            r#"{"action":"rename_class","class":"scratched","to":"scratch"}"#,
            changed(1050, 211, "renamed class scratched to scratch"),
        ),
        example(
            Op::Dataset,
            "What would removing a class delete?",
            r#"{"action":"remove_class","class":"none"}"#,
            ok(
                json!({"rev": 1050, "affected": 40, "text": "would remove class none with 40 samples", "dry_run": true}),
            ),
        ),
        example(
            Op::Dataset,
            "Remove it",
            r#"{"action":"remove_class","class":"none","dry_run":false}"#,
            ok(
                json!({"rev": 1051, "affected": 40, "text": "removed class none with 40 samples", "dry_run": false}),
            ),
        ),
        example(Op::Dataset, "What comes next is another burst", "seal", Reply::ok(None)),
        example(
            Op::Dataset,
            "The newest samples of a class",
            r#"{"action":"list","class":"ok","limit":2}"#,
            ok(json!({"rev": 1051, "samples": [
                {"id": 814, "class": "ok", "burst": "b-0196", "frame": 40377, "taken": "2026-03-01T12:00:07.000Z", "by": "mqtt"},
                {"id": 813, "class": "ok", "burst": "b-0195", "frame": 40391, "taken": "2026-03-01T12:00:05.000Z", "by": "mqtt"}]})),
        ),
        example(
            Op::Dataset,
            "The labels that are most likely wrong",
            r#"{"action":"suspects","limit":1}"#,
            ok(json!({"rev": 1051, "suspects": [
                {"id": 731, "class": "ok", "said": "scratched", "margin": -4.5, "burst": "b-0171", "frame": 31210,
                    "taken": "2026-03-01T11:40:02.000Z", "by": "mqtt"}]})),
        ),
        example(Op::Train, "Start a round now", "start", Reply::accepted(None, "15")),
        example(
            Op::Train,
            "With one method, while a round runs",
            r#"{"action":"start","method":"ridge"}"#,
            Reply::error(None, Error::busy("15")),
        ),
        example(Op::Train, "Cancel it", "cancel", Reply::ok(None)),
        example(Op::Head, "Publish the active head again", "publish", ok(json!({"version": 8}))),
        example(
            Op::Head,
            "Make a stored head active",
            r#"{"action":"apply","version":5}"#,
            ok(json!({"version": 9})),
        ),
        example(Op::Head, "Go back to the head before", "rollback", ok(json!({"version": 10}))),
        example(
            Op::Head,
            "Go back to a certain head",
            r#"{"action":"rollback","to":3}"#,
            ok(json!({"version": 11})),
        ),
        example(Op::Head, "Keep the active head whatever rounds bring", "pin", ok(json!({"version": 11}))),
        example(Op::Head, "Let go of it", r#"{"action":"pin","on":false}"#, ok(json!({"version": 11}))),
        example(Op::Offload, "Offer the samples to a training host", "start", Reply::accepted(None, "16")),
        example(
            Op::Offload,
            "With one recipe",
            r#"{"action":"start","recipe":"partial:2"}"#,
            Reply::accepted(None, "16"),
        ),
        example(Op::Offload, "Cancel it", "cancel", Reply::ok(None)),
        example(
            Op::Offload,
            "A host claims job 16",
            Envelope::bare(Command::Offload(Offload::Claim(example_claim()))).to_value().to_string(),
            Reply::ok(None),
        ),
        example(
            Op::Offload,
            "It is at work",
            r#"{"action":"progress","job":"16","host":"gpu-1","stage":"gradual","step":120,"steps":900,"epoch":2,"loss":0.31,"val_accuracy":0.94,"eta_s":75}"#,
            Reply::ok(None),
        ),
        example(
            Op::Offload,
            "It gives the job back",
            r#"{"action":"release","job":"16","host":"gpu-1","outcome":"no_improvement","reason":"the head alone is as good"}"#,
            Reply::ok(None),
        ),
        example(
            Op::Offload,
            "It is done",
            Envelope::bare(Command::Offload(Offload::Result {
                job: "16".into(),
                host: "gpu-1".into(),
                manifest: Box::new(example_backbone("example-cam")),
            }))
            .to_value()
            .to_string(),
            Reply::accepted(None, "16"),
        ),
        example(
            Op::Backbone,
            "A host gives a backbone to each device of a group",
            Envelope::bare(Command::Backbone(Backbone::Apply {
                url: example_claim().url,
                token: example_claim().token,
                manifest: Box::new(example_backbone("")),
            }))
            .to_value()
            .to_string(),
            Reply::accepted(None, "17"),
        ),
        example(
            Op::Backbone,
            "Go back to the backbone before",
            "rollback",
            ok(json!({"backbone": {"name": "tiny", "digest": sha256(b"example backbone")}, "head": 12})),
        ),
        example(
            Op::Config,
            "Change settings, all or none",
            r#"{"action":"set","values":{"predict.max_hz":1}}"#,
            ok(json!({"values": {"predict.max_hz": 1}})),
        ),
        example(
            Op::Config,
            "What is set",
            "get",
            ok(json!({"values": {"camera.source": "v4l2", "predict.max_hz": 1}})),
        ),
        example(
            Op::Job,
            "Cancel a running job",
            r#"{"action":"cancel","job":"15"}"#,
            Reply::accepted(None, "15"),
        ),
        example(
            Op::Job,
            "Remove the message of an ended job",
            r#"{"action":"clear","job":"12"}"#,
            Reply::ok(None),
        ),
    ]
}

/// Bodies that are refused, with the reply each gets: what the documentation shows of errors.
pub fn refusals() -> [(Op, &'static str); 3] {
    [
        (Op::Capture, r#"{"action":"start","clas":"ok"}"#),
        (Op::Capture, r#"{"action":"start","class":"ok","hz":400}"#),
        (Op::Mode, "adpt"),
    ]
}
