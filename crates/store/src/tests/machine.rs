//! Random sessions against a plain model in memory, with restarts in between.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Add { class: usize, burst: u8, count: u8 },
    Relabel { which: usize, class: usize },
    Delete { which: usize },
    AddClass,
    Rename { class: usize },
    RemoveClass { class: usize },
    Clear,
    Undo,
    CalledOff,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<usize>(), 0..6u8, 1..4u8).prop_map(|(class, burst, count)| Op::Add { class, burst, count }),
        4 => (any::<usize>(), any::<usize>()).prop_map(|(which, class)| Op::Relabel { which, class }),
        3 => any::<usize>().prop_map(|which| Op::Delete { which }),
        2 => Just(Op::AddClass),
        2 => any::<usize>().prop_map(|class| Op::Rename { class }),
        1 => any::<usize>().prop_map(|class| Op::RemoveClass { class }),
        1 => Just(Op::Clear),
        6 => Just(Op::Undo),
        1 => Just(Op::CalledOff),
        1 => Just(Op::Reopen),
    ]
}

/// The reference: classes in order, samples as (id, class id, burst, image).
#[derive(Clone, Debug, Default, PartialEq)]
struct Reference {
    classes: Vec<(u64, String)>,
    samples: Vec<(i64, u64, String, Vec<u8>)>,
}

impl Reference {
    fn name(&self, id: u64) -> String {
        self.classes.iter().find(|class| class.0 == id).map(|class| class.1.clone()).expect("a class")
    }

    fn agrees(&self, store: &mut Store) {
        let classes = store.classes().expect("classes");
        assert_eq!(
            classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>(),
            self.classes.iter().map(|class| class.1.clone()).collect::<Vec<_>>()
        );
        for (class, (id, _)) in classes.iter().zip(&self.classes) {
            assert_eq!(class.samples, self.samples.iter().filter(|sample| sample.1 == *id).count());
        }
        let rows = store.samples(&Default::default(), 10_000, 0).expect("listed");
        let mut expected = self.samples.clone();
        expected.sort();
        assert_eq!(rows.len(), expected.len());
        for (row, (id, class, burst, jpeg)) in rows.iter().zip(&expected) {
            assert_eq!((row.id, &row.class, &row.burst), (*id, &self.name(*class), burst));
            assert_eq!(&store.image(*id).expect("whole"), jpeg);
        }
        let labelled = store.snapshot(BACKBONE).expect("snapshot");
        assert_eq!(labelled.ids, expected.iter().map(|sample| sample.0).collect::<Vec<_>>());
        assert_eq!(labelled.missing, 0);
    }
}

fn run(ops: &[Op]) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(dir.path());
    let mut now = Reference::default();
    let mut past: Vec<Reference> = Vec::new();
    let (mut made_classes, mut made_frames) = (0u64, 0u64);
    for op in ops {
        let before = now.clone();
        let rev = store.rev().expect("rev");
        let pick = |n: usize, of: usize| if of == 0 { None } else { Some(n % of) };
        let mut changed = true;
        match op {
            Op::AddClass => {
                made_classes += 1;
                let name = format!("c{made_classes}");
                store.add_class(&name, NOW).expect("added");
                now.classes.push((made_classes, name));
            }
            Op::Add { class, burst, count } => match pick(*class, now.classes.len()) {
                Some(class) => {
                    let (id, name) = now.classes[class].clone();
                    let burst = format!("b{burst}");
                    let group: Vec<_> = (0..*count)
                        .map(|_| {
                            made_frames += 1;
                            sample(&name, &burst, made_frames)
                        })
                        .collect();
                    let added = store.add_samples(&group, NOW).expect("added");
                    for (sample, given) in added.ids.iter().zip(group) {
                        now.samples.push((*sample, id, burst.clone(), given.jpeg));
                    }
                }
                None => changed = false,
            },
            Op::Relabel { which, class } => {
                match (pick(*which, now.samples.len()), pick(*class, now.classes.len())) {
                    (Some(at), Some(class)) => {
                        let (id, name) = now.classes[class].clone();
                        let change = store.relabel(&[now.samples[at].0], &name, NOW).expect("relabelled");
                        changed = change.affected == 1;
                        now.samples[at].1 = id;
                    }
                    _ => changed = false,
                }
            }
            Op::Delete { which } => match pick(*which, now.samples.len()) {
                Some(at) => {
                    let gone = now.samples.remove(at);
                    store.delete(&[gone.0], NOW).expect("deleted");
                }
                None => changed = false,
            },
            Op::Rename { class } => match pick(*class, now.classes.len()) {
                Some(at) => {
                    let fresh = format!("{}r", now.classes[at].1);
                    store.rename_class(&now.classes[at].1, &fresh, NOW).expect("renamed");
                    now.classes[at].1 = fresh;
                }
                None => changed = false,
            },
            Op::RemoveClass { class } => match pick(*class, now.classes.len()) {
                Some(at) => {
                    let (id, name) = now.classes.remove(at);
                    store.remove_class(&name, false, NOW).expect("removed");
                    now.samples.retain(|sample| sample.1 != id);
                }
                None => changed = false,
            },
            Op::Clear => {
                changed = store.clear(NOW).expect("cleared").affected > 0;
                now.samples.clear();
            }
            Op::Undo => match past.pop() {
                Some(before) => {
                    assert_eq!(store.undo(NOW).expect("undone").rev, rev + 1);
                    now = before;
                    now.agrees(&mut store);
                    continue;
                }
                None => {
                    assert!(store.undo(NOW).is_err());
                    changed = false;
                }
            },
            Op::CalledOff => {
                let outcome: Result<(), _> = store.transaction(|tx| {
                    tx.add_class("never", NOW)?;
                    tx.clear(NOW)?;
                    Err(crate::StoreError::Conflict("called off".into()))
                });
                assert!(outcome.is_err());
                changed = false;
            }
            Op::Reopen => {
                drop(store);
                store = open(dir.path());
                now.agrees(&mut store);
                changed = false;
            }
        }
        assert_eq!(store.rev().expect("rev"), rev + i64::from(changed), "{op:?}");
        if changed {
            past.push(before);
        }
    }
    now.agrees(&mut store);
    store.verify().expect("sound");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_session_equals_the_reference(ops in prop::collection::vec(op(), 1..50)) {
        run(&ops);
    }
}
