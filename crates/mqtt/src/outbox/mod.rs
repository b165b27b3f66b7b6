//! What is to be sent, what is unacknowledged, and what the broker has. No I/O, no clock of its own.

mod schedule;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use tracing::warn;

use super::publication::Waiting;
use super::sequence::{RetainedSequences, Sequence};
use super::{Ack, Incoming, Publication, Report, Stats};

const TELEMETRY: usize = 256;
const TELEMETRY_BYTES: usize = 4 << 20;
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 8 << 20;
const RETAINED: usize = 4096;
const SEQUENCES: usize = 16;
/// Incoming QoS 0 messages that may wait for the daemon.
const INCOMING: usize = 256;

/// What the broker allows on this connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub packet: usize,
    pub receive_max: u16,
    pub retain: bool,
}

/// A topic whose newest payload the broker shall have.
#[derive(Debug)]
struct Retained {
    waiting: Waiting,
    generation: u64,
    in_flight: bool,
    done: Option<u64>,
    refused: Option<u64>,
    tokens: Vec<(u64, u64)>,
}

impl Retained {
    fn is_due(&self) -> bool {
        let now = Some(self.generation);
        !self.in_flight && self.done != now && self.refused != now
    }

    fn take_tokens(&mut self, generation: u64) -> Vec<u64> {
        let taken = self.tokens.iter().filter(|(of, _)| *of <= generation).map(|(_, token)| *token).collect();
        self.tokens.retain(|(of, _)| *of > generation);
        taken
    }
}

/// An unacknowledged publication.
#[derive(Debug)]
enum InFlight {
    Retained { topic: String, generation: u64 },
    Queued(Waiting),
    Part { sequence: u64, index: usize },
}

pub(crate) struct Outbox {
    max_packet_out: usize,
    availability: String,
    retained: Vec<Retained>,
    telemetry: VecDeque<Waiting>,
    telemetry_bytes: usize,
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    sequences: VecDeque<Sequence>,
    finished: RetainedSequences,
    flight: BTreeMap<u64, (InFlight, usize)>,
    flight_bytes: usize,
    counter: u64,
    /// The newest key of `flight` so far.
    ticket: u64,
    link: Option<Limits>,
    /// Sends one publication at a time, to learn which one the broker rejects.
    one_at_a_time: bool,
    was_connected: bool,
    pub reports: VecDeque<Report>,
    pub acks: VecDeque<Ack>,
    pub stats: Stats,
    /// `offline` is to be published, then the session ends.
    pub closing: bool,
    /// The session ends at once.
    pub abandoned: bool,
    /// The session has ended.
    pub ended: bool,
}

impl Outbox {
    pub fn new(max_packet_out: usize, availability: &str) -> Self {
        Self {
            max_packet_out,
            availability: availability.into(),
            retained: Vec::new(),
            telemetry: VecDeque::new(),
            telemetry_bytes: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            sequences: VecDeque::new(),
            finished: RetainedSequences::default(),
            flight: BTreeMap::new(),
            flight_bytes: 0,
            counter: 0,
            ticket: 0,
            link: None,
            one_at_a_time: false,
            was_connected: false,
            reports: VecDeque::new(),
            acks: VecDeque::new(),
            stats: Stats::default(),
            closing: false,
            abandoned: false,
            ended: false,
        }
    }

    // ---- calls of the daemon ----

    pub fn retain(&mut self, publication: Publication, now: Instant) {
        let token = publication.token;
        if let Some(reason) = publication.fault(self.max_packet_out) {
            return self.refuse(token, &reason);
        }
        self.finished.forget(&publication.topic);
        for sequence in self.sequences.iter_mut().filter(|sequence| sequence.repeat) {
            sequence.forget(&publication.topic);
        }
        self.drop_finished();
        let generation = self.count();
        let known = self.retained.iter().position(|kept| kept.waiting.publication.topic == publication.topic);
        if known.is_none() && self.retained.len() >= RETAINED {
            return self.refuse(token, &format!("queue_full: {RETAINED} retained topics are the limit"));
        }
        let waiting = Waiting { publication, since: now };
        let tokens = token.map(|token| (generation, token));
        match known.and_then(|index| self.retained.get_mut(index)) {
            Some(kept) => {
                kept.waiting = waiting;
                kept.generation = generation;
                kept.tokens.extend(tokens);
            }
            None => {
                let tokens = tokens.into_iter().collect();
                let (in_flight, done, refused) = (false, None, None);
                self.retained.push(Retained { waiting, generation, in_flight, done, refused, tokens });
            }
        }
    }

    pub fn publish(&mut self, publication: Publication, now: Instant) {
        if self.closing {
            return self.refuse(publication.token, "closed: the session is ending");
        }
        if publication.retain && publication.qos1 {
            return self.retain(publication, now);
        }
        if let Some(reason) = publication.fault(self.max_packet_out) {
            return self.refuse(publication.token, &reason);
        }
        let bytes = publication.payload.len();
        if !publication.qos1 {
            self.telemetry_bytes += bytes;
            self.telemetry.push_back(Waiting { publication, since: now });
            while self.telemetry.len() > TELEMETRY || self.telemetry_bytes > TELEMETRY_BYTES {
                self.drop_telemetry();
            }
        } else if self.queue.len() >= QUEUE || self.queue_bytes + bytes > QUEUE_BYTES {
            let reason = format!("queue_full: {} messages wait for the broker already", self.queue.len());
            self.refuse(publication.token, &reason);
        } else {
            self.queue_bytes += bytes;
            self.queue.push_back(Waiting { publication, since: now });
        }
    }

    pub fn sequence(&mut self, stages: Vec<Vec<Publication>>, token: Option<u64>) {
        if self.closing {
            return self.refuse(token, "closed: the session is ending");
        }
        if self.sequences.iter().filter(|sequence| !sequence.repeat).count() >= SEQUENCES {
            return self
                .refuse(token, &format!("queue_full: {SEQUENCES} sequences wait for the broker already"));
        }
        if let Some(reason) = stages.iter().flatten().find_map(|part| part.fault(self.max_packet_out)) {
            return self.refuse(token, &reason);
        }
        for publication in stages.iter().flatten() {
            self.retained.retain(|kept| kept.waiting.publication.topic != publication.topic);
        }
        let id = self.count();
        self.sequences.push_back(Sequence::new(id, token, false, stages));
        self.drop_finished();
    }

    /// Turns availability to `offline` and takes nothing more.
    pub fn close(&mut self, offline: Bytes, now: Instant) {
        let topic = self.availability.clone();
        self.retain(
            Publication { topic, payload: offline, retain: true, qos1: true, ..Default::default() },
            now,
        );
        self.closing = true;
    }

    // ---- events of the connection ----

    pub fn connected(&mut self, limits: Limits, session_present: bool) {
        let packet = limits.packet.min(self.max_packet_out);
        self.link = Some(Limits { packet, ..limits });
        self.stats.connected = true;
        self.stats.reconnects += u64::from(self.was_connected);
        self.was_connected = true;
        for sequence in self.finished.repeats().into_iter().rev() {
            self.sequences.push_front(sequence);
        }
        self.reports.push_back(Report::Connected { max_packet_out: packet, session_present });
    }

    /// Everything that was not acknowledged is to be sent again, and every retained topic too.
    /// `keeps_session`: the broker will deliver again what we did not acknowledge.
    pub fn disconnected(&mut self, keeps_session: bool) {
        self.link = None;
        self.stats.connected = false;
        self.acks.clear();
        self.flight_bytes = 0;
        for (_, (what, _)) in std::mem::take(&mut self.flight).into_iter().rev() {
            if let InFlight::Queued(waiting) = what {
                self.queue_bytes += waiting.publication.payload.len();
                self.queue.push_front(waiting);
            }
        }
        for kept in &mut self.retained {
            kept.in_flight = false;
            kept.done = None;
        }
        self.sequences.retain(|sequence| !sequence.repeat);
        self.sequences.iter_mut().for_each(Sequence::restart);
        if keeps_session {
            self.reports
                .retain(|report| !matches!(report, Report::Command(incoming) if incoming.ack.pkid != 0));
        }
    }

    /// Availability again: the will of our own previous connection may have arrived after it.
    pub fn repeat_availability(&mut self) {
        for kept in self.retained.iter_mut().filter(|k| k.waiting.publication.topic == self.availability) {
            kept.done = None;
        }
    }

    pub fn incoming(&mut self, incoming: Incoming) {
        if incoming.ack.pkid == 0 && self.reports.len() >= INCOMING {
            self.stats.dropped += 1;
        } else {
            self.reports.push_back(Report::Command(incoming));
        }
    }

    pub fn acked(&mut self, ticket: u64) {
        let Some((what, size)) = self.flight.remove(&ticket) else { return };
        self.flight_bytes -= size;
        match what {
            InFlight::Queued(waiting) => {
                self.reports.extend(waiting.publication.token.map(Report::Acked));
            }
            InFlight::Retained { topic, generation } => {
                let Some(index) = self.retained.iter().position(|k| k.waiting.publication.topic == topic)
                else {
                    return;
                };
                let kept = &mut self.retained[index];
                kept.in_flight = false;
                kept.done = Some(generation);
                self.reports.extend(kept.take_tokens(generation).into_iter().map(Report::Acked));
                if kept.generation == generation && kept.waiting.publication.payload.is_empty() {
                    self.retained.remove(index);
                }
            }
            InFlight::Part { sequence, index } => {
                if let Some(sequence) = self.sequences.iter_mut().find(|running| running.id == sequence) {
                    sequence.done(index);
                }
                self.drop_finished();
            }
        }
    }

    pub fn refused(&mut self, ticket: u64, reason: &str) {
        let Some((what, size)) = self.flight.remove(&ticket) else { return };
        self.flight_bytes -= size;
        match what {
            InFlight::Queued(waiting) => self.refuse(waiting.publication.token, reason),
            InFlight::Retained { topic, generation } => self.refuse_retained(&topic, generation, reason),
            InFlight::Part { sequence, .. } => self.refuse_sequence(sequence, reason),
        }
    }

    /// The broker ended the connection because of a publication; the library does not say of which one.
    /// True when there was only one, which is refused now.
    pub fn publication_rejected(&mut self, reason: &str) -> bool {
        self.one_at_a_time = true;
        let mut tickets = self.flight.keys().copied();
        if let (Some(ticket), None) = (tickets.next(), tickets.next()) {
            self.one_at_a_time = false;
            self.refused(ticket, reason);
            return true;
        }
        false
    }

    /// Nothing waits and nothing is on its way, apart from sequences and telemetry.
    pub fn is_drained(&self) -> bool {
        self.flight.is_empty() && self.queue.is_empty()
    }

    /// The broker has the present availability.
    pub fn availability_is_done(&self) -> bool {
        let kept = self.retained.iter().find(|kept| kept.waiting.publication.topic == self.availability);
        kept.is_some_and(|kept| kept.done == Some(kept.generation))
    }

    // ---- bookkeeping ----

    fn refuse(&mut self, token: Option<u64>, reason: &str) {
        self.stats.refused += 1;
        warn!(reason, "not published");
        self.reports.extend(token.map(|token| Report::Refused { token, reason: reason.into() }));
    }

    fn refuse_retained(&mut self, topic: &str, generation: u64, reason: &str) {
        let Some(kept) = self.retained.iter_mut().find(|kept| kept.waiting.publication.topic == topic) else {
            return;
        };
        kept.in_flight = false;
        kept.refused = Some(generation);
        let tokens = kept.take_tokens(generation);
        self.stats.refused += 1;
        warn!(topic, reason, "retained topic not published");
        for token in tokens {
            self.reports.push_back(Report::Refused { token, reason: reason.into() });
        }
    }

    fn refuse_sequence(&mut self, id: u64, reason: &str) {
        self.finished.remove(id);
        if let Some(index) = self.sequences.iter().position(|sequence| sequence.id == id) {
            let token = self.sequences.remove(index).and_then(|sequence| sequence.token);
            self.refuse(token, reason);
        }
    }

    /// Takes finished sequences from the list. Only the first runs, but any may become empty.
    fn drop_finished(&mut self) {
        while let Some(index) = self.sequences.iter().position(Sequence::is_finished) {
            let Some(sequence) = self.sequences.remove(index) else { return };
            self.reports.extend(sequence.token.map(Report::Acked));
            if !sequence.repeat {
                self.finished.add(sequence.id, sequence.stages);
            }
        }
    }

    fn drop_telemetry(&mut self) {
        if let Some(waiting) = self.telemetry.pop_front() {
            self.telemetry_bytes -= waiting.publication.payload.len();
            self.stats.dropped += 1;
        }
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
