//! All that the loop is told, and all that its components tell each other: closed enums that can be printed, kept and
//! replayed.

use super::adapt::tasks as adapt;
use super::commands::tasks as commands;
use super::configuration::tasks as configuration;
use super::context::{Asked, By};
use super::frames::{ActiveHead, Installed, Observation};
use super::labels::tasks as labels;
use super::offload::tasks as offload;
use super::outbox::tasks as outbox;
use super::pair::tasks as pair;
use crate::web::{Answer, View};
use bytes::Bytes;
use graft_camera as camera;
use graft_control::{self as control, Asker, Hold, JobId, JobStep, Origin, Token, Version};
use graft_store::{BackboneRow, ClassCount};
use graft_wire::command::{Command, Progress};
use graft_wire::{Error, Reply};
use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

/// Names an answer that somebody outside waits for: an HTTP request, or the acknowledgement of an MQTT message.
/// [`super::effects`] keeps the way there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What the loop is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The camera opened, was lost, or ended.
    Camera(camera::Status),
    /// A frame came out of the inference thread.
    Observed(Box<Observation>),
    /// The broker accepted us.
    Connected {
        /// Largest packet in bytes that may be sent.
        max_packet_out: usize,
    },
    /// The connection to the broker ended, and why.
    Disconnected(String),
    /// A publication is at the broker, or never will be.
    Delivered {
        /// The token of the publication.
        token: u64,
        /// Why it was refused.
        refused: Option<String>,
    },
    /// A message on `cmd/#`.
    Message(Message),
    /// A command on the HTTP socket.
    Request {
        /// The word of the command.
        op: String,
        /// Its body.
        body: Bytes,
        /// Who asks.
        by: By,
        /// Where the answer goes.
        ticket: Ticket,
    },
    /// A look at something over HTTP.
    View(View, Ticket),
    /// The button on the board went down (true) or up.
    #[cfg_attr(not(feature = "gpio"), expect(dead_code, reason = "only GPIO has a button"))]
    Button(bool),
    /// SIGHUP.
    Reload,
    /// Time passed.
    Tick,
    /// The loop turns for the first time.
    Begin(Beginning),
    /// The daemon stops in order.
    Stop,
    /// Work of another thread is done.
    Done(Done),
}

/// An MQTT message that may be a command.
#[derive(Clone, Debug)]
pub struct Message {
    /// Topic it was published on.
    pub topic: String,
    /// The message.
    pub payload: Bytes,
    /// It was kept by the broker, or is to be.
    pub retain: bool,
    /// Where the sender wants the answer.
    pub response_topic: Option<String>,
    /// What the sender wants echoed with the answer.
    pub correlation: Option<Bytes>,
    /// What is left of the message's life, in seconds.
    pub expiry_s: Option<u32>,
    /// Its acknowledgement.
    pub ticket: Ticket,
}

/// What the start found that has to be told once the loop turns.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// The head on probation was taken back, and why.
    pub head_taken_back: Option<String>,
    /// The pair before came back, and why.
    pub pair_rolled_back: Option<String>,
}

/// What work on other threads answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// How far a job is.
    Progress {
        /// The job.
        job: JobId,
        /// What it is doing.
        step: &'static str,
        /// Steps done.
        done: usize,
        /// Of so many; 0: not known.
        total: usize,
    },
    /// A head, and perhaps a backbone, is in use.
    Installed(Installed),
    /// A view is ready.
    Answer(Ticket, Answer),
    /// Of the outbox.
    Outbox(outbox::Done),
    /// Of commands.
    Commands(commands::Done),
    /// Of labels.
    Labels(labels::Done),
    /// Of rounds and heads.
    Adapt(adapt::Done),
    /// Of backbones.
    Pair(pair::Done),
    /// Of the job that is offered.
    Offload(offload::Done),
    /// Of the configuration.
    Configuration(configuration::Done),
}

/// What one component tells the others; the dispatcher in [`super::Daemon`] knows who has to hear it.
#[derive(Clone, Debug)]
pub enum Note {
    /// A command is to be carried out.
    Command(Asked, Box<Command>),
    /// A command is done: its reply is to be remembered, then sent.
    Finish(Token, Box<Result<Reply, Error>>),
    /// A command is done and its reply is on disk.
    Answered(Token, String),
    /// A job came, changed or ended.
    Job(JobId, JobChange),
    /// The export or import of this job is to end.
    CancelTransfer(Token, JobId),
    /// The samples are others now.
    Samples {
        /// How many were touched.
        touched: usize,
        /// The classes.
        classes: Vec<ClassCount>,
    },
    /// A capture runs (true), or has ended.
    Labelling(bool),
    /// Something holds adaptation back (true), or no longer does.
    Hold(Hold, bool),
    /// What the device is has changed.
    Info,
    /// A round has come so far; whether it judged a backbone is still to be looked at.
    RoundStep(JobId, JobStep),
    /// A round has come so far, for its job.
    RoundTold(JobId, JobStep),
    /// A whole round took so many seconds.
    RoundTook(f64),
    /// A round's word on its head is out: a job may be offered if it advises so.
    RoundJudged,
    /// A stored head is to be used, with the backbone that comes with it.
    Use {
        /// What it came from.
        origin: Origin,
        /// Its version.
        version: Version,
        /// The head.
        head: ActiveHead,
    },
    /// A stored head cannot be used: a backbone that came with it is not used either.
    UseFailed(Origin),
    /// A restoring was answered.
    RestoreAnswered(Asker, control::Answer),
    /// A backbone is ready to be judged under this job.
    Judge(JobId),
    /// A head is to be made active again.
    Restore(Asker, Version),
    /// The judging of a backbone is to end.
    CancelJudging(JobId),
    /// The result of an offloaded job is here or of no use (true), or could not be fetched.
    Result(bool),
    /// A backbone of an earlier start goes on arriving.
    Arrive(Box<BackboneRow>),
    /// A backbone is to be fetched and judged.
    Receive(Box<pair::Received>),
    /// Whether a backbone was taken on for the host that has the job.
    Received {
        /// The command of the host.
        token: Token,
        /// The job.
        job: JobId,
        /// Why not.
        result: Result<(), Error>,
    },
    /// The backbone of this job is no longer wanted.
    CancelArrival(JobId),
    /// A job of a backbone is over: files that nothing needs may go.
    Tidy,
}

/// How a job changes.
#[derive(Clone, Debug)]
pub enum JobChange {
    /// It begins.
    Begins {
        /// `train`, `dataset`, `offload` or `backbone`.
        op: &'static str,
        /// Its first step.
        step: &'static str,
        /// Who asked for it.
        by: By,
    },
    /// It goes on after a restart, if it is not known yet.
    Resumes {
        /// See [`JobChange::Begins`].
        op: &'static str,
        /// Its first step.
        step: &'static str,
    },
    /// Its step.
    Step(&'static str),
    /// Its figures.
    Metrics(&'static str, Map<String, Value>),
    /// How far it is.
    Progress {
        /// What it is doing.
        step: &'static str,
        /// Steps done.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// How far a host is with it.
    Host(Box<Progress>),
    /// It ended well.
    Succeeds(Map<String, Value>),
    /// It ended badly.
    Fails(Error),
}

/// Tells the loop, from any thread.
#[derive(Clone, Debug)]
pub struct Inbox(UnboundedSender<Event>);

impl Inbox {
    /// Into this queue.
    pub fn new(queue: UnboundedSender<Event>) -> Self {
        Self(queue)
    }

    /// Tells it.
    pub fn send(&self, event: Event) {
        // The loop is gone only when the daemon ends.
        let _ = self.0.send(event);
    }

    /// Tells that work is done.
    pub fn done(&self, done: Done) {
        self.send(Event::Done(done));
    }

    /// Tells how far a job is.
    pub fn progress(&self, job: JobId, step: &'static str, done: usize, total: usize) {
        self.done(Done::Progress { job, step, done, total });
    }
}
