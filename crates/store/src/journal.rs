//! Every change of the dataset is a step of a journal, and the latest step can be undone.

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, Tx};

/// Steps kept for undoing.
pub(super) const KEPT_STEPS: i64 = 200;

/// What kind of change a step was.
#[derive(strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Add,
    /// A folder was imported.
    Import,
    /// Samples got another class.
    Relabel,
    Delete,
    /// A class was added.
    AddClass,
    /// A class got another name.
    RenameClass,
    /// A class was removed with its samples.
    RemoveClass,
    /// All samples were deleted.
    Clear,
}

impl ChangeKind {
    /// The word for it in the database and in replies.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        text.parse().map_err(|_| StoreError::Corrupt(format!("the journal holds an unknown step \"{text}\"")))
    }
}

/// What a change (or an undo) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The dataset's revision after it.
    pub rev: i64,
    /// Samples (for class changes: samples or 1) it touched; 0 when there was nothing to do.
    pub affected: usize,
    /// What was changed, or, from an undo, which kind of change was taken back.
    pub kind: ChangeKind,
    /// The same for people.
    pub text: String,
}

/// A step that can still be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number; never reused.
    pub step: i64,
    /// The revision it made.
    pub rev: i64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    pub kind: ChangeKind,
    /// For people.
    pub text: String,
}

/// A step just written.
pub(super) struct Written {
    pub step: i64,
    pub rev: i64,
}

impl Written {
    pub(super) fn change(&self, kind: ChangeKind, affected: usize, text: String) -> Change {
        Change { rev: self.rev, affected, kind, text }
    }
}

pub(super) fn counter(conn: &Connection, name: &str) -> Result<i64, StoreError> {
    let value =
        conn.query_row("SELECT value FROM counters WHERE name = ?1", [name], |row| row.get(0)).optional()?;
    value.ok_or_else(|| StoreError::Corrupt(format!("the counter \"{name}\" is missing")))
}

/// Adds to a counter and returns the new value.
pub(super) fn count_up(conn: &Connection, name: &str, by: i64) -> Result<i64, StoreError> {
    let sql = "UPDATE counters SET value = value + ?2 WHERE name = ?1 RETURNING value";
    let value = conn.query_row(sql, params![name, by], |row| row.get(0)).optional()?;
    value.ok_or_else(|| StoreError::Corrupt(format!("the counter \"{name}\" is missing")))
}

/// The latest steps first.
pub(super) fn steps(conn: &Connection, limit: usize) -> Result<Vec<Step>, StoreError> {
    let mut statement =
        conn.prepare("SELECT step, rev, at_ms, kind, text FROM journal ORDER BY step DESC LIMIT ?1")?;
    let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(3)?;
        steps.push(Step {
            step: row.get(0)?,
            rev: row.get(1)?,
            at_ms: row.get(2)?,
            kind: ChangeKind::parse(&kind)?,
            text: row.get(4)?,
        });
    }
    Ok(steps)
}

/// Deletes the bytes of samples removed before a time (or all removed ones), and with them the steps that would need
/// them: the history is cut just after the youngest such step. Returns how many samples went.
pub(super) fn purge_removed(conn: &Connection, before_ms: Option<i64>) -> Result<usize, StoreError> {
    let before = before_ms.unwrap_or(i64::MAX);
    let cut: Option<i64> = conn.query_row(
        "SELECT max(removed_step) FROM samples WHERE removed_ms IS NOT NULL AND removed_ms <= ?1",
        [before],
        |row| row.get(0),
    )?;
    let Some(cut) = cut else { return Ok(0) };
    // Images and embeddings go by ON DELETE CASCADE.
    let gone =
        conn.execute("DELETE FROM samples WHERE removed_ms IS NOT NULL AND removed_ms <= ?1", [before])?;
    conn.execute("DELETE FROM journal WHERE step <= ?1", [cut])?;
    Ok(gone)
}

impl Tx<'_> {
    /// Writes a step and counts the revision up.
    pub(super) fn journal(
        &self,
        kind: ChangeKind,
        text: &str,
        class: Option<(i64, &str)>,
        now_ms: i64,
    ) -> Result<Written, StoreError> {
        let rev = count_up(self.conn, "rev", 1)?;
        let (class, old_name) = class.unzip();
        self.conn.execute(
            "INSERT INTO journal (rev, at_ms, kind, text, class, old_name) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![rev, now_ms, kind.as_str(), text, class, old_name],
        )?;
        let step = self.conn.last_insert_rowid();
        self.conn.execute(
            "DELETE FROM journal WHERE step <= (SELECT step FROM journal ORDER BY step DESC LIMIT 1 OFFSET ?1)",
            [KEPT_STEPS],
        )?;
        Ok(Written { step, rev })
    }

    pub(super) fn unchanged(&self, kind: ChangeKind, text: String) -> Result<Change, StoreError> {
        Ok(Change { rev: self.rev()?, affected: 0, kind, text })
    }

    /// The dataset's revision: counts every change and every undo.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rev(&self) -> Result<i64, StoreError> {
        counter(self.conn, "rev")
    }

    /// For commands that carry `if_rev`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the dataset is at another revision.
    pub fn expect_rev(&self, expected: i64) -> Result<(), StoreError> {
        let rev = self.rev()?;
        if rev == expected {
            return Ok(());
        }
        Err(StoreError::Conflict(format!(
            "the dataset is at revision {rev}, not {expected}: read it again and repeat the command"
        )))
    }

    /// Takes the latest step back and says which.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when no step is left.
    pub fn undo(&self, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        let row = self
            .conn
            .query_row(
                "SELECT step, kind, text, class, old_name FROM journal ORDER BY step DESC LIMIT 1",
                [],
                |row| {
                    let class: Option<i64> = row.get(3)?;
                    let old_name: Option<String> = row.get(4)?;
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, String>(2)?,
                        class,
                        old_name,
                    ))
                },
            )
            .optional()?;
        let Some((step, kind, text, class, old_name)) = row else {
            return Err(StoreError::NotFound(format!(
                "nothing to undo: the last {KEPT_STEPS} steps are kept, deleted images for 24 hours"
            )));
        };
        let kind = ChangeKind::parse(&kind)?;
        let conn = self.conn;
        let bring_back = || {
            conn.execute(
                "UPDATE samples SET removed_ms = NULL, removed_step = NULL WHERE removed_step = ?1",
                [step],
            )
        };
        let affected = match kind {
            ChangeKind::Add | ChangeKind::Import => {
                let samples = conn.execute(
                    "UPDATE samples SET removed_ms = ?1, removed_step = 0 WHERE added_step = ?2 AND removed_ms IS NULL",
                    params![now_ms, step],
                )?;
                conn.execute("UPDATE classes SET removed_step = 0 WHERE added_step = ?1", [step])?;
                samples
            }
            ChangeKind::Relabel => conn.execute(
                "UPDATE samples SET class = l.old_class FROM journal_labels l WHERE l.step = ?1 AND l.sample = samples.id",
                [step],
            )?,
            ChangeKind::Delete | ChangeKind::Clear => bring_back()?,
            ChangeKind::AddClass => {
                conn.execute("UPDATE classes SET removed_step = 0 WHERE added_step = ?1", [step])?
            }
            ChangeKind::RenameClass => {
                conn.execute("UPDATE classes SET name = ?1 WHERE id = ?2", params![old_name, class])?
            }
            ChangeKind::RemoveClass => {
                conn.execute("UPDATE classes SET removed_step = NULL WHERE id = ?1", [class])?;
                bring_back()?
            }
        };
        conn.execute("DELETE FROM journal WHERE step = ?1", [step])?;
        let rev = count_up(conn, "rev", 1)?;
        mark.keep()?;
        Ok(Change { rev, affected, kind, text: format!("undone: {text}") })
    }
}
