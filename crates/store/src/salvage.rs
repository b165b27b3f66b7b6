//! Copying what is still readable from a damaged database into a fresh one. Every row is checked; images and head files
//! against their digests. Deleted samples and the journal are left behind.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};
use sha2::{Digest, Sha256};

use super::StoreError;

/// Rows copied in one transaction.
const GROUP: usize = 64;

/// A table, its columns, and the rows of it that are worth saving.
struct Part {
    table: &'static str,
    columns: &'static str,
    key: &'static str,
    only: &'static str,
}

/// In an order that satisfies the references. `0` stands for a step of the journal that is left behind.
const SMALL: [Part; 7] = [
    Part { table: "classes", columns: "id, name, 0 AS added_step", key: "id", only: "removed_step IS NULL" },
    Part { table: "backbones", columns: "id, digest, width", key: "id", only: "1" },
    Part {
        table: "heads",
        columns: "version, sha256, bytes, manifest, method, metrics, gate, parent, restored_from, backbone, classes, snapshot, created_ms, promoted_ms, published_ms",
        key: "version",
        only: "1",
    },
    Part {
        table: "backbone_versions",
        columns: "id, version, digest, manifest, origin, stage, reason, created_ms, changed_ms",
        key: "id",
        only: "1",
    },
    Part { table: "state", columns: "key, value", key: "key", only: "1" },
    Part { table: "replies", columns: "seq, id, reply", key: "seq", only: "1" },
    Part { table: "outbox", columns: "seq, topic, retain, payload", key: "seq", only: "1" },
];

const SAMPLES: Part = Part {
    table: "samples",
    columns: "id, class, burst, sha256, bytes, frame, taken_ms, source, by, roi, added_ms, added_rev, 0 AS added_step",
    key: "id",
    only: "removed_ms IS NULL",
};

/// After the heads, which it refers to.
const PAIRS: Part = Part { table: "pairs", columns: "slot, backbone, head", key: "slot", only: "1" };

/// Copies from `damaged` into the fresh `conn`; samples only with `with_samples` (there is room for them). Returns how
/// many samples were saved. What cannot be read is skipped.
///
/// # Errors
/// Failures of the fresh database.
pub(super) fn salvage(
    conn: &mut Connection,
    damaged: &Path,
    with_samples: bool,
) -> Result<usize, StoreError> {
    // SQLite deletes the log of an empty database, even when it only reads.
    if !std::fs::metadata(damaged).is_ok_and(|file| file.len() > 0) {
        return Ok(0);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(old) = Connection::open_with_flags(damaged, flags) else { return Ok(0) };
    let _ = old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    for part in &SMALL {
        copy(&old, conn, part, &mut |_, _, _| Ok(true))?;
    }
    copy_heads(&old, conn)?;
    copy(&old, conn, &PAIRS, &mut |_, _, _| Ok(true))?;
    for name in ["rev", "head_version", "boot", "outbox_dropped"] {
        let found =
            old.query_row("SELECT value FROM counters WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
        if let Ok(value) = found {
            conn.execute(
                "UPDATE counters SET value = max(value, ?1) WHERE name = ?2",
                (value.clamp(0, 1 << 53), name),
            )?;
        }
    }
    conn.execute(
        "UPDATE counters SET value = max(value, (SELECT coalesce(max(version), 0) FROM heads)) WHERE name = 'head_version'",
        [],
    )?;
    conn.execute("UPDATE counters SET value = value + 1 WHERE name = 'rev'", [])?;
    if with_samples { copy(&old, conn, &SAMPLES, &mut copy_image) } else { Ok(0) }
}

type Also<'a> = dyn FnMut(&Connection, &Connection, &[Value]) -> Result<bool, StoreError> + 'a;

/// Copies a table from both ends, as a scan stops at the first damaged page. `also` copies what belongs to a row, and
/// says whether the row is worth having.
fn copy(
    old: &Connection,
    conn: &mut Connection,
    part: &Part,
    also: &mut Also<'_>,
) -> Result<usize, StoreError> {
    let mut copied = 0;
    for order in ["ASC", "DESC"] {
        let Part { table, columns, key, only } = part;
        let sql = format!("SELECT {columns} FROM {table} NOT INDEXED WHERE {only} ORDER BY {key} {order}");
        let Ok(mut statement) = old.prepare(&sql) else { return Ok(copied) };
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({marks})", names.join(", "));
        let Ok(mut rows) = statement.query([]) else { return Ok(copied) };
        let mut more = true;
        while more {
            let tx = conn.transaction()?;
            for _ in 0..GROUP {
                let values = match rows.next() {
                    Ok(Some(row)) => {
                        (0..names.len()).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>()
                    }
                    Ok(None) | Err(_) => {
                        more = false;
                        break;
                    }
                };
                let Ok(values) = values else { continue };
                match insert_row(old, &tx, &insert, &values, also) {
                    Ok(true) => copied += 1,
                    Ok(false) => {}
                    // A row that breaks a rule of the schema is damaged.
                    Err(StoreError::Conflict(_) | StoreError::Invalid(_)) => {}
                    Err(other) => return Err(other),
                }
            }
            tx.commit()?;
        }
    }
    Ok(copied)
}

fn insert_row(
    old: &Connection,
    tx: &Connection,
    insert: &str,
    values: &[Value],
    also: &mut Also<'_>,
) -> Result<bool, StoreError> {
    tx.execute_batch("SAVEPOINT row")?;
    let outcome = match tx.execute(insert, params_from_iter(values)) {
        Ok(0) => Ok(false),
        Ok(_) => also(old, tx, values),
        Err(error) => Err(error.into()),
    };
    tx.execute_batch(if matches!(outcome, Ok(true)) {
        "RELEASE row"
    } else {
        "ROLLBACK TO row; RELEASE row"
    })?;
    outcome
}

/// The image of a sample, if its digest is right, and its embeddings.
fn copy_image(old: &Connection, tx: &Connection, sample: &[Value]) -> Result<bool, StoreError> {
    let [Value::Integer(id), _, _, Value::Blob(digest), ..] = sample else { return Ok(false) };
    let jpeg =
        old.query_row("SELECT jpeg FROM images WHERE sample = ?1", [id], |row| row.get::<_, Vec<u8>>(0));
    let Ok(jpeg) = jpeg else { return Ok(false) };
    if Sha256::digest(&jpeg).as_slice() != digest.as_slice() {
        return Ok(false);
    }
    tx.execute("INSERT INTO images (sample, jpeg) VALUES (?1, ?2)", (id, &jpeg))?;
    // Embeddings carry no digest; a lost one is computed again.
    let Ok(mut statement) = old.prepare("SELECT backbone, f16 FROM embeddings WHERE sample = ?1") else {
        return Ok(true);
    };
    let Ok(mut rows) = statement.query([id]) else { return Ok(true) };
    while let Ok(Some(row)) = rows.next() {
        let (Ok(backbone), Ok(f16)) = (row.get::<_, i64>(0), row.get::<_, Vec<u8>>(1)) else { continue };
        tx.execute(
            "INSERT OR IGNORE INTO embeddings (sample, backbone, f16)
             SELECT ?1, id, ?3 FROM backbones WHERE id = ?2 AND width * 2 = length(?3)",
            (id, backbone, f16),
        )?;
    }
    Ok(true)
}

/// Head files with the right digest, and which of them serve.
fn copy_heads(old: &Connection, conn: &mut Connection) -> Result<(), StoreError> {
    let tx = conn.transaction()?;
    let heads: Vec<(i64, Vec<u8>)> = {
        let mut statement = tx.prepare("SELECT version, sha256 FROM heads")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (version, digest) in heads {
        let sql = "SELECT file, held_out FROM head_files WHERE version = ?1";
        let found =
            old.query_row(sql, [version], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
        if let Ok((file, held_out)) = found
            && Sha256::digest(&file).as_slice() == digest.as_slice()
        {
            tx.execute(
                "INSERT INTO head_files (version, file, held_out) VALUES (?1, ?2, ?3)",
                (version, file, held_out),
            )?;
        }
    }
    for slot in ["active", "previous", "pinned"] {
        let found = old
            .query_row("SELECT version FROM serving WHERE slot = ?1", [slot], |row| row.get::<_, i64>(0))
            .optional();
        if let Ok(Some(version)) = found {
            tx.execute(
                "INSERT INTO serving (slot, version) SELECT ?1, version FROM head_files WHERE version = ?2",
                (slot, version),
            )?;
        }
    }
    tx.commit()?;
    Ok(())
}
