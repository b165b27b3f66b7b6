//! Sending to the host that has the job: a niced thread that can be ended between two pieces.

use super::{Offered, dataset};
use crate::daemon::trainer::{Cancel, nice};
use crate::daemon::{Daemon, Input};
use crate::offload::{Peer, PushError, push};
use graft_control::offload::Event;
use graft_wire::{Code, Error};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

impl Daemon {
    /// Sends the host what it lacks, on a thread of its own.
    pub(super) fn feed(&mut self) {
        self.feeds += 1;
        let (number, cancel) = (self.feeds, Cancel::default());
        let Some(Offered { record, feed, .. }) = &mut self.offload else { return };
        let Some(claim) = record.claim.clone() else { return };
        *feed = Some((number, cancel.clone()));
        let (job, inbox, store) = (record.job, self.inbox.clone(), self.store.asker());
        let (settings, from) = (self.settings.clone(), self.provenance.clone());
        let spawned = std::thread::Builder::new().name("feed".into()).spawn(move || {
            nice(settings.learn.nice);
            let then = |then: Box<dyn FnOnce(&mut Daemon) + Send>| {
                // The loop is gone only when the daemon ends.
                let _ = inbox.send(Input::Continue(then));
            };
            let offload = &settings.offload;
            let (ca_file, rate) = (offload.ca_file.as_deref(), offload.upload_rate);
            let peer = Peer { url: &claim.url, token: &claim.token, ca_file, rate };
            let mut progress = |done: u64, total: u64| {
                then(Box::new(move |d| d.job_progress(job, "send", done as usize, total as usize)));
                if cancel.0.load(Ordering::Relaxed) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let done = dataset::Source::open(&settings, job, store, &from).map_err(PushError::Gone).and_then(
                |mut source| {
                    let (list, blobs) = source.list();
                    push(&peer, &job.to_string(), &list, &blobs, &mut |blob| source.read(blob), &mut progress)
                },
            );
            then(Box::new(move |daemon| daemon.feed_ended(number, done)));
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "nothing can be sent to the host: no thread");
        }
    }

    fn feed_ended(&mut self, number: u64, done: Result<(), PushError>) {
        let Some(offered) = &mut self.offload else { return };
        // Of a claim that is over.
        if offered.feed.take_if(|(running, _)| *running == number).is_none() {
            return;
        }
        let host = offered.machine.host().unwrap_or_default().to_owned();
        let event = match done {
            Ok(()) => Event::Fed,
            Err(PushError::Gone(why)) => return self.end_offload(Error::new(Code::NotFound, why)),
            Err(PushError::Refused(why)) => {
                tracing::warn!(host, why, "the host refuses what it was sent: the job is offered again");
                Event::Release(host)
            }
            Err(error) => {
                tracing::warn!(host, %error, "sending to the host broke off; it is tried again");
                Event::Broke
            }
        };
        let _ = self.offload_event(event);
    }

    /// Ends the transfer that runs.
    pub(in crate::daemon) fn stop_feed(&self) {
        if let Some((_, cancel)) = self.offload.as_ref().and_then(|offered| offered.feed.as_ref()) {
            cancel.now();
        }
    }
}
