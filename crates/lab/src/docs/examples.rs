//! One example a command: the page shows it, and a test sends it to a real daemon, whose reply the page shows too.

use super::example::{example_backbone, example_claim};
use graft_wire::command::{Backbone, Command, Offload, Op};
use graft_wire::offload::Claim;
use graft_wire::{BackboneManifest, Envelope};

/// What an example names that differs from board to board.
pub struct Facts {
    /// A stored sample.
    pub sample: i64,
    /// A frame that is kept.
    pub frame: u64,
    /// Revision of the data set.
    pub rev: i64,
    /// A job that runs.
    pub job: String,
    /// A host's claim of that job.
    pub claim: Claim,
    /// What that host made of it.
    pub result: BackboneManifest,
    /// A backbone for the board's group.
    pub fleet: BackboneManifest,
}

impl Facts {
    /// What the page shows.
    pub fn shown() -> Self {
        Self {
            sample: 814,
            frame: 40_377,
            rev: 1045,
            job: "16".into(),
            claim: example_claim(),
            result: example_backbone("example-cam"),
            fleet: example_backbone(""),
        }
    }
}

/// What has to be so before an example is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing beyond what the examples before it have left.
    Nothing,
    /// The camera gives frames, and no capture runs.
    Frames,
    /// A capture runs.
    Capture,
    /// Frame 3 is not kept any more.
    Late,
    /// There are samples that a round can be made of, and no job runs.
    Samples,
    /// A round runs.
    Round,
    /// A head is active, and no job runs.
    Head,
    /// A job is offered to hosts; `Facts::job` is that job.
    Offer,
    /// A job was claimed by the host of [`Facts::claim`].
    Claim,
    /// No job runs; [`Facts::job`] is one that has ended.
    Ended,
}

/// A command as it may be sent.
pub struct Example {
    /// Its op.
    pub op: Op,
    /// What it does.
    pub about: &'static str,
    /// What has to be so.
    pub before: Before,
    body: Body,
}

enum Body {
    Text(&'static str),
    Of(fn(&Facts) -> String),
}

impl Example {
    /// The payload.
    pub fn body(&self, facts: &Facts) -> String {
        match self.body {
            Body::Text(text) => text.to_owned(),
            Body::Of(make) => make(facts),
        }
    }
}

fn text(op: Op, about: &'static str, before: Before, body: &'static str) -> Example {
    Example { op, about, before, body: Body::Text(body) }
}

fn of(op: Op, about: &'static str, before: Before, body: fn(&Facts) -> String) -> Example {
    Example { op, about, before, body: Body::Of(body) }
}

fn command(command: Command) -> String {
    Envelope::bare(command).to_value().to_string()
}

/// Every example, in the order in which they can be sent to one board.
pub fn examples() -> Vec<Example> {
    use Before::{Capture, Claim, Ended, Frames, Head, Late, Nothing, Offer, Round, Samples};
    vec![
        text(Op::Mode, "Learn from new samples", Nothing, "adapt"),
        text(Op::Mode, "The same, as a home automation switch says it", Nothing, "ON"),
        text(Op::Mode, "Predict, and hold adaptation for now", Nothing, "pause"),
        text(
            Op::Mode,
            "Only predict, with an id for the reply",
            Nothing,
            r#"{"action":"infer","id":"shift-7"}"#,
        ),
        text(
            Op::Capture,
            "Keep 4 frames a second as samples of `ok`, at most 40",
            Frames,
            r#"{"action":"start","class":"ok"}"#,
        ),
        text(Op::Capture, "End it", Capture, "stop"),
        text(Op::Capture, "For 5 seconds", Frames, r#"{"action":"start","class":"ok","seconds":5}"#),
        text(
            Op::Capture,
            "With every field; the limit that is reached first ends it",
            Frames,
            r#"{"action":"start","class":"ok","hz":2,"seconds":60,"max":100,"burst":"tray-17"}"#,
        ),
        text(Op::Capture, "One frame", Frames, r#"{"action":"snap","class":"scratched"}"#),
        text(Op::Label, "The newest frame is `ok`", Frames, "ok"),
        of(Op::Label, "The frame that a prediction named is `scratched`", Frames, |facts| {
            format!(r#"{{"action":"set","class":"scratched","frame":{},"id":"l-9"}}"#, facts.frame)
        }),
        text(Op::Label, "A frame that is no longer kept", Late, r#"{"action":"set","class":"ok","frame":3}"#),
        of(Op::Label, "Give a sample another class", Nothing, |facts| {
            format!(r#"{{"action":"relabel","sample":{},"class":"ok"}}"#, facts.sample)
        }),
        text(
            Op::Label,
            "The newest frame is `ok`, in a burst of this name",
            Frames,
            r#"{"action":"set","class":"ok","burst":"tray-18"}"#,
        ),
        text(
            Op::Label,
            "Give all samples of a burst another class, as one change",
            Nothing,
            r#"{"action":"relabel","burst":"tray-18","class":"scratched"}"#,
        ),
        of(Op::Label, "The same for some samples, at most 1000", Nothing, |facts| {
            format!(r#"{{"action":"relabel","samples":[{}],"class":"ok"}}"#, facts.sample)
        }),
        of(Op::Label, "Delete a sample, if nothing changed since that revision", Nothing, |facts| {
            format!(r#"{{"action":"delete","sample":{},"if_rev":{}}}"#, facts.sample, facts.rev)
        }),
        text(Op::Label, "Take the last change back", Nothing, "undo"),
        text(Op::Dataset, "Write all samples into a new folder", Ended, "export"),
        text(
            Op::Dataset,
            "Into the folder of that name below `exports` of the state folder",
            Ended,
            r#"{"action":"export","path":"may"}"#,
        ),
        text(
            Op::Dataset,
            "Read an export or an ImageFolder, below `imports` of the state folder",
            Ended,
            r#"{"action":"import","path":"inbox"}"#,
        ),
        text(
            Op::Dataset,
            "Over MQTT no other place of the device is reached",
            Ended,
            r#"{"action":"import","path":"/etc"}"#,
        ),
        text(Op::Dataset, "Add a class", Ended, r#"{"action":"add_class","class":"none"}"#),
        text(
            Op::Dataset,
            "Rename a class",
            Nothing,
            r#"{"action":"rename_class","class":"scratched","to":"scratch"}"#,
        ),
        text(
            Op::Dataset,
            "What would removing a class delete?",
            Nothing,
            r#"{"action":"remove_class","class":"scratch"}"#,
        ),
        text(
            Op::Dataset,
            "Remove it",
            Nothing,
            r#"{"action":"remove_class","class":"none","dry_run":false}"#,
        ),
        text(Op::Dataset, "What comes next is another burst", Nothing, "seal"),
        text(
            Op::Dataset,
            "The newest samples of a class",
            Nothing,
            r#"{"action":"list","class":"ok","limit":1}"#,
        ),
        text(Op::Dataset, "Delete all samples (can be undone)", Nothing, "clear"),
        text(Op::Train, "Start a round now", Samples, "start"),
        text(Op::Train, "With one method", Ended, r#"{"action":"start","method":"ridge"}"#),
        text(Op::Train, "Cancel it", Round, "cancel"),
        text(
            Op::Dataset,
            "The labels that are most likely wrong, as the latest round found them",
            Ended,
            r#"{"action":"suspects","limit":1}"#,
        ),
        text(Op::Head, "Publish the active head again", Head, "publish"),
        text(Op::Head, "Make a stored head active", Head, r#"{"action":"apply","version":1}"#),
        text(Op::Head, "Go back to the head before", Head, "rollback"),
        text(Op::Head, "Go back to a certain head", Head, r#"{"action":"rollback","to":1}"#),
        text(Op::Head, "Keep the active head whatever rounds bring", Head, "pin"),
        text(Op::Head, "Let go of it", Head, r#"{"action":"pin","on":false}"#),
        // Before any host gives one.
        text(
            Op::Backbone,
            "Go back to the backbone before; this board has had no other",
            Nothing,
            "rollback",
        ),
        text(Op::Offload, "Offer the samples to a training host", Head, "start"),
        text(
            Op::Offload,
            "With one recipe, while another job is offered",
            Offer,
            r#"{"action":"start","recipe":"partial:2"}"#,
        ),
        of(Op::Offload, "A host claims job 16", Offer, |facts| {
            command(Command::Offload(Offload::Claim(facts.claim.clone())))
        }),
        of(Op::Offload, "It is at work", Claim, |facts| {
            format!(
                r#"{{"action":"progress","job":"{}","host":"gpu-1","stage":"gradual","step":120,"steps":900,"epoch":2,"loss":0.31,"val_accuracy":0.94,"eta_s":75}}"#,
                facts.job
            )
        }),
        of(Op::Job, "The message of a job that runs stays", Claim, |facts| {
            format!(r#"{{"action":"clear","job":"{}"}}"#, facts.job)
        }),
        of(Op::Offload, "It gives the job back", Claim, |facts| {
            format!(
                r#"{{"action":"release","job":"{}","host":"gpu-1","outcome":"no_improvement","reason":"the head alone is as good"}}"#,
                facts.job
            )
        }),
        of(Op::Offload, "It is done", Claim, |facts| {
            command(Command::Offload(Offload::Result {
                job: facts.job.clone(),
                host: "gpu-1".into(),
                manifest: Box::new(facts.result.clone()),
            }))
        }),
        text(Op::Offload, "Cancel it", Offer, "cancel"),
        of(Op::Job, "Cancel a running job", Offer, |facts| {
            format!(r#"{{"action":"cancel","job":"{}"}}"#, facts.job)
        }),
        of(Op::Job, "Remove the message of an ended job", Ended, |facts| {
            format!(r#"{{"action":"clear","job":"{}"}}"#, facts.job)
        }),
        of(Op::Backbone, "A host gives a backbone to each device of a group", Ended, |facts| {
            command(Command::Backbone(Backbone::Apply {
                url: facts.claim.url.clone(),
                token: facts.claim.token.clone(),
                manifest: Box::new(facts.fleet.clone()),
            }))
        }),
        text(
            Op::Config,
            "Change settings, all or none",
            Nothing,
            r#"{"action":"set","values":{"predict.max_hz":1}}"#,
        ),
        text(Op::Config, "What is set", Nothing, "get"),
    ]
}

/// Bodies that are refused: what the page shows of errors.
pub fn refusals() -> [(Op, &'static str); 3] {
    [
        (Op::Capture, r#"{"action":"start","clas":"ok"}"#),
        (Op::Capture, r#"{"action":"start","class":"ok","hz":400}"#),
        (Op::Mode, "adpt"),
    ]
}
