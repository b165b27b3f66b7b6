//! Everything that the daemon does to the world.

use crate::daemon::adapt::trainer::RoundOrder;
use crate::daemon::background::Background;
use crate::daemon::event::Ticket;
use crate::daemon::frames::Order;
use crate::daemon::picture::Picture;
use crate::daemon::store_thread::StoreTask;
use crate::web::Answer;
use graft_mqtt as mqtt;
use graft_mqtt::Publication;

/// One effect.
#[derive(Debug)]
pub enum Effect {
    /// A message to the broker.
    Publish(Publication),
    /// A topic that the broker keeps.
    Retain {
        /// The topic.
        topic: String,
        /// What it holds from now on.
        payload: String,
    },
    /// A topic that the broker keeps no longer.
    Clear(String),
    /// Messages to the broker in stages.
    Sequence {
        /// One after the other.
        stages: Vec<Vec<Publication>>,
        /// Named when all are there.
        token: u64,
    },
    /// A message of the broker is taken care of.
    Acknowledge(Ticket),
    /// A line for everyone who watches over HTTP.
    Watch(String),
    /// An answer over HTTP.
    Answer(Ticket, Answer),
    /// A crop as the answer over HTTP, once it is encoded.
    AnswerCrop(Ticket, Picture),
    /// Work for the store's thread.
    Store(StoreTask),
    /// A round for the trainer's thread.
    Train(Box<RoundOrder>),
    /// The share of its time that a round may work, in percent.
    RoundShare(u32),
    /// For the inference thread.
    Order(Order),
    /// Work for a thread of its own.
    Start(Background),
    /// The lamp on the board.
    Lamp(bool),
    /// For systemd.
    Service(Service),
    /// Every loop gets something to do, so that standing still means being stuck.
    Nudge,
    /// The log tells what was repeated.
    TellRepeats,
}

/// What systemd is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// The daemon serves; one line for people.
    Ready(String),
    /// One line for people.
    Status(String),
    /// All loops move.
    Alive,
    /// The configuration is being read again.
    Reloading,
}

/// Figures of the daemon's threads and connections, read when somebody needs them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Frames that the camera gave.
    pub received: u64,
    /// Frames that were overwritten before they were looked at.
    pub dropped: u64,
    /// Frames that could not be decoded or embedded.
    pub failed: u64,
    /// Of the broker's session; `None`: MQTT is off.
    pub mqtt: Option<mqtt::Stats>,
    /// Turns of the loops: camera, inference, store, trainer, MQTT. `None`: there is no such loop.
    pub turns: [Option<u64>; 5],
}

/// What the sensors of the board say, read when somebody needs it.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Hottest sensor, in degrees Celsius.
    pub temperature_c: Option<f64>,
    /// Whether the board slows itself down.
    pub throttle: Option<crate::board::Throttle>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Bytes that the program has had written to storage.
    pub written_bytes: Option<u64>,
    /// Free space where the samples are.
    pub disk_free_bytes: Option<u64>,
}

/// Room for the files of backbones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Free space in the state folder; `None`: not known.
    pub free: Option<u64>,
    /// Bytes that the backbones take.
    pub used: u64,
}
