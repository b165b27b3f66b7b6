//! The ordered class list and its changes.

use rusqlite::{Connection, OptionalExtension, params};

use super::journal::{Change, ChangeKind};
use super::{StoreError, Tx};

const MOST_CLASSES: i64 = 1000;
const LONGEST_NAME: usize = 64;

/// A class with what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// Stable: survives renames, never reused.
    pub id: i64,
    pub name: String,
    pub samples: usize,
    /// Distinct bursts of them.
    pub bursts: usize,
}

/// Checks a class name: 1 to 64 characters, no control characters, slashes or outer blanks, no leading dot.
///
/// # Errors
/// [`StoreError::Invalid`] with the rule.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let wrong = if name.is_empty() {
        "is empty"
    } else if name.chars().count() > LONGEST_NAME || name.len() > 200 {
        "is longer than 64 characters"
    } else if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        "holds a slash or a control character"
    } else if name.starts_with('.') || name.trim() != name {
        "starts with a dot or has blanks around it"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
    Err(StoreError::Invalid(format!(
        "class name \"{shown}\" {wrong}: use 1 to 64 letters, digits, blanks or signs"
    )))
}

/// The live class of this name.
pub(super) fn find(conn: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    let found = conn
        .query_row("SELECT id FROM classes WHERE name = ?1 AND removed_step IS NULL", [name], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(found)
}

/// As [`find`], or the error that lists what there is.
pub(super) fn require(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    if let Some(id) = find(conn, name)? {
        return Ok(id);
    }
    let known: Vec<String> = list(conn)?.into_iter().map(|(_, name)| name).take(20).collect();
    let known = if known.is_empty() {
        "there are none yet".into()
    } else {
        format!("there are {}", known.join(", "))
    };
    let shown: String = name.chars().take(LONGEST_NAME).flat_map(char::escape_debug).collect();
    Err(StoreError::NotFound(format!("there is no class \"{shown}\": {known}")))
}

/// Ids and names of the live classes in their order.
pub(super) fn list(conn: &Connection) -> Result<Vec<(i64, String)>, StoreError> {
    let mut statement =
        conn.prepare("SELECT id, name FROM classes WHERE removed_step IS NULL ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ids of the live classes of these names; 0 where there is none.
pub(super) fn ids(conn: &Connection, names: &[String]) -> Result<Vec<i64>, StoreError> {
    names.iter().map(|name| Ok(find(conn, name)?.unwrap_or(0))).collect()
}

/// Names that the live classes with these ids have; `None` where there is none.
pub(super) fn names(conn: &Connection, ids: &[i64]) -> Result<Vec<Option<String>>, StoreError> {
    let live = list(conn)?;
    let name = |id: &i64| live.iter().find(|(known, _)| known == id).map(|(_, name)| name.clone());
    Ok(ids.iter().map(name).collect())
}

/// The live classes in their order, with counts.
pub(super) fn counts(conn: &Connection) -> Result<Vec<ClassCount>, StoreError> {
    let mut statement = conn.prepare(
        "SELECT c.id, c.name, count(s.id), count(DISTINCT s.burst) FROM classes c
         LEFT JOIN samples s ON s.class = c.id AND s.removed_ms IS NULL
         WHERE c.removed_step IS NULL GROUP BY c.id ORDER BY c.id",
    )?;
    let rows = statement.query_map([], |row| {
        let (samples, bursts): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok(ClassCount {
            id: row.get(0)?,
            name: row.get(1)?,
            samples: samples as usize,
            bursts: bursts as usize,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Inserts a live class under a journal step.
pub(super) fn insert(conn: &Connection, name: &str, step: i64) -> Result<i64, StoreError> {
    check_name(name)?;
    let live: i64 =
        conn.query_row("SELECT count(*) FROM classes WHERE removed_step IS NULL", [], |row| row.get(0))?;
    if live >= MOST_CLASSES {
        return Err(StoreError::Invalid(format!(
            "there are {live} classes, the most there can be: remove one first"
        )));
    }
    conn.execute("INSERT INTO classes (name, added_step) VALUES (?1, ?2)", params![name, step])?;
    Ok(conn.last_insert_rowid())
}

impl Tx<'_> {
    /// Appends a class to the class list.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of that name, [`StoreError::Invalid`] for a bad name.
    pub fn add_class(&self, name: &str, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        check_name(name)?;
        if find(self.conn, name)?.is_some() {
            return Err(StoreError::Conflict(format!("there is a class \"{name}\" already")));
        }
        let text = format!("added class {name}");
        let step = self.journal(ChangeKind::AddClass, &text, None, now_ms)?;
        insert(self.conn, name, step.step)?;
        mark.keep()?;
        Ok(step.change(ChangeKind::AddClass, 1, text))
    }

    /// [`Tx::add_class`] where it is missing; `None` when it was there.
    ///
    /// # Errors
    /// See [`Tx::add_class`].
    pub fn ensure_class(&self, name: &str, now_ms: i64) -> Result<Option<Change>, StoreError> {
        if find(self.conn, name)?.is_some() { Ok(None) } else { self.add_class(name, now_ms).map(Some) }
    }

    /// Names that the classes with these ids have; `None` where one was removed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn class_names(&self, ids: &[i64]) -> Result<Vec<Option<String>>, StoreError> {
        names(self.conn, ids)
    }

    /// Gives a class another name; its id, place and samples stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when the new name is taken, [`StoreError::Invalid`].
    pub fn rename_class(&self, from: &str, to: &str, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        check_name(to)?;
        let id = require(self.conn, from)?;
        if from == to {
            return self.unchanged(ChangeKind::RenameClass, format!("class {from} has that name already"));
        }
        if find(self.conn, to)?.is_some() {
            return Err(StoreError::Conflict(format!(
                "there is a class \"{to}\" already: relabel the samples of \"{from}\" instead"
            )));
        }
        let text = format!("renamed class {from} to {to}");
        let step = self.journal(ChangeKind::RenameClass, &text, Some((id, from)), now_ms)?;
        self.conn.execute("UPDATE classes SET name = ?1 WHERE id = ?2", params![to, id])?;
        mark.keep()?;
        Ok(step.change(ChangeKind::RenameClass, 1, text))
    }

    /// Removes a class with its samples. With `dry_run` only says what would go.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn remove_class(&self, name: &str, dry_run: bool, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        let id = require(self.conn, name)?;
        if dry_run {
            let samples: i64 = self.conn.query_row(
                "SELECT count(*) FROM samples WHERE class = ?1 AND removed_ms IS NULL",
                [id],
                |row| row.get(0),
            )?;
            let mut change = self.unchanged(
                ChangeKind::RemoveClass,
                format!("would remove class {name} with {samples} samples"),
            )?;
            change.affected = samples as usize;
            return Ok(change);
        }
        let step = self.journal(ChangeKind::RemoveClass, "", Some((id, name)), now_ms)?;
        let samples = self.conn.execute(
            "UPDATE samples SET removed_ms = ?1, removed_step = ?2 WHERE class = ?3 AND removed_ms IS NULL",
            params![now_ms, step.step, id],
        )?;
        self.conn.execute("UPDATE classes SET removed_step = ?1 WHERE id = ?2", params![step.step, id])?;
        let text = format!("removed class {name} with {samples} samples");
        self.conn.execute("UPDATE journal SET text = ?1 WHERE step = ?2", params![text, step.step])?;
        mark.keep()?;
        Ok(step.change(ChangeKind::RemoveClass, samples, text))
    }
}
