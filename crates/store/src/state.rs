//! Wanted state, remembered replies, and the outbox.

use rusqlite::{Connection, OptionalExtension, params};

use super::journal::count_up;
use super::samples::check_text;
use super::{Store, StoreError, Tx};

const KEPT_REPLIES: i64 = 256;
const MOST_OUTGOING: i64 = 1000;
/// Bound of all payloads in the outbox.
const MOST_OUTGOING_BYTES: i64 = 16 << 20;
const MOST_VALUE_BYTES: usize = 1 << 20;

/// A message waiting in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place; ascending, never reused.
    pub seq: i64,
    pub topic: String,
    /// Whether the broker shall retain it.
    pub retain: bool,
    pub payload: Vec<u8>,
}

pub(super) fn get(conn: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(conn.query_row("SELECT value FROM state WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

fn check_size(what: &str, bytes: usize) -> Result<(), StoreError> {
    if bytes > MOST_VALUE_BYTES {
        return Err(StoreError::Invalid(format!(
            "the {what} has {bytes} bytes: at most {MOST_VALUE_BYTES} are kept"
        )));
    }
    Ok(())
}

impl Tx<'_> {
    /// The value stored under a key.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn get_state(&self, key: &str) -> Result<Option<String>, StoreError> {
        get(self.conn, key)
    }

    /// Stores a value under a key.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an empty key or a value over 1 MiB.
    pub fn put_state(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.alive()?;
        check_text("key", key)?;
        check_size("value", value.len())?;
        self.conn.execute(
            "INSERT INTO state (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )?;
        Ok(())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_state(&self, key: &str) -> Result<(), StoreError> {
        self.alive()?;
        self.conn.execute("DELETE FROM state WHERE key = ?1", [key])?;
        Ok(())
    }

    /// The reply given to a command id, if it is one of the last 256.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reply_for(&self, id: &str) -> Result<Option<String>, StoreError> {
        Ok(self
            .conn
            .query_row("SELECT reply FROM replies WHERE id = ?1", [id], |row| row.get(0))
            .optional()?)
    }

    /// Remembers the reply to a command id. Do it in the transaction of the command's effect.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when that id was answered already: call the transaction off and send the old reply.
    pub fn remember_reply(&self, id: &str, reply: &str) -> Result<(), StoreError> {
        let mark = self.mark()?;
        check_text("command id", id)?;
        check_size("reply", reply.len())?;
        if self.reply_for(id)?.is_some() {
            return Err(StoreError::Conflict(format!("the command \"{id}\" was answered already")));
        }
        self.conn.execute("INSERT INTO replies (id, reply) VALUES (?1, ?2)", [id, reply])?;
        self.conn.execute(
            "DELETE FROM replies WHERE seq <= (SELECT max(seq) FROM replies) - ?1",
            [KEPT_REPLIES],
        )?;
        mark.keep()?;
        Ok(())
    }

    /// Replaces the reply remembered for a command id, or remembers it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`].
    pub fn replace_reply(&self, id: &str, reply: &str) -> Result<(), StoreError> {
        self.alive()?;
        check_size("reply", reply.len())?;
        match self.conn.execute("UPDATE replies SET reply = ?2 WHERE id = ?1", [id, reply])? {
            0 => self.remember_reply(id, reply),
            _ => Ok(()),
        }
    }

    /// Appends a message to the outbox; the oldest ones go, and are counted, above 1000 messages or 16 MiB.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for an empty topic or a payload over 1 MiB.
    pub fn push(&self, topic: &str, payload: &[u8], retain: bool) -> Result<i64, StoreError> {
        self.alive()?;
        check_text("topic", topic)?;
        check_size("payload", payload.len())?;
        self.conn.execute(
            "INSERT INTO outbox (topic, retain, payload) VALUES (?1, ?2, ?3)",
            params![topic, retain, payload],
        )?;
        let seq = self.conn.last_insert_rowid();
        loop {
            let (count, bytes): (i64, i64) = self.conn.query_row(
                "SELECT count(*), coalesce(sum(length(payload)), 0) FROM outbox",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if count <= MOST_OUTGOING && bytes <= MOST_OUTGOING_BYTES {
                return Ok(seq);
            }
            self.conn.execute("DELETE FROM outbox WHERE seq = (SELECT min(seq) FROM outbox)", [])?;
            count_up(self.conn, "outbox_dropped", 1)?;
        }
    }

    /// Takes a delivered message out of the outbox. One that is gone already is no error.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn done(&self, seq: i64) -> Result<(), StoreError> {
        self.alive()?;
        self.conn.execute("DELETE FROM outbox WHERE seq = ?1", [seq])?;
        Ok(())
    }
}

impl Store {
    /// The value stored under a key.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn get_state(&mut self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|conn| get(conn, key))
    }

    /// The reply given to a command id, if it is one of the last 256.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reply_for(&mut self, id: &str) -> Result<Option<String>, StoreError> {
        self.read(|conn| {
            Ok(conn
                .query_row("SELECT reply FROM replies WHERE id = ?1", [id], |row| row.get(0))
                .optional()?)
        })
    }

    /// The oldest messages of the outbox, after `after` (0 for all).
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pending(&mut self, after: i64, limit: usize) -> Result<Vec<Outgoing>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare(
                "SELECT seq, topic, retain, payload FROM outbox WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let rows =
                statement.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                    Ok(Outgoing {
                        seq: row.get(0)?,
                        topic: row.get(1)?,
                        retain: row.get(2)?,
                        payload: row.get(3)?,
                    })
                })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
