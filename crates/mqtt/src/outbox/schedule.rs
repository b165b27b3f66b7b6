//! Whose turn it is: the order and the window in which things go out.

use std::time::Instant;

use rumqttc::v5::mqttbytes::v5::Publish;

use super::{Limits, Outbox, Retained, What};
use crate::publication::Over;

/// Unacknowledged QoS 1 publications at most, counted from the oldest one. rumqttc hands out packet ids in a
/// ring; a window counted this way can never meet an id that is still in use.
const WINDOW: u64 = 16;
/// Bytes on their way at most (unless it is a single packet), so that pings are not stuck behind them for long.
const FLIGHT_BYTES: usize = 256 << 10;

/// A packet to be handed to the client library, and the ticket under which its fate is reported (QoS 1).
#[derive(Debug)]
pub(crate) struct Next {
    pub ticket: Option<u64>,
    pub packet: Publish,
}

/// What came of a turn.
#[expect(clippy::large_enum_variant, reason = "made and taken apart at once, never kept")]
enum Turn {
    Send(Next),
    /// Something was dropped or refused instead: look again.
    Gone,
}

impl Outbox {
    /// The next packet that may go out now.
    pub fn next(&mut self, now: Instant) -> Option<Next> {
        let limits = self.link?;
        loop {
            match self.turn(now, limits) {
                Some(Turn::Send(next)) => return Some(next),
                Some(Turn::Gone) => {}
                None => {
                    self.careful &= !self.flight.is_empty();
                    return None;
                }
            }
        }
    }

    fn turn(&mut self, now: Instant, limits: Limits) -> Option<Turn> {
        let is_last = |kept: &Retained| kept.waiting.publication.topic == self.availability;
        let due = |last: bool| self.retained.iter().position(|kept| is_last(kept) == last && kept.is_due());
        if let Some(index) = due(false).or_else(|| due(true)) {
            return self.next_retained(index, now, limits).or_else(|| self.next_telemetry(now, limits));
        }
        self.next_queued(now, limits)
            .or_else(|| self.next_telemetry(now, limits))
            .or_else(|| self.next_part(limits))
    }

    fn next_retained(&mut self, index: usize, now: Instant, limits: Limits) -> Option<Turn> {
        let kept = &self.retained[index];
        let generation = kept.generation;
        let topic = kept.waiting.publication.topic.clone();
        if let Some(reason) = kept.waiting.publication.fault(limits.packet) {
            self.refuse_retained(&topic, generation, &reason);
            return Some(Turn::Gone);
        }
        let Ok(expiry_s) = kept.waiting.expiry_left_s(now) else {
            // Usually the broker had it, and its copy has expired by itself.
            if !kept.tokens.is_empty() {
                self.refuse_retained(&topic, generation, "expired: its life ended before the broker had it");
            }
            self.retained.remove(index);
            return Some(Turn::Gone);
        };
        let size = kept.waiting.publication.size();
        if !self.has_room(size, limits) {
            return None;
        }
        let mut packet = kept.waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        self.retained[index].flying = true;
        Some(Turn::Send(self.fly(What::Retained { topic, generation }, size, packet)))
    }

    fn next_queued(&mut self, now: Instant, limits: Limits) -> Option<Turn> {
        let waiting = self.queue.front()?;
        let (fault, expiry_s) = match waiting.expiry_left_s(now) {
            Ok(expiry_s) => (waiting.publication.fault(limits.packet), expiry_s),
            Err(Over) => (Some("expired: its life ended before the broker could be reached".into()), None),
        };
        let size = waiting.publication.size();
        if fault.is_none() && !self.has_room(size, limits) {
            return None;
        }
        let waiting = self.queue.pop_front()?;
        self.queue_bytes -= waiting.publication.payload.len();
        if let Some(reason) = fault {
            self.refuse(waiting.publication.token, &reason);
            return Some(Turn::Gone);
        }
        let packet = waiting.publication.packet(expiry_s);
        Some(Turn::Send(self.fly(What::Queued(waiting), size, packet)))
    }

    fn next_telemetry(&mut self, now: Instant, limits: Limits) -> Option<Turn> {
        let waiting = self.telemetry.front()?;
        let Ok(expiry_s) = waiting.expiry_left_s(now) else {
            self.drop_telemetry();
            return Some(Turn::Gone);
        };
        if let Some(reason) = waiting.publication.fault(limits.packet) {
            let token = waiting.publication.token;
            self.telemetry_bytes -= waiting.publication.payload.len();
            self.telemetry.pop_front();
            self.refuse(token, &reason);
            return Some(Turn::Gone);
        }
        let waiting = self.telemetry.pop_front()?;
        self.telemetry_bytes -= waiting.publication.payload.len();
        let mut packet = waiting.publication.packet(expiry_s);
        packet.retain &= limits.retain;
        Some(Turn::Send(Next { ticket: None, packet }))
    }

    fn next_part(&mut self, limits: Limits) -> Option<Turn> {
        let sequence = self.sequences.front()?;
        let (index, part) = sequence.next()?;
        // All of it, before the first part goes out: half a head is of no use.
        let fault = sequence.stages.iter().flatten().find_map(|part| part.fault(limits.packet));
        let id = sequence.id;
        if let Some(reason) = fault {
            self.refuse_sequence(id, &reason);
            return Some(Turn::Gone);
        }
        let size = part.size();
        let mut packet = part.packet(part.expiry_s);
        packet.retain &= limits.retain;
        if !self.has_room(size, limits) {
            return None;
        }
        self.sequences.front_mut()?.sent(index);
        Some(Turn::Send(self.fly(What::Part { sequence: id, index }, size, packet)))
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
