//! Sending to the host that has the job: a niced thread that can be ended between two pieces.

use super::source::Source;
use super::tasks::Done;
use crate::config::Settings;
use crate::daemon::access::Access;
use crate::daemon::adapt::trainer::nice;
use crate::daemon::cancel::Cancel;
use crate::daemon::event;
use crate::daemon::kept::ClaimRecord;
use crate::daemon::provenance::Provenance;
use crate::offload::{Peer, PushError, push};
use graft_control::JobId;
use std::ops::ControlFlow;
use std::sync::Arc;

/// One transfer to a host.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its number: an older transfer's end is of no interest.
    pub number: u64,
    /// The job.
    pub job: JobId,
    /// The host.
    pub claim: ClaimRecord,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The backbone in use.
    pub from: Arc<Provenance>,
    /// Ends it.
    pub cancel: Cancel,
}

impl Feed {
    /// Sends what the host lacks, and tells the loop how it ended.
    pub fn run(self, access: &Access) {
        nice(self.settings.learn.nice);
        let done = self.send(access);
        access.inbox.done(event::Done::Offload(Done::Fed(self.number, done)));
    }

    fn send(&self, access: &Access) -> Result<(), PushError> {
        let offload = &self.settings.offload;
        let peer = Peer {
            url: &self.claim.url,
            token: &self.claim.token,
            ca_file: offload.ca_file.as_deref(),
            rate: offload.upload_rate,
        };
        let mut progress = |done: u64, total: u64| {
            access.inbox.progress(self.job, "send", done as usize, total as usize);
            if self.cancel.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut source = Source::open(&self.settings, self.job, access.store.clone(), &self.from)
            .map_err(PushError::Gone)?;
        let (list, blobs) = source.list();
        let job = self.job.to_string();
        push(&peer, &job, &list, &blobs, &mut |blob| source.read(blob), &mut progress)
    }
}
