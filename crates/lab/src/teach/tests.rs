//! A sample of `lab teach`, with wide margins; the whole table is docs/lab/teaching.md.

use super::*;

/// The row of a situation over some draws.
fn row(set: &Set, situation: &str, draws: u64) -> Option<Row> {
    let situation = Situation::named(situation).unwrap();
    let settings = settings(&[]).unwrap();
    let taught = |seed| rows::teach(set, situation, &settings, seed);
    Row::of(set, situation, &(0..draws).filter_map(taught).collect::<Vec<_>>())
}

/// A set of the measuring material.
fn shared(name: &str) -> Option<Set> {
    let Some(folder) = shared::folder("data/features") else {
        graft_testing::skip("shared", "data/features is not there (set GRAFT_SHARED)");
        return None;
    };
    Some(load::file(&folder.join(format!("{name}.npz"))).unwrap())
}

fn is_honest(row: &Row, most: f64) {
    let (truth, told) = row.truth.zip(row.told).unwrap();
    assert!((told - truth).abs() <= most, "{}, {}: told {told:.3}, truth {truth:.3}", row.set, row.situation);
}

#[test]
fn every_situation_can_be_taught_and_no_round_breaks() {
    let set = drawn::numbers(1);
    for situation in &SITUATIONS {
        // They need a stream.
        let none = ["other-light", "labels-late"].contains(&situation.name);
        let row = row(&set, situation.name, 2);
        assert_eq!(row.is_none(), none, "{}", situation.name);
        let Some(row) = row else { continue };
        assert_eq!(row.failures, [] as [&str; 0], "{}", situation.name);
        let chance = 1.0 / set.classes.len() as f64;
        assert!(row.truth_balanced.is_none_or(|truth| truth > chance + 0.05), "{row:?}");
    }
}

#[test]
fn more_bursts_teach_more_and_what_is_told_comes_near_the_truth() {
    let set = drawn::numbers(1);
    let (few, many) = (row(&set, "bursts-3", 6).unwrap(), row(&set, "bursts-10", 6).unwrap());
    assert!(many.truth > few.truth.map(|truth| truth + 0.05), "{many:?} {few:?}");
    assert_eq!(many.no_head, 0.0);
    // All draws are judged by the same 48 bursts, which are six points from the truth themselves.
    assert!(many.covered >= Some(0.5) && many.promoted_worse <= Some(0.2), "{many:?}");
    is_honest(&many, 0.12);
}

#[test]
fn wrong_labels_are_named_and_cost_little() {
    let set = drawn::scene().unwrap();
    let (right, wrong) = (row(&set, "bursts-5", 4).unwrap(), row(&set, "wrong-bursts-10", 4).unwrap());
    assert!(wrong.named >= Some(0.5), "{wrong:?}");
    assert!(wrong.truth > right.truth.map(|truth| truth - 0.15), "{wrong:?} {right:?}");
    // Here the light changes and labels come late, too.
    let (dark, late) = (row(&set, "other-light", 2).unwrap(), row(&set, "labels-late", 2).unwrap());
    assert!(dark.truth > Some(0.8) && late.truth < dark.truth, "{dark:?} {late:?}");
}

#[test]
fn pictures_of_an_import_judge_in_the_bursts_that_they_were_taken_in() {
    let row = row(&drawn::numbers(1), "ungrouped", 4).unwrap();
    let (truth, told) = row.truth.zip(row.told).unwrap();
    // Each by itself they say 0.99, twenty points more than the truth.
    assert!(told - truth <= 0.15, "told {told:.3}, truth {truth:.3}");
}

#[test]
fn real_embeddings_are_learned() {
    let bars = [
        ("hymenoptera__mobilenetv2_1.0_224_imagenet", "bursts-5", 0.85),
        ("hymenoptera__mcunet-5fps_imagenet", "bursts-10", 0.80),
        ("sign_digits__mobilenetv2_1.0_224_imagenet", "bursts-10", 0.60),
        ("stream_bottle__mobilenetv2_1.0_224_imagenet", "bursts-3", 0.75),
    ];
    for (name, situation, bar) in bars {
        let Some(set) = shared(name) else { return };
        let row = row(&set, situation, 3).unwrap();
        assert!(row.no_head == 0.0 && row.failures.is_empty(), "{row:?}");
        assert!(row.truth >= Some(bar), "{row:?}");
        is_honest(&row, 0.2);
    }
}

#[test]
fn the_keys_of_the_contract_are_there_and_a_draw_is_the_same_again() {
    let set = drawn::numbers(1);
    let json = |row: Row| {
        let mut json = serde_json::to_value(row).unwrap();
        // It holds the time that rounds took.
        json["seconds"].take();
        json
    };
    let found = json(row(&set, "wrong-button", 2).unwrap());
    let keys = "set backbone situation bursts draws no_head truth told within5 covered width promoted_worse \
                kept_better worst seconds labels truth_balanced";
    for key in keys.split_whitespace() {
        assert!(found.get(key).is_some(), "{key}");
    }
    assert_eq!(found, json(row(&set, "wrong-button", 2).unwrap()));
}

#[test]
fn what_is_no_set_or_situation_is_said() {
    let error = chosen(&["bursts-4".to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("no situation is called bursts-4; there are bursts-2, bursts-3"), "{error}");
}
