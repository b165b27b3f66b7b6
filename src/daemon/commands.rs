//! The one path of every command, whether it came over MQTT or HTTP: read, known already?, carry out,
//! answer exactly once.

use super::Daemon;
use crate::web;
use bytes::Bytes;
use graft_control::{Answer, Event, Token, Wanted};
use graft_learn::{Choice, Method};
use graft_mqtt::{Ack, Incoming, Publication};
use graft_wire::{
    self as wire, Code, Command, Envelope, Error, Op, Reply, Status, command, messages::EventType,
    topic::Address,
};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Where an answer goes.
pub enum ReplyTo {
    /// To the sender's response topic, or to `reply/<op>`; then the command is acknowledged.
    Mqtt {
        /// MQTT 5 response topic, checked, or the one of replies.
        address: Address,
        /// MQTT 5 correlation data.
        correlation: Option<Bytes>,
        /// PUBACK of the command.
        ack: Ack,
    },
    /// To the HTTP request that waits.
    Http(oneshot::Sender<web::Answer>),
}

/// A command that is being carried out.
pub struct Waiting {
    /// Its idempotency key.
    pub id: Option<String>,
    /// Who asked: `mqtt`, `cli:<uid>`, `button`.
    pub by: String,
    to: Vec<ReplyTo>,
}

/// Every command that is being carried out.
#[derive(Default)]
pub struct Pending {
    waiting: HashMap<Token, Waiting>,
    by_id: HashMap<String, Token>,
    next: Token,
}

impl Pending {
    /// Who asked, and the command's id.
    pub fn get(&self, token: Token) -> Option<&Waiting> {
        self.waiting.get(&token)
    }

    /// Who sent the newest command that still waits.
    pub fn last_by(&self) -> Option<&str> {
        self.waiting.get(&self.next).map(|w| w.by.as_str())
    }

    fn add(&mut self, waiting: Waiting) -> Token {
        self.next += 1;
        if let Some(id) = &waiting.id {
            self.by_id.insert(id.clone(), self.next);
        }
        self.waiting.insert(self.next, waiting);
        self.next
    }

    fn take(&mut self, token: Token) -> Option<Waiting> {
        let waiting = self.waiting.remove(&token)?;
        if let Some(id) = &waiting.id {
            self.by_id.remove(id);
        }
        Some(waiting)
    }
}

impl Daemon {
    /// A message on `cmd/#`.
    pub(super) fn mqtt_command(&mut self, incoming: Incoming) {
        let Some(word) = self.topics.cmd_word(&incoming.topic).map(str::to_owned) else {
            return self.acknowledge(incoming.ack);
        };
        if incoming.retain {
            let error = Error::new(
                Code::RetainedCommand,
                format!(
                    "a retained command on cmd/{word} was ignored: clear it, and send commands without the retain flag"
                ),
            );
            self.event(EventType::RetainedCommand, |e| e.with("op", word.as_str()).because(error));
            return self.acknowledge(incoming.ack);
        }
        let address = self.topics.reply(&word);
        let address = match incoming.response_topic {
            Some(topic) if self.topics.allows_response(&topic, &self.response_prefixes) => {
                Address::new(address.topic, topic)
            }
            _ => address,
        };
        let to = ReplyTo::Mqtt { address, correlation: incoming.correlation, ack: incoming.ack };
        if incoming.expiry_s == Some(0) {
            let error = Error::new(Code::Expired, "the command's message expiry had passed when it arrived");
            return self.send(to, &Reply::error(command::peek_id(&incoming.payload), error).to_json());
        }
        self.accept(&word, &incoming.payload, to, "mqtt");
    }

    /// Reads a command of `by`, carries it out and answers once.
    pub(super) fn accept(&mut self, word: &str, body: &[u8], to: ReplyTo, by: &str) {
        let by = by.to_owned();
        let read = Op::parse(word)
            .ok_or_else(|| {
                let ops: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
                Error::new(
                    Code::Unsupported,
                    format!("there is no command {word:?}; there are: {}", ops.join(", ")),
                )
            })
            .and_then(|op| wire::parse(op, body))
            .and_then(|envelope| self.in_time(envelope));
        let envelope = match read {
            Ok(envelope) => envelope,
            Err(error) => return self.send(to, &Reply::error(command::peek_id(body), error).to_json()),
        };
        let Some(id) = envelope.id.clone() else {
            let token = self.pending.add(Waiting { id: None, by, to: vec![to] });
            return self.carry_out(token, envelope);
        };
        if let Some(token) = self.pending.by_id.get(&id) {
            // The same command again while it is being carried out: one effect, the same answer for both.
            if let Some(waiting) = self.pending.waiting.get_mut(token) {
                waiting.to.push(to);
            }
            return;
        }
        let token = self.pending.add(Waiting { id: Some(id.clone()), by, to: vec![to] });
        self.store_then(
            move |store| store.reply_for(&id),
            move |daemon, known| match known {
                Ok(Some(reply)) => daemon.answer_known(token, &reply),
                Ok(None) => daemon.carry_out(token, envelope),
                Err(error) => daemon.finish(token, Err(super::samples::store_error(&error))),
            },
        );
    }

    fn in_time(&self, envelope: Envelope) -> Result<Envelope, Error> {
        if self.clock.synced() && envelope.expired(self.clock.wall_ms()) {
            return Err(Error::new(
                Code::Expired,
                "the command's expires time has passed; send it again with a later one",
            ));
        }
        Ok(envelope)
    }

    fn carry_out(&mut self, token: Token, envelope: Envelope) {
        let if_rev = envelope.if_rev;
        if let (Command::Head(_), Some(rev)) = (&envelope.command, if_rev) {
            let present = self.control.active().map_or(0, |v| i64::try_from(v).unwrap_or(i64::MAX));
            if rev != present {
                return self.finish(token, Err(Error::conflict(rev, present)));
            }
        }
        match envelope.command {
            Command::Mode(mode) => {
                let wanted = match mode {
                    command::Mode::Adapt => Wanted::Adapt,
                    command::Mode::Infer => Wanted::Infer,
                    command::Mode::Pause => Wanted::Pause,
                };
                self.control(Event::Mode(token, wanted));
            }
            Command::Train(command::Train::Start { method }) => {
                self.control(Event::Train(token, method.map(choice)));
            }
            Command::Train(command::Train::Cancel) => self.control(Event::Cancel(token, None)),
            Command::Job(job) => self.job_command(token, &job),
            Command::Head(head) => self.head_command(token, head),
            Command::Config(config) => self.config_command(token, config),
            Command::Capture(capture) => self.capture_command(token, if_rev, capture),
            Command::Label(label) => self.label_command(token, if_rev, label),
            Command::Dataset(dataset) => self.dataset_command(token, if_rev, dataset),
            Command::Offload(offload) => self.offload_command(token, offload),
            Command::Backbone(backbone) => self.backbone_command(token, backbone),
        }
    }

    /// What the state machine answered.
    pub(super) fn control_answer(&mut self, token: Token, answer: Answer) {
        let result = match answer {
            Answer::Done => Ok(Reply::ok(None)),
            Answer::Accepted(job) => Ok(Reply::accepted(None, job.to_string())),
            Answer::Active(version) => Ok(Reply::with(None, serde_json::json!({ "version": version }))),
            Answer::Busy(job) => Err(Error::busy(&job.to_string())),
            Answer::TooHot => {
                let message =
                    "the board is too hot to train; wait until it has cooled down, or see budget.pause_c";
                Err(Error { retryable: true, ..Error::new(Code::Thermal, message) })
            }
            Answer::NotFound(what) => Err(Error::new(Code::NotFound, what)),
            Answer::Failed(why) => Err(Error::internal(why)),
        };
        self.finish(token, result);
    }

    /// Answers a command whose reply is not remembered yet: first on disk, then out.
    pub(super) fn finish(&mut self, token: Token, result: Result<Reply, Error>) {
        let Some(id) = self.pending.get(token).map(|w| w.id.clone()) else { return };
        let reply = match result {
            Ok(reply) => Reply { id: id.clone(), ..reply },
            Err(error) => Reply::error(id.clone(), error),
        };
        let json = reply.to_json();
        match id {
            // A refusal that may pass is not remembered: the same command may be sent again as it is.
            Some(id) if !reply.error.as_ref().is_some_and(|e| e.retryable) => {
                let kept = json.clone();
                self.store_then(
                    move |store| store.transaction(|tx| tx.replace_reply(&id, &kept)),
                    move |daemon, stored| {
                        if let Err(error) = stored {
                            tracing::warn!(%error, "a reply could not be remembered");
                        }
                        daemon.answer_known(token, &json);
                    },
                );
            }
            _ => self.answer_known(token, &json),
        }
    }

    /// Answers a command whose reply is on disk, or need not be.
    pub(super) fn answer_known(&mut self, token: Token, json: &str) {
        let Some(waiting) = self.pending.take(token) else { return };
        for to in waiting.to {
            self.send(to, json);
        }
    }

    fn send(&mut self, to: ReplyTo, json: &str) {
        match to {
            ReplyTo::Mqtt { address, correlation, ack } => {
                if let Some(mqtt) = &self.mqtt {
                    mqtt.publish(Publication { correlation, ..Publication::on(address, json.to_owned()) });
                }
                self.acknowledge(ack);
            }
            ReplyTo::Http(reply) => {
                let status = serde_json::from_str::<Reply>(json).map_or(500, |reply| {
                    match (reply.status, reply.error) {
                        (Status::Ok, _) => 200,
                        (Status::Accepted, _) => 202,
                        (Status::Error, error) => error.map_or(500, |e| wire::error::http_status(e.code)),
                    }
                });
                // The client may have gone; its command is done all the same.
                let _ = reply.send(web::Answer {
                    status,
                    content_type: "application/json",
                    body: Bytes::copy_from_slice(json.as_bytes()),
                });
            }
        }
    }

    fn acknowledge(&self, ack: Ack) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.ack(ack);
        }
    }
}

/// The method that a command names.
fn choice(method: command::Method) -> Choice {
    match method {
        command::Method::Auto => Choice::Auto,
        command::Method::Imprint => Choice::Only(Method::Imprint),
        command::Method::Ridge => Choice::Only(Method::Ridge),
        command::Method::Softmax => Choice::Only(Method::Softmax),
    }
}
