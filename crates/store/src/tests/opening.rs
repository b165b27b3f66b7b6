use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{Opened, StoreError};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn a_fresh_store_is_private_and_found_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("a/b/state");
    let (mut store, opened) = Store::open_with(&state, ROOMY, Box::new(|_| Ok(0))).expect("opens");
    assert_eq!(opened, Opened::Fresh);
    store.add_class("ok", NOW).expect("a class");
    assert_eq!((mode(&state), mode(&state.join("a").with_file_name("graft.db"))), (0o700, 0o600));
    for entry in fs::read_dir(&state).expect("list") {
        let path = entry.expect("entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    fs::set_permissions(state.join("graft.db"), fs::Permissions::from_mode(0o644)).expect("loosened");
    let (mut store, opened) = Store::open_with(&state, ROOMY, Box::new(|_| Ok(0))).expect("opens");
    assert_eq!((opened, mode(&state.join("graft.db"))), (Opened::Ok, 0o600));
    assert_eq!(store.classes().expect("classes").len(), 1);
}

#[test]
fn a_second_opener_is_refused_with_the_owners_id() {
    let (dir, store) = fresh();
    let error = Store::open(dir.path(), ROOMY).map(|_| ()).expect_err("locked");
    assert!(
        matches!(&error, StoreError::Locked(text) if text.contains(&std::process::id().to_string())),
        "{error}"
    );
    assert!(error.retryable());
    drop(store);
    open(dir.path());
}

#[test]
fn a_lock_that_is_about_to_be_let_go_of_is_waited_for() {
    let (dir, store) = fresh();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(store);
    });
    open(dir.path());
    letting_go.join().expect("let go");
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (dir, store) = fresh();
    drop(store);
    let path = dir.path().join("graft.db");
    let raw = rusqlite::Connection::open(&path).expect("raw");
    raw.execute_batch("PRAGMA user_version = 99").expect("raised");
    drop(raw);
    let before = fs::read(&path).expect("read");
    let error = Store::open(dir.path(), ROOMY).map(|_| ()).expect_err("refused");
    assert!(
        matches!(&error, StoreError::Newer { found: 99, known: super::super::schema::NEWEST, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("install the newer graft"), "{error}");
    assert!(fs::read(&path).expect("read") == before);
}

#[test]
fn the_promised_settings_are_on() {
    let (_dir, mut store) = fresh();
    let ask = |store: &mut Store, name: &str| -> String {
        let sql = format!("PRAGMA {name}");
        store
            .read(|conn| {
                Ok(conn
                    .query_row(&sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
                    .map(|v| format!("{v:?}"))?)
            })
            .expect("asked")
    };
    assert_eq!(ask(&mut store, "journal_mode"), "Text(\"wal\")");
    assert_eq!(ask(&mut store, "synchronous"), "Integer(2)");
    assert_eq!(ask(&mut store, "foreign_keys"), "Integer(1)");
    assert_eq!(ask(&mut store, "auto_vacuum"), "Integer(2)");
}

#[test]
fn a_folder_that_cannot_be_is_an_error_not_a_loop() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("file"), "x").expect("written");
    let error = Store::open(&dir.path().join("file/state"), ROOMY).map(|_| ()).expect_err("refused");
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    fs::create_dir(dir.path().join("graft.db")).expect("made");
    let error = Store::open(dir.path(), ROOMY).map(|_| ()).expect_err("refused");
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

#[test]
fn the_store_can_move_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    let (_dir, store) = fresh();
    sendable(&store);
}

#[test]
fn the_document_names_every_table_and_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/store.md");
    let text = std::fs::read_to_string(&path).expect("docs/reference/store.md");
    let (_dir, mut store) = fresh();
    let tables: Vec<String> = store
        .read(|conn| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
            let mut statement = conn.prepare(sql)?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        })
        .expect("tables");
    assert!(tables.len() >= 13);
    for table in tables {
        assert!(
            text.contains(&format!("`{table}`")),
            "docs/reference/store.md does not name the table {table}"
        );
    }
    assert!(text.contains("last 200 steps") && crate::journal::KEPT_STEPS == 200);
}
