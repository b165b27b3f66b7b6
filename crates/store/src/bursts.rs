//! Bursts: samples that were taken together.

use rusqlite::{Connection, params};

use super::{Store, StoreError, Tx, classes};

/// The samples of one burst in one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurstRow {
    pub burst: String,
    pub class: String,
    /// How many samples it has.
    pub samples: usize,
    /// The first of them, ascending.
    pub ids: Vec<i64>,
    /// When the first one was taken, in ms since 1970.
    pub taken_ms: i64,
}

impl Store {
    /// The bursts of live samples, the one with the newest sample first, each with at most `most` ids; and how many bursts
    /// there are. Samples of one burst in two classes are two rows.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown class.
    pub fn bursts(
        &mut self,
        class: Option<&str>,
        limit: usize,
        offset: usize,
        most: usize,
    ) -> Result<(Vec<BurstRow>, usize), StoreError> {
        self.read(|conn| list(conn, class, limit, offset, most))
    }

    /// Id and class of each live sample, ascending.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn labels(&mut self) -> Result<Vec<(i64, String)>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT s.id, c.name FROM samples s JOIN classes c ON c.id = s.class
                       WHERE s.removed_ms IS NULL ORDER BY s.id";
            let mut statement = conn.prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

impl Tx<'_> {
    /// The live samples of a burst, ascending.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub fn samples_of_burst(&self, burst: &str) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT id FROM samples WHERE burst = ?1 AND removed_ms IS NULL ORDER BY id";
        let mut statement = self.conn.prepare(sql)?;
        let ids: Vec<i64> = statement.query_map([burst], |row| row.get(0))?.collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Err(StoreError::NotFound(format!("no sample of burst \"{burst}\" is there")));
        }
        Ok(ids)
    }
}

fn list(
    conn: &Connection,
    class: Option<&str>,
    limit: usize,
    offset: usize,
    most: usize,
) -> Result<(Vec<BurstRow>, usize), StoreError> {
    let class = class.map(|name| classes::require(conn, name)).transpose()?;
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let total: i64 = conn.query_row(
        "SELECT count(*) FROM (SELECT 1 FROM samples
         WHERE removed_ms IS NULL AND (?1 IS NULL OR class = ?1) GROUP BY class, burst)",
        params![class],
        |row| row.get(0),
    )?;
    let mut groups = conn.prepare(
        "SELECT s.burst, s.class, c.name, count(*), min(s.taken_ms) FROM samples s JOIN classes c ON c.id = s.class
         WHERE s.removed_ms IS NULL AND (?1 IS NULL OR s.class = ?1)
         GROUP BY s.class, s.burst ORDER BY max(s.id) DESC LIMIT ?2 OFFSET ?3",
    )?;
    let mut members = conn.prepare(
        "SELECT id FROM samples WHERE class = ?1 AND burst = ?2 AND removed_ms IS NULL ORDER BY id LIMIT ?3",
    )?;
    let mut rows = groups.query(params![class, whole(limit), whole(offset)])?;
    let mut bursts = Vec::new();
    while let Some(row) = rows.next()? {
        let (burst, class): (String, i64) = (row.get(0)?, row.get(1)?);
        let ids = members.query_map(params![class, burst, whole(most)], |row| row.get(0))?;
        let ids = ids.collect::<Result<_, _>>()?;
        let samples: i64 = row.get(3)?;
        bursts.push(BurstRow {
            burst,
            class: row.get(2)?,
            samples: usize::try_from(samples).unwrap_or(0),
            ids,
            taken_ms: row.get(4)?,
        });
    }
    Ok((bursts, usize::try_from(total).unwrap_or(0)))
}
