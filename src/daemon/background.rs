//! Work that has a thread of its own while there is something to do.

use super::access::Access;
use super::event::Done;
use super::labels::import::Import;
use super::labels::tasks as labels;
use super::offload::feed::Feed;
use super::offload::tasks as offload;
use super::pair::arriving::Arriving;
use super::pair::reembed::Reembedding;
use super::pair::tasks as pair;
use super::views::export::FileExport;
use super::views::looks::Look;
use super::views::tasks::refusal;
use crate::offload::PushError;
use graft_store::StoreError;
use graft_wire::Error;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Background {
    /// Import a folder of pictures.
    Import(Import),
    /// Fetch, admit and embed with a backbone that a host sent.
    Arriving(Box<Arriving>),
    /// Embed stored crops anew.
    Reembedding(Reembedding),
    /// Send a host what it lacks.
    Feed(Box<Feed>),
    /// Make a file for somebody who waits.
    Export(FileExport),
    /// Look at a picture or for samples, for somebody who waits.
    Look(Look),
}

impl Background {
    /// The name of the thread.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Arriving(_) => "arrival",
            Self::Reembedding(_) => "reembed",
            Self::Feed(_) => "feed",
            Self::Export(_) => "export",
            Self::Look(_) => "look",
        }
    }

    /// Does it.
    pub fn run(self, access: &Access) {
        match self {
            Self::Import(work) => work.run(access),
            Self::Arriving(work) => work.run(access),
            Self::Reembedding(work) => work.run(access),
            Self::Feed(work) => work.run(access),
            Self::Export(work) => work.run(access),
            Self::Look(work) => work.run(access),
        }
    }

    /// What the loop is told when there is no thread for it.
    pub fn failed(self, error: &std::io::Error) -> Option<Done> {
        let what = format!("there is no thread for the {}: {error}", self.name());
        tracing::error!("{what}");
        match self {
            Self::Import(work) => {
                let result = Box::new(Err(StoreError::Corrupt(what)));
                Some(Done::Labels(labels::Done::Imported { job: work.job, result, view: None }))
            }
            Self::Arriving(work) => {
                let stop = pair::Stop::Broke(Error::internal(what));
                Some(Done::Pair(pair::Done::Stopped(work.row, stop)))
            }
            Self::Reembedding(_) => None,
            Self::Feed(work) => {
                Some(Done::Offload(offload::Done::Fed(work.number, Err(PushError::Broke(what)))))
            }
            Self::Export(FileExport { ticket, .. }) | Self::Look(Look { ticket, .. }) => {
                Some(Done::Answer(ticket, refusal(&Error::internal(what))))
            }
        }
    }
}
