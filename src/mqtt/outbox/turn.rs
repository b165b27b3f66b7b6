//! Whose turn it is: the order and the window in which things go out.

use std::time::Instant;

use rumqttc::v5::mqttbytes::v5::Publish;

use super::{Limits, Outbox, Retained, What};

/// Unacknowledged QoS 1 publications at most, counted from the oldest one. rumqttc hands out packet ids in a
/// ring; a window counted this way can never meet an id that is still in use.
const WINDOW: u64 = 16;
/// Bytes on their way at most (unless it is a single packet), so that pings are not stuck behind them for long.
const FLIGHT_BYTES: usize = 256 << 10;

/// A packet to be handed to the client library, and the ticket under which its fate is reported (QoS 1).
#[derive(Debug)]
pub(in crate::mqtt) struct Next {
    pub ticket: Option<u64>,
    pub packet: Publish,
}

impl Outbox {
    pub fn next(&mut self, now: Instant) -> Option<Next> {
        let limits = self.link?;
        loop {
            let next = match self.candidate(now, limits) {
                Some(next) => next,
                None => {
                    self.careful &= !self.flight.is_empty();
                    return None;
                }
            };
            if let Some(next) = next {
                return Some(next);
            }
        }
    }

    /// `None`: nothing can be sent now; `Some(None)`: something was dropped or refused, look again.
    fn candidate(&mut self, now: Instant, limits: Limits) -> Option<Option<Next>> {
        let is_last = |kept: &Retained| kept.waiting.publication.topic == self.availability;
        let due = |last: bool| self.retained.iter().position(|kept| is_last(kept) == last && kept.is_due());
        if let Some(index) = due(false).or_else(|| due(true)) {
            return self.next_retained(index, now, limits).or_else(|| self.next_telemetry(now, limits));
        }
        self.next_queued(now, limits)
            .or_else(|| self.next_telemetry(now, limits))
            .or_else(|| self.next_part(limits))
    }

    fn next_retained(&mut self, index: usize, now: Instant, limits: Limits) -> Option<Option<Next>> {
        let kept = &self.retained[index];
        let generation = kept.generation;
        let topic = kept.waiting.publication.topic.clone();
        if let Some(reason) = kept.waiting.publication.fault(limits.packet) {
            self.refuse_retained(&topic, generation, &reason);
            return Some(None);
        }
        let Some(expiry_s) = kept.waiting.expiry_left_s(now) else {
            // Usually the broker had it, and its copy has expired by itself.
            if !kept.tokens.is_empty() {
                self.refuse_retained(&topic, generation, "expired: its life ended before the broker had it");
            }
            self.retained.remove(index);
            return Some(None);
        };
        let size = kept.waiting.publication.size();
        if !self.has_room(size, limits) {
            return None;
        }
        let mut packet = kept.waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        self.retained[index].flying = true;
        Some(Some(self.fly(What::Retained { topic, generation }, size, packet)))
    }

    fn next_queued(&mut self, now: Instant, limits: Limits) -> Option<Option<Next>> {
        let waiting = self.queue.front()?;
        let over = waiting.expiry_left_s(now);
        let fault = waiting.publication.fault(limits.packet).or_else(|| {
            over.is_none().then(|| "expired: its life ended before the broker could be reached".into())
        });
        let size = waiting.publication.size();
        if fault.is_none() && !self.has_room(size, limits) {
            return None;
        }
        let waiting = self.queue.pop_front()?;
        self.queue_bytes -= waiting.publication.payload.len();
        if let Some(reason) = fault {
            self.refuse(waiting.publication.token, &reason);
            return Some(None);
        }
        let packet = waiting.publication.packet(over.flatten());
        Some(Some(self.fly(What::Queued(waiting), size, packet)))
    }

    fn next_telemetry(&mut self, now: Instant, limits: Limits) -> Option<Option<Next>> {
        let waiting = self.telemetry.front()?;
        let Some(expiry_s) = waiting.expiry_left_s(now) else {
            self.drop_telemetry();
            return Some(None);
        };
        if let Some(reason) = waiting.publication.fault(limits.packet) {
            let token = waiting.publication.token;
            self.telemetry_bytes -= waiting.publication.payload.len();
            self.telemetry.pop_front();
            self.refuse(token, &reason);
            return Some(None);
        }
        let waiting = self.telemetry.pop_front()?;
        self.telemetry_bytes -= waiting.publication.payload.len();
        let mut packet = waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        Some(Some(Next { ticket: None, packet }))
    }

    fn next_part(&mut self, limits: Limits) -> Option<Option<Next>> {
        let sequence = self.sequences.front()?;
        let (index, part) = sequence.next()?;
        // All of it, before the first part goes out: half a head is of no use.
        let fault = sequence.stages.iter().flatten().find_map(|part| part.fault(limits.packet));
        let id = sequence.id;
        if let Some(reason) = fault {
            self.refuse_sequence(id, &reason);
            return Some(None);
        }
        let size = part.size();
        let mut packet = part.packet(part.expiry_s);
        packet.retain &= limits.retain;
        if !self.has_room(size, limits) {
            return None;
        }
        self.sequences.front_mut()?.sent(index);
        Some(Some(self.fly(What::Part { sequence: id, index }, size, packet)))
    }

    fn has_room(&self, size: usize, limits: Limits) -> bool {
        let Some((oldest, _)) = self.flight.first_key_value() else { return true };
        // One less than the broker's limit: the ring of packet ids has exactly that many.
        let window = WINDOW.min(u64::from(limits.receive_max).saturating_sub(1));
        !self.careful && self.ticket + 1 - oldest < window.max(1) && self.flight_bytes + size <= FLIGHT_BYTES
    }

    fn fly(&mut self, what: What, size: usize, packet: Publish) -> Next {
        self.ticket += 1;
        let ticket = self.ticket;
        self.flight.insert(ticket, (what, size));
        self.flight_bytes += size;
        Next { ticket: Some(ticket), packet }
    }
}
