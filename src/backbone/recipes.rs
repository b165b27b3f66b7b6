//! The cards that are built in, and the tiny backbone for tests and the demo.

use super::card::Card;

const CARDS: [(&str, &str); 0] = [];

/// Cards of well-known backbones that can be fetched.
pub fn recipes() -> Vec<Card> {
    CARDS.iter().filter_map(|(name, text)| Card::parse(text, name).ok()).collect()
}

/// The tiny backbone made by this project, and its card.
pub fn tiny() -> (&'static [u8], Card) {
    let bytes = include_bytes!("../../models/tiny.onnx");
    let card = Card::parse(include_str!("../../models/tiny.toml"), "models/tiny.toml");
    // A test holds that the embedded card is valid.
    (bytes, card.expect("the embedded card is valid"))
}
