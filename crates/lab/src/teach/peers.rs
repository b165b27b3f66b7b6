//! scikit-learn, taught the same samples.

use super::rows::Taught;
use super::set::Set;
use super::truth::Recalls;
use super::truth::mean;
use crate::bench::peers::{bytes, converse};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

const SCRIPT: &str = include_str!("../../benches/peers/teach.py");

/// Recalls of the peers in one draw.
#[derive(Debug, Deserialize)]
struct Found {
    logistic: Recalls,
    lda: Recalls,
    mlp: Recalls,
}

/// How much better the board's head is than a peer, over the draws that end with a head: 0.01 is a point.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    pub set: String,
    pub backbone: String,
    pub situation: &'static str,
    pub peer: &'static str,
    /// In accuracy.
    pub accuracy: f64,
    /// In balanced accuracy.
    pub balanced: f64,
}

/// Teaches the peers what the board was taught in each draw.
///
/// # Errors
/// When Python fails.
pub fn beside(python: &str, set: &Set, situation: &'static str, draws: &[Taught]) -> Result<Vec<Beside>> {
    let draws: Vec<&Taught> = draws.iter().filter(|draw| draw.truth.is_some()).collect();
    let sizes: Vec<_> =
        draws.iter().map(|draw| json!({"n": draw.samples.len(), "m": draw.plan.judges.len()})).collect();
    let head = json!({"d": set.width, "classes": set.classes.len(), "draws": sizes});
    let mut body = Vec::new();
    for draw in &draws {
        let judging = draw.plan.judges.iter().map(|row| (*row, set.picture(*row).class.unwrap_or_default()));
        write(set, draw.samples.iter().copied(), &mut body);
        write(set, judging, &mut body);
    }
    let found: Vec<Found> = converse(python, SCRIPT, &head, &body)?;
    type Of = fn(&Found) -> &Recalls;
    let peers: [(&'static str, Of); 3] =
        [("logistic", |found| &found.logistic), ("lda", |found| &found.lda), ("mlp", |found| &found.mlp)];
    let beside = peers.into_iter().filter_map(|(peer, recalls)| {
        let both =
            || draws.iter().zip(&found).filter_map(|(draw, found)| Some((draw.truth?, draw, recalls(found))));
        Some(Beside {
            set: set.name.clone(),
            backbone: set.backbone.clone(),
            situation,
            peer,
            accuracy: mean(both().map(|(truth, draw, peer)| truth.accuracy - peer.accuracy(&draw.mix)))?,
            balanced: mean(both().map(|(truth, _, peer)| truth.balanced - peer.balanced()))?,
        })
    });
    Ok(beside.collect())
}

/// The mean of each peer over all rows.
pub fn means(rows: &[Beside]) -> Vec<Beside> {
    let of = |peer: &'static str| {
        let over = |figure: fn(&Beside) -> f64| mean(rows.iter().filter(|row| row.peer == peer).map(figure));
        Some(Beside {
            set: "all".into(),
            backbone: String::new(),
            situation: "all",
            peer,
            accuracy: over(|row| row.accuracy)?,
            balanced: over(|row| row.balanced)?,
        })
    };
    ["logistic", "lda", "mlp"].into_iter().filter_map(of).collect()
}

fn write(set: &Set, rows: impl Iterator<Item = (usize, usize)> + Clone, body: &mut Vec<u8>) {
    body.extend(bytes(
        rows.clone().flat_map(|(row, _)| set.stored(row).map(|value| value.to_bits().to_le_bytes())),
    ));
    body.extend(bytes(rows.map(|(_, label)| (label as u32).to_le_bytes())));
}
