//! An offloaded job as the board sees it: offered, claimed under a lease, fed, and at last a result, or offered again.
//! PURE, like its parent. What a claim or a result is worth (signatures, digests) is checked before it comes here.

use crate::backoff::Backoff;
use std::time::Duration;

/// A claim expires after so long without a message from its host.
pub const LEASE: Duration = Duration::from_secs(60);
/// First wait after a failed transfer; they double up to [`LEASE`].
const RETRY: Duration = Duration::from_secs(2);

/// Where the job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a host.
    Offered,
    /// A host has it.
    Claimed {
        /// Its name.
        host: String,
        /// All files it asked for are there.
        fed: bool,
    },
    /// Its result is being fetched.
    Taking {
        /// Its name.
        host: String,
    },
}

/// What can happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A host's claim, checked.
    Claim(String),
    /// The host reports its progress.
    Progress(String),
    /// The host releases it: another host may take it.
    Release(String),
    /// The job failed on the host.
    Fail(String),
    /// The host has a result, checked.
    Result(String),
    /// The result was fetched.
    Taken,
    /// The result could not be fetched.
    NotTaken,
    /// The transfer to the host is done.
    Fed,
    /// The transfer broke off.
    Broke,
    /// The broker is connected again: messages in the meantime were missed.
    Connected,
    /// Time passed.
    Tick,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the stage on disk and publish the offer as it stands now.
    Publish,
    /// Send what the host lacks.
    Feed,
    /// Stop sending.
    Stop,
    /// The result is to be fetched.
    Take,
    /// The offer is over.
    End,
}

/// Why a host is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another host has the job.
    Taken(String),
    /// This host does not have the job.
    NotYours,
}

/// The job. Time is a [`Duration`] since the daemon's start and never goes back.
#[derive(Clone, Debug)]
pub struct Offload {
    stage: Stage,
    /// When the claim's host sent its last message.
    heard: Duration,
    /// When the transfer that broke off is tried again.
    retry: Option<Duration>,
    backoff: Backoff,
}

impl Offload {
    /// A job as the store remembers it. One that was claimed is fed again, as a new start forgets how far that was.
    pub fn new(stage: Stage, now: Duration) -> (Self, Vec<Action>) {
        let offload = Self { stage, heard: now, retry: None, backoff: Backoff::new(RETRY, LEASE) };
        let mut actions = vec![Action::Publish];
        if matches!(offload.stage, Stage::Claimed { fed: false, .. }) {
            actions.push(Action::Feed);
        }
        (offload, actions)
    }

    /// Where it stands.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The host that has it.
    pub fn host(&self) -> Option<&str> {
        match &self.stage {
            Stage::Offered => None,
            Stage::Claimed { host, .. } | Stage::Taking { host } => Some(host),
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`Refusal`] when a host may not do that; nothing has changed then.
    pub fn handle(&mut self, now: Duration, event: Event) -> Result<Vec<Action>, Refusal> {
        match event {
            Event::Claim(host) => self.claim(now, host),
            Event::Progress(host) => self.of(&host).map(|()| {
                self.heard = now;
                Vec::new()
            }),
            Event::Release(host) => self.of(&host).map(|()| self.offer_again()),
            Event::Fail(host) => self.of(&host).map(|()| vec![Action::Stop, Action::End]),
            Event::Result(host) => self.of(&host).map(|()| match self.stage {
                // Said again, as its answer was lost.
                Stage::Taking { .. } => Vec::new(),
                _ => {
                    self.stage = Stage::Taking { host };
                    vec![Action::Stop, Action::Publish, Action::Take]
                }
            }),
            Event::Taken => Ok(match self.stage {
                Stage::Taking { .. } => vec![Action::End],
                _ => Vec::new(),
            }),
            Event::NotTaken => {
                if let Stage::Taking { host } = &self.stage {
                    self.stage = Stage::Claimed { host: host.clone(), fed: true };
                    self.heard = now;
                    return Ok(vec![Action::Publish]);
                }
                Ok(Vec::new())
            }
            Event::Fed => Ok(self.fed()),
            Event::Broke => {
                if matches!(self.stage, Stage::Claimed { fed: false, .. }) {
                    // One board waits for its own host: no jitter is needed.
                    self.retry = Some(now + self.backoff.wait(1.0));
                }
                Ok(Vec::new())
            }
            Event::Connected => {
                self.heard = now;
                Ok(Vec::new())
            }
            Event::Tick => Ok(self.tick(now)),
        }
    }

    fn claim(&mut self, now: Duration, claimer: String) -> Result<Vec<Action>, Refusal> {
        match &self.stage {
            Stage::Claimed { host, .. } | Stage::Taking { host } if *host != claimer => {
                Err(Refusal::Taken(host.clone()))
            }
            Stage::Taking { .. } => Ok(vec![Action::Publish]),
            // The same host again, with a new address or token: as after its restart.
            _ => {
                let mut actions = Vec::new();
                if self.host().is_some() {
                    actions.push(Action::Stop);
                }
                self.stage = Stage::Claimed { host: claimer, fed: false };
                (self.heard, self.retry) = (now, None);
                self.backoff.reset();
                actions.extend([Action::Publish, Action::Feed]);
                Ok(actions)
            }
        }
    }

    fn of(&self, claimer: &str) -> Result<(), Refusal> {
        if self.host() == Some(claimer) { Ok(()) } else { Err(Refusal::NotYours) }
    }

    fn fed(&mut self) -> Vec<Action> {
        match &mut self.stage {
            Stage::Claimed { fed, .. } if !*fed => {
                *fed = true;
                self.retry = None;
                vec![Action::Publish]
            }
            _ => Vec::new(),
        }
    }

    fn offer_again(&mut self) -> Vec<Action> {
        self.stage = Stage::Offered;
        self.retry = None;
        vec![Action::Stop, Action::Publish]
    }

    fn tick(&mut self, now: Duration) -> Vec<Action> {
        if !matches!(self.stage, Stage::Claimed { .. }) {
            return Vec::new();
        }
        if now.saturating_sub(self.heard) > LEASE {
            return self.offer_again();
        }
        match self.retry {
            Some(due) if now >= due => {
                self.retry = None;
                vec![Action::Feed]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn host(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn the_straight_way() {
        let (mut job, begin) = Offload::new(Stage::Offered, at(0));
        assert_eq!(begin, [Action::Publish]);
        assert_eq!(job.handle(at(1), Event::Claim(host("a"))), Ok(vec![Action::Publish, Action::Feed]));
        assert_eq!(job.handle(at(2), Event::Claim(host("b"))), Err(Refusal::Taken(host("a"))));
        assert_eq!(job.handle(at(3), Event::Fed), Ok(vec![Action::Publish]));
        for s in 4..300 {
            assert_eq!(job.handle(at(s), Event::Tick), Ok(vec![]));
            if s % 20 == 0 {
                assert_eq!(job.handle(at(s), Event::Progress(host("a"))), Ok(vec![]));
            }
        }
        assert_eq!(job.handle(at(300), Event::Result(host("b"))), Err(Refusal::NotYours));
        let take = vec![Action::Stop, Action::Publish, Action::Take];
        assert_eq!(job.handle(at(300), Event::Result(host("a"))), Ok(take.clone()));
        assert_eq!(job.handle(at(301), Event::Result(host("a"))), Ok(vec![]));
        assert_eq!(job.handle(at(999), Event::Tick), Ok(vec![]), "fetching takes what it takes");
        job.handle(at(999), Event::NotTaken).unwrap();
        assert_eq!(job.handle(at(1000), Event::Result(host("a"))), Ok(take));
        assert_eq!(job.handle(at(1001), Event::Taken), Ok(vec![Action::End]));
    }

    #[test]
    fn a_lost_lease_is_offered_again_and_another_host_takes_over() {
        let (mut job, _) = Offload::new(Stage::Offered, at(0));
        job.handle(at(0), Event::Claim(host("a"))).unwrap();
        assert_eq!(job.handle(at(60), Event::Tick), Ok(vec![]));
        assert_eq!(job.handle(at(61), Event::Tick), Ok(vec![Action::Stop, Action::Publish]));
        assert_eq!(job.handle(at(62), Event::Progress(host("a"))), Err(Refusal::NotYours));
        assert_eq!(job.handle(at(63), Event::Claim(host("b"))), Ok(vec![Action::Publish, Action::Feed]));
        assert_eq!(job.host(), Some("b"));
    }

    #[test]
    fn a_broken_transfer_is_tried_again_ever_later_and_a_restart_feeds_again() {
        let claimed = Stage::Claimed { host: host("a"), fed: false };
        let (mut job, begin) = Offload::new(claimed, at(0));
        assert_eq!(begin, [Action::Publish, Action::Feed]);
        job.handle(at(0), Event::Broke).unwrap();
        assert_eq!(job.handle(at(1), Event::Tick), Ok(vec![]));
        assert_eq!(job.handle(at(2), Event::Tick), Ok(vec![Action::Feed]));
        job.handle(at(2), Event::Broke).unwrap();
        assert_eq!(job.handle(at(5), Event::Tick), Ok(vec![]));
        assert_eq!(job.handle(at(6), Event::Tick), Ok(vec![Action::Feed]));
        // The host restarts and claims what it had.
        assert_eq!(
            job.handle(at(7), Event::Claim(host("a"))),
            Ok(vec![Action::Stop, Action::Publish, Action::Feed])
        );
        // The lease does not count the time without a broker.
        job.handle(at(90), Event::Connected).unwrap();
        assert_eq!(job.handle(at(120), Event::Tick), Ok(vec![]));
    }

    proptest! {
        /// One host at a time; a feed only under a claim; only the claim's host may change it.
        #[test]
        fn only_the_claiming_host_is_served(steps in proptest::collection::vec((0u8..9, 0u8..3, 1u64..40), 1..80)) {
            let (mut job, _) = Offload::new(Stage::Offered, at(0));
            let mut now = 0;
            for (what, who, pause) in steps {
                now += pause;
                let who = format!("h{who}");
                let before = job.host().map(str::to_owned);
                let event = match what {
                    0 | 1 => Event::Claim(who.clone()),
                    2 => Event::Progress(who.clone()),
                    3 => Event::Release(who.clone()),
                    4 if pause % 2 == 0 => Event::Fail(who.clone()),
                    4 => Event::Result(who.clone()),
                    5 => Event::Fed,
                    6 => Event::Broke,
                    7 => Event::Connected,
                    _ => Event::Tick,
                };
                let done = job.handle(at(now), event.clone());
                let after = job.host().map(str::to_owned);
                match &event {
                    Event::Claim(_) => prop_assert_eq!(done.is_ok(), before.is_none_or(|b| b == who)),
                    Event::Progress(_) | Event::Release(_) | Event::Fail(_) | Event::Result(_) => {
                        prop_assert_eq!(done.is_ok(), before.as_ref() == Some(&who));
                    }
                    _ => prop_assert!(done.is_ok()),
                }
                for action in done.unwrap_or_default() {
                    if matches!(action, Action::Feed | Action::Take) {
                        prop_assert!(after.is_some());
                    }
                }
            }
        }
    }
}
