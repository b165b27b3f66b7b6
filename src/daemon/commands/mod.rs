//! The one path of every command, whether it came over MQTT, HTTP or from the button: read, known already?, carry out,
//! answer exactly once.

pub mod tasks;

use self::tasks::{Done, Task};
use super::context::{Asked, Context};
use super::effects::{Effect, Effects};
use super::event::{Message, Note, Ticket};
use super::store_error::store_error;
use super::store_thread::StoreTask;
use crate::web::Answer;
use bytes::Bytes;
use graft_control::Token;
use graft_mqtt::Publication;
use graft_wire::messages::EventType;
use graft_wire::{self as wire, Code, Command, Envelope, Error, Op, Reply, Status, command};
use serde_json::json;
use std::collections::HashMap;

/// What commands are told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message on `cmd/#`.
    Message(Message),
    /// A request on the command socket.
    Request {
        /// The word of the command.
        op: String,
        /// Its body.
        body: Bytes,
        /// Where the answer goes.
        ticket: Ticket,
    },
    /// The button on the board went down (true) or up.
    Button(bool),
    /// A command is done: its reply is to be remembered, then sent.
    Finish(Token, Result<Reply, Error>),
    /// A command is done and its reply is on disk.
    Answered(Token, String),
    /// The store's thread is done.
    Done(Done),
}

/// Where an answer goes.
#[derive(Clone, Debug)]
enum ReplyTo {
    /// To the sender's response topic, or to `reply/<op>`; then the command is acknowledged.
    Mqtt {
        /// MQTT 5 response topic, checked.
        topic: String,
        /// MQTT 5 correlation data.
        correlation: Option<Bytes>,
        /// Acknowledgement of the command.
        ticket: Ticket,
    },
    /// To the HTTP request that waits.
    Http(Ticket),
    /// To the log, if it is a refusal: nobody waits for the answer to a button.
    Log,
}

/// A command that is being carried out.
#[derive(Debug)]
struct Waiting {
    id: Option<String>,
    by: &'static str,
    to: Vec<ReplyTo>,
}

/// Every command that is being carried out.
#[derive(Debug)]
pub struct Commands {
    response_prefixes: Vec<String>,
    waiting: HashMap<Token, Waiting>,
    by_id: HashMap<String, Token>,
    next: Token,
}

impl Commands {
    /// Answers over MQTT may go to topics below these.
    pub fn new(response_prefixes: Vec<String>) -> Self {
        Self { response_prefixes, waiting: HashMap::new(), by_id: HashMap::new(), next: 0 }
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Message(message) => self.message(cx, message, fx),
            Input::Request { op, body, ticket } => {
                self.accept(cx, &op, &body, ReplyTo::Http(ticket), "http", fx);
            }
            Input::Button(down) => {
                let body = if down {
                    json!({"action": "start", "class": cx.settings.gpio.class})
                } else {
                    json!({"action": "stop"})
                };
                self.accept(cx, "capture", body.to_string().as_bytes(), ReplyTo::Log, "button", fx);
            }
            Input::Finish(token, result) => self.finish(token, result, fx),
            Input::Answered(token, json) => self.answer(token, &json, fx),
            Input::Done(Done::Remembered(token, json)) => self.answer(token, &json, fx),
            Input::Done(Done::Known(token, envelope, known)) => match known {
                Ok(Some(reply)) => self.answer(token, &reply, fx),
                Ok(None) => self.carry_out(cx, token, *envelope, fx),
                Err(error) => self.finish(token, Err(store_error(&error)), fx),
            },
        }
    }

    fn message(&mut self, cx: &Context, message: Message, fx: &mut Effects) {
        let ticket = message.ticket;
        let Some(word) = fx.topics().cmd_word(&message.topic).map(str::to_owned) else {
            return fx.send(Effect::Acknowledge(ticket));
        };
        if message.retain {
            let text = format!(
                "a retained command on cmd/{word} was ignored: clear it, and send commands without the retain flag"
            );
            let error = Error::new(Code::RetainedCommand, text);
            fx.event(&cx.now, EventType::RetainedCommand, |e| e.with("op", word.as_str()).because(error));
            return fx.send(Effect::Acknowledge(ticket));
        }
        let topic = match message.response_topic {
            Some(topic) if fx.topics().allows_response(&topic, &self.response_prefixes) => topic,
            _ => format!("{}/reply/{word}", fx.topics().root()),
        };
        let to = ReplyTo::Mqtt { topic, correlation: message.correlation, ticket };
        if message.expiry_s == Some(0) {
            let error = Error::new(Code::Expired, "the command's message expiry had passed when it arrived");
            let reply = Reply::error(command::peek_id(&message.payload), error);
            return send(to, &reply.to_json(), fx);
        }
        self.accept(cx, &word, &message.payload, to, "mqtt", fx);
    }

    /// Reads a command of `by`, has it carried out and answers once.
    fn accept(
        &mut self,
        cx: &Context,
        word: &str,
        body: &[u8],
        to: ReplyTo,
        by: &'static str,
        fx: &mut Effects,
    ) {
        let envelope = match read(cx, word, body) {
            Ok(envelope) => envelope,
            Err(error) => return send(to, &Reply::error(command::peek_id(body), error).to_json(), fx),
        };
        let Some(id) = envelope.id.clone() else {
            let token = self.add(Waiting { id: None, by, to: vec![to] });
            return self.carry_out(cx, token, envelope, fx);
        };
        if let Some(token) = self.by_id.get(&id) {
            // The same command again while it is being carried out: one effect, the same answer for both.
            if let Some(waiting) = self.waiting.get_mut(token) {
                waiting.to.push(to);
            }
            return;
        }
        let token = self.add(Waiting { id: Some(id.clone()), by, to: vec![to] });
        let envelope = Box::new(envelope);
        fx.store(StoreTask::Commands(Task::Known { token, id, envelope }));
    }

    fn add(&mut self, waiting: Waiting) -> Token {
        self.next += 1;
        if let Some(id) = &waiting.id {
            self.by_id.insert(id.clone(), self.next);
        }
        self.waiting.insert(self.next, waiting);
        self.next
    }

    fn carry_out(&mut self, cx: &Context, token: Token, envelope: Envelope, fx: &mut Effects) {
        let Some(waiting) = self.waiting.get(&token) else { return };
        let (id, by, if_rev) = (waiting.id.clone(), waiting.by, envelope.if_rev);
        if let (Command::Head(_), Some(rev)) = (&envelope.command, if_rev) {
            let present = cx.active.map_or(0, |v| i64::try_from(v).unwrap_or(i64::MAX));
            if rev != present {
                return self.finish(token, Err(Error::conflict(rev, present)), fx);
            }
        }
        fx.tell(Note::Command(Asked { token, id, by, if_rev }, Box::new(envelope.command)));
    }

    /// Answers a command whose reply is not remembered yet: first on disk, then out.
    fn finish(&mut self, token: Token, result: Result<Reply, Error>, fx: &mut Effects) {
        let Some(id) = self.waiting.get(&token).map(|w| w.id.clone()) else { return };
        let reply = match result {
            Ok(reply) => Reply { id: id.clone(), ..reply },
            Err(error) => Reply::error(id.clone(), error),
        };
        let json = reply.to_json();
        match id {
            // A refusal that may pass is not remembered: the same command may be sent again as it is.
            Some(id) if !reply.error.as_ref().is_some_and(|e| e.retryable) => {
                fx.store(StoreTask::Commands(Task::Remember { token, id, reply: json }));
            }
            _ => self.answer(token, &json, fx),
        }
    }

    /// Answers a command whose reply is on disk, or need not be.
    fn answer(&mut self, token: Token, json: &str, fx: &mut Effects) {
        let Some(waiting) = self.waiting.remove(&token) else { return };
        if let Some(id) = &waiting.id {
            self.by_id.remove(id);
        }
        for to in waiting.to {
            send(to, json, fx);
        }
    }
}

fn read(cx: &Context, word: &str, body: &[u8]) -> Result<Envelope, Error> {
    let op = Op::parse(word).ok_or_else(|| {
        let ops: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
        let message = format!("there is no command {word:?}; there are: {}", ops.join(", "));
        Error::new(Code::Unsupported, message)
    })?;
    let envelope = wire::parse(op, body)?;
    if cx.now.synced && envelope.expired(cx.now.wall_ms) {
        let message = "the command's expires time has passed; send it again with a later one";
        return Err(Error::new(Code::Expired, message));
    }
    Ok(envelope)
}

fn send(to: ReplyTo, json: &str, fx: &mut Effects) {
    match to {
        ReplyTo::Mqtt { topic, correlation, ticket } => {
            fx.publish(Publication {
                topic,
                payload: Bytes::copy_from_slice(json.as_bytes()),
                qos1: true,
                correlation,
                ..Publication::default()
            });
            fx.send(Effect::Acknowledge(ticket));
        }
        ReplyTo::Http(ticket) => fx.answer(
            ticket,
            Answer {
                status: status(json),
                content_type: "application/json",
                body: Bytes::copy_from_slice(json.as_bytes()),
            },
        ),
        ReplyTo::Log if status(json) >= 400 => tracing::warn!(reason = json, "the button was refused"),
        ReplyTo::Log => {}
    }
}

/// The HTTP status of a reply.
fn status(json: &str) -> u16 {
    serde_json::from_str::<Reply>(json).map_or(500, |reply| match (reply.status, reply.error) {
        (Status::Ok, _) => 200,
        (Status::Accepted, _) => 202,
        (Status::Error, error) => error.map_or(500, |e| wire::error::http_status(e.code)),
    })
}
