//! What goes to the broker and to whoever watches: retained topics, events, heads.

use super::Daemon;
use bytes::Bytes;
use graft_control::Version;
use graft_mqtt::Publication;
use graft_store::HeadRow;
use graft_wire::messages::{Event, EventType, to_json};
use graft_wire::topic::{Address, Topic};
use graft_wire::{Error, Manifest, home_assistant, parts, timestamp};

/// Sequence tokens are told from outbox tokens by this bit.
const HEAD_TOKEN: u64 = 1 << 62;

impl Daemon {
    /// Publishes to a topic as its row says.
    pub(super) fn say(&self, address: Address, payload: String) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.say(address, payload);
        }
    }

    /// Makes the board known to Home Assistant, where that is wanted.
    pub(super) fn introduce(&self) {
        if let (Some(mqtt), Some(prefix)) = (&self.mqtt, &self.settings.mqtt.home_assistant) {
            let version = env!("CARGO_PKG_VERSION");
            let (topic, payload) =
                home_assistant::discovery(prefix, &self.topics, version, &self.board.name());
            mqtt.say(topic, payload);
        }
    }

    /// One line to everyone who watches over HTTP.
    pub(super) fn watch(&self, kind: &str, payload: &str) {
        // Nobody watching is no error.
        let _ = self.watchers.send(format!("{{\"type\":\"{kind}\",\"data\":{payload}}}"));
    }

    /// Tells of something that happened: on disk first, so that it survives a broker that is away.
    pub(super) fn event(&mut self, kind: EventType, fill: impl FnOnce(Event) -> Event) {
        let name = to_json(&kind);
        let event = fill(Event::new(timestamp::rfc3339(self.clock.wall_ms()), kind));
        let payload = to_json(&event);
        tracing::info!(event = %payload, "event {}", name.trim_matches('"'));
        self.watch("event", &payload);
        if self.mqtt.is_none() {
            return;
        }
        let topic = self.topics.event();
        self.store_then(
            {
                let (topic, payload) = (topic.clone(), payload.clone());
                move |store| store.push(&topic.name, payload.as_bytes(), false)
            },
            move |daemon, stored| {
                let token =
                    stored.inspect_err(|error| tracing::warn!(%error, "an event could not be stored")).ok();
                daemon.send_event(topic, payload.into(), token.and_then(|id| u64::try_from(id).ok()));
            },
        );
    }

    fn send_event(&self, address: Address, payload: Bytes, token: Option<u64>) {
        if let Some(mqtt) = &self.mqtt {
            mqtt.publish(Publication { token, ..Publication::on(address, payload) });
        }
    }

    /// Sends what an earlier start could not deliver.
    pub(super) fn send_outbox(&mut self) {
        self.store_then(
            |store| store.pending(0, 1000),
            |daemon, pending| match pending {
                Ok(pending) => {
                    for outgoing in pending {
                        daemon.send_event(
                            Address::new(Topic::EVENT, outgoing.topic),
                            outgoing.payload.into(),
                            u64::try_from(outgoing.seq).ok(),
                        );
                    }
                }
                Err(error) => tracing::warn!(%error, "the outbox could not be read"),
            },
        );
    }

    /// The broker has it, or never will.
    pub(super) fn delivered(&mut self, token: u64, refused: Option<String>) {
        if let Some(reason) = &refused {
            tracing::warn!(token, reason, "a publication was refused");
        }
        if token & HEAD_TOKEN != 0 {
            let version = token & !HEAD_TOKEN;
            if let Some(reason) = refused {
                let error = Error::new(
                    graft_wire::Code::TooLarge,
                    format!("head {version} was not published: {reason}"),
                );
                return self.event(EventType::Error, |e| e.because(error));
            }
            let now_ms = self.clock.wall_ms();
            return self.store_then(
                move |store| store.set_published(i64::try_from(version).unwrap_or(i64::MAX), now_ms),
                |_, result| {
                    if let Err(error) = result {
                        tracing::warn!(%error, "the publication of a head could not be noted");
                    }
                },
            );
        }
        if let Ok(id) = i64::try_from(token) {
            self.store_then(
                move |store| store.done(id),
                |_, result| {
                    if let Err(error) = result {
                        tracing::warn!(%error, "a delivered event could not be taken off the outbox");
                    }
                },
            );
        }
    }

    /// Publishes a stored head: its parts, then the manifest, then the parts of older heads go.
    pub(super) fn publish_head(&mut self, version: Version) {
        if self.mqtt.is_none() {
            return;
        }
        self.store_then(
            move |store| Ok((super::heads::read(store, version)?, store.heads(64)?)),
            move |daemon, read| match read
                .map_err(|e| e.to_string())
                .and_then(|((row, file), all)| daemon.head_stages(&row, &file, &all))
            {
                Ok(stages) => {
                    tracing::info!(
                        version,
                        parts = stages.first().map_or(0, Vec::len),
                        "publishing the head"
                    );
                    if let Some(mqtt) = &daemon.mqtt {
                        mqtt.sequence(stages, Some(HEAD_TOKEN | version));
                    }
                }
                Err(error) => tracing::error!(version, error, "a head could not be published"),
            },
        );
    }

    fn head_stages(
        &self,
        row: &HeadRow,
        file: &[u8],
        all: &[HeadRow],
    ) -> Result<Vec<Vec<Publication>>, String> {
        let (list, bytes) = parts::split(file).map_err(|e| e.to_string())?;
        let body = list
            .iter()
            .zip(bytes)
            .map(|(part, bytes)| {
                Publication::on(self.topics.head_part(row.version.unsigned_abs(), part.n), bytes.to_vec())
            })
            .collect();
        let manifest = vec![Publication::on(self.topics.head(), row.manifest.clone())];
        // The head before this one stays, for whoever is just fetching it.
        let mut published: Vec<&HeadRow> =
            all.iter().filter(|r| r.published_ms.is_some() && r.version != row.version).collect();
        published.sort_by_key(|r| std::cmp::Reverse(r.version));
        let cleared = published
            .into_iter()
            .skip(1)
            .filter_map(|old| serde_json::from_str::<Manifest>(&old.manifest).ok().map(|m| (old.version, m)))
            .flat_map(|(version, old)| old.parts.into_iter().map(move |part| (version, part.n)))
            .map(|(version, n)| Publication::on(self.topics.head_part(version.unsigned_abs(), n), ""))
            .collect();
        Ok(vec![body, manifest, cleared])
    }

    /// The broker is there: everything that it should keep is said again by the session; the rest here.
    pub(super) fn connected(&mut self) {
        self.pulse.connects += 1;
        self.say_info();
        self.offload_connected();
        self.say_state();
        self.say(self.topics.label(), self.vote.label().to_owned());
    }
}
