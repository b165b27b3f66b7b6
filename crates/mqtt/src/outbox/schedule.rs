//! The order in which publications are sent, and how many may be unacknowledged.

use std::time::Instant;

use rumqttc::v5::mqttbytes::v5::Publish;

use super::{InFlight, Limits, Outbox, Retained};
use crate::publication::Expired;

/// Unacknowledged QoS 1 publications at most, counted from the oldest one. rumqttc hands out packet ids in a
/// ring; a window counted this way can never meet an id that is still in use.
const WINDOW: u64 = 16;
/// Unacknowledged bytes at most (unless it is a single packet), so that pings are not stuck behind them for long.
const FLIGHT_BYTES: usize = 256 << 10;

/// A packet to be unnumbered to the client library, and the ticket under which its fate is reported (QoS 1).
#[derive(Debug)]
pub(crate) struct Next {
    pub ticket: Option<u64>,
    pub packet: Publish,
}

/// What one look at the queues gave.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept")]
enum Step {
    Send(Next),
    /// Something was dropped or refused instead: look again.
    Dropped,
}

impl Outbox {
    /// The next packet that may go out now.
    pub fn next(&mut self, now: Instant) -> Option<Next> {
        let limits = self.link?;
        loop {
            match self.step(now, limits) {
                Some(Step::Send(next)) => return Some(next),
                Some(Step::Dropped) => {}
                None => {
                    self.one_at_a_time &= !self.flight.is_empty();
                    return None;
                }
            }
        }
    }

    fn step(&mut self, now: Instant, limits: Limits) -> Option<Step> {
        let is_last = |kept: &Retained| kept.waiting.publication.topic == self.availability;
        let due = |last: bool| self.retained.iter().position(|kept| is_last(kept) == last && kept.is_due());
        if let Some(index) = due(false).or_else(|| due(true)) {
            return self.next_retained(index, now, limits).or_else(|| self.next_telemetry(now, limits));
        }
        self.next_queued(now, limits)
            .or_else(|| self.next_telemetry(now, limits))
            .or_else(|| self.next_part(limits))
    }

    fn next_retained(&mut self, index: usize, now: Instant, limits: Limits) -> Option<Step> {
        let kept = &self.retained[index];
        let generation = kept.generation;
        let topic = kept.waiting.publication.topic.clone();
        if let Some(reason) = kept.waiting.publication.fault(limits.packet) {
            self.refuse_retained(&topic, generation, &reason);
            return Some(Step::Dropped);
        }
        let Ok(expiry_s) = kept.waiting.expiry_left_s(now) else {
            // Usually the broker had it, and its copy has expired by itself.
            if !kept.tokens.is_empty() {
                self.refuse_retained(
                    &topic,
                    generation,
                    "expired: its expiry passed before the broker had it",
                );
            }
            self.retained.remove(index);
            return Some(Step::Dropped);
        };
        let size = kept.waiting.publication.size();
        if !self.has_room(size, limits) {
            return None;
        }
        let mut packet = kept.waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        self.retained[index].in_flight = true;
        Some(Step::Send(self.track(InFlight::Retained { topic, generation }, size, packet)))
    }

    fn next_queued(&mut self, now: Instant, limits: Limits) -> Option<Step> {
        let waiting = self.queue.front()?;
        let (fault, expiry_s) = match waiting.expiry_left_s(now) {
            Ok(expiry_s) => (waiting.publication.fault(limits.packet), expiry_s),
            Err(Expired) => {
                (Some("expired: its expiry passed before the broker could be reached".into()), None)
            }
        };
        let size = waiting.publication.size();
        if fault.is_none() && !self.has_room(size, limits) {
            return None;
        }
        let waiting = self.queue.pop_front()?;
        self.queue_bytes -= waiting.publication.payload.len();
        if let Some(reason) = fault {
            self.refuse(waiting.publication.token, &reason);
            return Some(Step::Dropped);
        }
        let packet = waiting.publication.packet(expiry_s);
        Some(Step::Send(self.track(InFlight::Queued(waiting), size, packet)))
    }

    fn next_telemetry(&mut self, now: Instant, limits: Limits) -> Option<Step> {
        let waiting = self.telemetry.front()?;
        let Ok(expiry_s) = waiting.expiry_left_s(now) else {
            self.drop_telemetry();
            return Some(Step::Dropped);
        };
        if let Some(reason) = waiting.publication.fault(limits.packet) {
            let token = waiting.publication.token;
            self.telemetry_bytes -= waiting.publication.payload.len();
            self.telemetry.pop_front();
            self.refuse(token, &reason);
            return Some(Step::Dropped);
        }
        let waiting = self.telemetry.pop_front()?;
        self.telemetry_bytes -= waiting.publication.payload.len();
        let mut packet = waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        Some(Step::Send(Next { ticket: None, packet }))
    }

    fn next_part(&mut self, limits: Limits) -> Option<Step> {
        let sequence = self.sequences.front()?;
        let (index, part) = sequence.next()?;
        // All of it, before the first part goes out: half a head is of no use.
        let fault = sequence.stages.iter().flatten().find_map(|part| part.fault(limits.packet));
        let id = sequence.id;
        if let Some(reason) = fault {
            self.refuse_sequence(id, &reason);
            return Some(Step::Dropped);
        }
        let size = part.size();
        let mut packet = part.packet(part.expiry_s);
        packet.retain &= limits.retain;
        if !self.has_room(size, limits) {
            return None;
        }
        self.sequences.front_mut()?.sent(index);
        Some(Step::Send(self.track(InFlight::Part { sequence: id, index }, size, packet)))
    }

    fn has_room(&self, size: usize, limits: Limits) -> bool {
        let Some((oldest, _)) = self.flight.first_key_value() else { return true };
        // One less than the broker's limit: the ring of packet ids has exactly that many.
        let window = WINDOW.min(u64::from(limits.receive_max).saturating_sub(1));
        !self.one_at_a_time
            && self.ticket + 1 - oldest < window.max(1)
            && self.flight_bytes + size <= FLIGHT_BYTES
    }

    fn track(&mut self, what: InFlight, size: usize, packet: Publish) -> Next {
        self.ticket += 1;
        let ticket = self.ticket;
        self.flight.insert(ticket, (what, size));
        self.flight_bytes += size;
        Next { ticket: Some(ticket), packet }
    }
}
