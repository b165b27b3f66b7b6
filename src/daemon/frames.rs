//! What travels to and from the inference thread: heads and backbones in, observations out.

use super::pair::change::PairChange;
use super::picture::Picture;
use graft_backbone::Backbone;
use graft_base::frame::Rgb;
use graft_camera::FrameCheck;
use graft_control::{Origin, Version};
use graft_learn::{Head, Prediction};
use graft_store::ClassCount;
use graft_wire::messages::TopClass;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// The newest frame may be labelled only while it is this young: people label what they see now.
pub const FRESH: Duration = Duration::from_secs(2);

/// Classes named in a prediction.
const TOP: usize = 5;

/// A head in use: what the inference thread needs to turn an embedding into words.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveHead {
    /// As the store counts it.
    pub version: Version,
    /// The weights.
    pub head: Arc<Head>,
    /// The class list as it is now: classes keep their place when they are renamed. `None`: removed, never said.
    pub classes: Arc<[Option<String>]>,
    /// The store's id of each class; 0: it has none.
    pub ids: Arc<[i64]>,
}

/// The unknown score, at least, of a frame that looks most like a removed class.
const REMOVED: f32 = 2.0;

impl ActiveHead {
    /// The name of a class; `None`: it was removed.
    pub fn class(&self, at: usize) -> Option<&str> {
        self.classes.get(at)?.as_deref()
    }

    /// The likeliest classes, best first.
    pub fn likeliest(&self, prediction: &Prediction) -> Vec<TopClass> {
        let scored = self.classes.iter().zip(prediction.probabilities.iter().copied());
        let mut scored: Vec<(&String, f32)> =
            scored.filter_map(|(class, score)| Some((class.as_ref()?, score))).collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        let top = scored.into_iter().take(TOP);
        top.map(|(class, score)| TopClass { class: class.clone(), score }).collect()
    }

    /// The classes that it can say.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().flatten().cloned().collect()
    }

    /// The same head after classes were renamed or removed; `None`: it says the same as before.
    pub fn renamed(&self, live: &[ClassCount]) -> Option<Self> {
        let name = |(id, old): (&i64, &Option<String>)| match id {
            0 => old.clone(),
            id => live.iter().find(|class| class.id == *id).map(|class| class.name.clone()),
        };
        let classes: Arc<[Option<String>]> = self.ids.iter().zip(self.classes.iter()).map(name).collect();
        (classes != self.classes).then(|| Self { classes, ..self.clone() })
    }

    /// What it says of an embedding `[width]`. A removed class has probability 0; a frame that looks most like one is
    /// unknown, because no other class was taught to look like it.
    pub fn predict(&self, embedding: &[f32]) -> Prediction {
        let mut said = self.head.predict(embedding);
        if self.classes.iter().all(Option::is_some) {
            return said;
        }
        if self.class(said.class).is_none() {
            said.unknown = said.unknown.max(REMOVED);
        }
        let removed = self.classes.iter().map(Option::is_none);
        said.probabilities
            .iter_mut()
            .zip(removed)
            .filter(|(_, removed)| *removed)
            .for_each(|(p, _)| *p = 0.0);
        let rest: f32 = said.probabilities.iter().sum();
        if rest > 0.0 {
            said.probabilities.iter_mut().for_each(|p| *p /= rest);
        }
        (said.class, said.confidence) = (0, 0.0);
        for (class, probability) in said.probabilities.iter().enumerate() {
            if *probability > said.confidence {
                (said.class, said.confidence) = (class, *probability);
            }
        }
        said
    }
}

/// A loaded backbone with the name of the embeddings that it makes here.
pub struct Network {
    /// The frozen network.
    pub backbone: Backbone,
    /// Names the embeddings that belong together: same network, same cut, same preprocessing, same region.
    pub key: Arc<str>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", self.key)
    }
}

/// A network on its way to the inference thread. Clones share it; the first [`LoadedNetwork::take`] gets it.
#[derive(Clone)]
pub struct LoadedNetwork {
    key: Arc<str>,
    inside: Arc<Mutex<Option<Box<Network>>>>,
}

impl LoadedNetwork {
    /// Of a backbone whose embeddings have this name.
    pub fn new(backbone: Backbone, key: Arc<str>) -> Self {
        let network = Box::new(Network { backbone, key: Arc::clone(&key) });
        Self { key, inside: Arc::new(Mutex::new(Some(network))) }
    }

    /// The network, once.
    pub fn take(&self) -> Option<Box<Network>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for LoadedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoadedNetwork({})", self.key)
    }
}

/// What the inference thread is told.
#[derive(Debug)]
pub enum Order {
    /// Use this head from the next frame on, then say [`Installed`].
    Install {
        /// The head.
        head: ActiveHead,
        /// What is said then; `None`: nothing.
        then: Option<Installed>,
    },
    /// Use this backbone, and this head on it, from the next frame on, then say [`Installed`].
    InstallPair {
        /// The backbone.
        network: LoadedNetwork,
        /// Its head.
        head: ActiveHead,
        /// What is said then.
        then: Installed,
    },
    /// Embed a picture from outside.
    Embed {
        /// The picture.
        picture: Box<Rgb>,
        /// What it shows.
        shows: Shows,
        /// Who waits for it.
        answer: mpsc::Sender<Result<Embedded, NotEmbedded>>,
    },
    /// End the thread.
    Stop,
}

/// A stored head, and perhaps a backbone, is in use now.
#[derive(Clone, Debug)]
pub struct Installed {
    /// What it came from.
    pub origin: Origin,
    /// The head.
    pub version: Version,
    /// The backbone that changed with it.
    pub change: Option<PairChange>,
}

/// What a picture from outside shows.
#[derive(Clone, Copy, Debug)]
pub enum Shows {
    /// A frame: it is cropped like the camera's.
    Frame,
    /// This part of its frame, in fractions; `None`: all of it.
    Part(Option<[f64; 4]>),
}

/// Why a picture has no embedding.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotEmbedded {
    /// What the backbone sees of a frame is not all in it.
    #[error("it shows another part of its frame than backbone.crop and backbone.roi want now")]
    OtherPart,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A picture from outside, embedded: its crop as JPEG and the embedding.
#[derive(Debug)]
pub struct Embedded {
    /// The crop as it is stored; empty for one that is stored already.
    pub jpeg: Vec<u8>,
    /// The part of its frame that the stored picture shows, in fractions; `None`: all of it.
    pub shown: Option<[f64; 4]>,
    /// `[width]`.
    pub embedding: Vec<f32>,
    /// [`Network::key`] of what made it.
    pub key: Arc<str>,
    /// What the head in use says; `None`: there is none.
    pub said: Option<(ActiveHead, Prediction)>,
}

/// What is kept of a frame that the backbone saw.
#[derive(Clone, Debug)]
pub struct SeenFrame {
    /// [`graft_base::frame::Frame::id`].
    pub frame: u64,
    /// When it was taken.
    pub taken: Instant,
    /// When it was taken, in milliseconds since 1970.
    pub wall_ms: i64,
    /// Its file, where it had one.
    pub name: Option<Arc<str>>,
    /// The crop.
    pub picture: Picture,
    /// `[width]`.
    pub embedding: Arc<[f32]>,
    /// [`Network::key`] of what made the embedding.
    pub key: Arc<str>,
    /// The sample that a label made of it.
    pub sample: Option<i64>,
    /// The part of the frame that the crop shows, in fractions; `None`: all of it.
    pub shown: Option<[f64; 4]>,
}

/// What came of one frame.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The frame as the ring keeps it.
    pub seen: SeenFrame,
    /// Width and height of the whole picture.
    pub size: [u32; 2],
    /// What the whole picture looks like.
    pub glance: FrameCheck,
    /// The crop's picture is encoded for the ring: false means that this frame cannot be labelled.
    pub kept: bool,
    /// The head's prediction; `None` without a head.
    pub prediction: Option<(ActiveHead, Prediction)>,
    /// The embedding is that of an earlier frame, because the crop had not changed.
    pub reused: bool,
    /// From the slot to the prediction, in milliseconds.
    pub infer_ms: f32,
    /// From the moment that the frame was taken to the slot, in milliseconds.
    pub age_ms: f32,
}

impl Observation {
    /// The predicted class; `None` without a head, and where the frame is unlike every class.
    pub fn class(&self) -> Option<&str> {
        let (active, prediction) = self.prediction.as_ref()?;
        if prediction.is_unknown() {
            return None;
        }
        active.class(prediction.class)
    }
}
