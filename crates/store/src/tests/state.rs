use super::*;
use crate::{StoreError, journal};

fn counter(store: &mut Store, name: &str) -> i64 {
    store.read(|conn| journal::counter(conn, name)).expect("counter")
}

#[test]
fn wanted_state_and_the_start_counter_survive() {
    let (dir, mut store) = fresh();
    assert_eq!(counter(&mut store, "boot"), 1);
    store.put_state("mode", "adapt").expect("stored");
    store.put_state("mode", "infer").expect("replaced");
    store.put_state("gone", "x").expect("stored");
    store.drop_state("gone").expect("dropped");
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(counter(&mut store, "boot"), 2);
    assert_eq!(store.get_state("mode").expect("read").as_deref(), Some("infer"));
    assert_eq!(store.get_state("gone").expect("read"), None);
    assert!(matches!(store.put_state("", "x"), Err(StoreError::Invalid(_))));
    assert!(matches!(store.put_state("k", &"x".repeat(2 << 20)), Err(StoreError::Invalid(_))));
}

#[test]
fn i8_an_effect_and_its_reply_are_one() {
    let (dir, mut store) = fresh();
    let command = |store: &mut Store, id: &str| {
        store.transaction(|tx| {
            let change = tx.ensure_class("new", NOW)?;
            tx.push("event", b"class added", false)?;
            tx.remember_reply(id, &format!("{{\"made\":{}}}", change.is_some()))
        })
    };
    command(&mut store, "c1").expect("done");
    let rev = store.rev().expect("rev");
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.reply_for("c1").expect("read").as_deref(), Some("{\"made\":true}"));
    store.undo(NOW).expect("undone");
    // The repeated command changes nothing: class, message and reply are taken back together.
    assert!(matches!(command(&mut store, "c1"), Err(StoreError::Conflict(_))));
    assert_eq!((store.rev().expect("rev"), store.classes().expect("classes").len()), (rev + 1, 2));
    assert_eq!(store.pending(0, 10).expect("pending").len(), 1);
    store.replace_reply("c1", "{}").expect("replaced");
    assert_eq!(store.reply_for("c1").expect("read").as_deref(), Some("{}"));
}

#[test]
fn the_last_256_replies_are_kept() {
    let (_dir, mut store) = fresh();
    store
        .transaction(|tx| (0..300).try_for_each(|n| tx.remember_reply(&format!("id{n}"), "{}")))
        .expect("remembered");
    assert_eq!(store.reply_for("id43").expect("read"), None);
    assert!(store.reply_for("id44").expect("read").is_some());
    assert!(store.reply_for("id299").expect("read").is_some());
}

#[test]
fn the_outbox_keeps_its_order_and_its_bounds() {
    let (dir, mut store) = fresh();
    let first = store.push("a/b", b"1", true).expect("pushed");
    store.push("a/c", b"2", false).expect("pushed");
    drop(store);
    let mut store = open(dir.path());
    let pending = store.pending(0, 10).expect("pending");
    assert_eq!((pending[0].seq, pending[0].topic.as_str(), pending[0].retain), (first, "a/b", true));
    assert_eq!((pending[1].payload.as_slice(), pending[1].retain), (b"2".as_slice(), false));
    assert_eq!(store.pending(first, 10).expect("pending").len(), 1);
    store.done(first).expect("done");
    store.done(first).expect("done twice");

    store
        .transaction(|tx| (0..1100).try_for_each(|_| tx.push("t", b"x", false).map(|_| ())))
        .expect("pushed");
    let pending = store.pending(0, 5000).expect("pending");
    assert_eq!((pending.len(), counter(&mut store, "outbox_dropped")), (1000, 101));
    assert!(pending.windows(2).all(|two| two[0].seq < two[1].seq));
    assert!(pending[0].seq > first);
    let big = vec![0; 1 << 20];
    store.transaction(|tx| (0..20).try_for_each(|_| tx.push("t", &big, false).map(|_| ()))).expect("pushed");
    let pending = store.pending(0, 5000).expect("pending");
    assert!(pending.iter().map(|message| message.payload.len()).sum::<usize>() <= 16 << 20);
    assert!(matches!(store.push("t", &vec![0; 2 << 20], false), Err(StoreError::Invalid(_))));
    assert!(matches!(store.push("", b"", false), Err(StoreError::Invalid(_))));
}

#[test]
fn a_failed_change_leaves_nothing_behind_in_a_transaction_that_goes_on() {
    let (_dir, mut store) = fresh();
    let id = store.add_samples(&[sample("ok", "b", 1)], NOW).expect("added").ids[0];
    let before = store.counts().expect("counts");
    store
        .transaction(|tx| {
            let failed = tx.add_samples(&[sample("ok", "b", 2), sample("typo", "b", 3)], NOW);
            assert!(failed.is_err());
            assert!(tx.relabel(&[id, 99], "bad", NOW).is_err());
            let version = tx.next_head_version()?;
            let head = crate::NewHead { version, file: vec![], ..Default::default() };
            assert!(tx.promote(&head, NOW).is_err());
            tx.remember_reply("c1", "{\"status\":\"error\"}")
        })
        .expect("the reply is remembered");
    assert_eq!(store.counts().expect("counts"), before);
    assert!(store.reply_for("c1").expect("read").is_some());
}

#[test]
fn nothing_is_kept_of_a_transaction_that_sqlite_ended() {
    let (_dir, mut store) = fresh();
    let outcome = store.transaction(|tx| {
        tx.put_state("a", "1")?;
        tx.conn.execute_batch("ROLLBACK").expect("as SQLite does after some errors");
        assert!(tx.put_state("b", "2").is_err());
        assert!(tx.add_class("c", NOW).is_err());
        assert!(tx.remember_reply("d", "{}").is_err());
        assert!(tx.push("e", b"", false).is_err());
        assert!(tx.next_head_version().is_err());
        Ok(())
    });
    assert!(outcome.is_err());
    assert_eq!(store.get_state("a").expect("read"), None);
    assert_eq!(store.get_state("b").expect("read"), None);
    assert_eq!(
        (store.classes().expect("classes").len(), store.pending(0, 9).expect("pending").len()),
        (2, 0)
    );
}
