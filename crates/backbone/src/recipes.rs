//! The cards that are built in, and the tiny backbone for tests and the demo.

use super::card::Card;

const CARDS: [(&str, &str); 5] = [
    ("models/mobilenetv2.toml", include_str!("../../../models/mobilenetv2.toml")),
    ("models/squeezenet1.1.toml", include_str!("../../../models/squeezenet1.1.toml")),
    ("models/resnet18.toml", include_str!("../../../models/resnet18.toml")),
    ("models/efficientnet-lite0.toml", include_str!("../../../models/efficientnet-lite0.toml")),
    ("models/mobilenetv3-small.toml", include_str!("../../../models/mobilenetv3-small.toml")),
];

/// Cards of well-known backbones that can be fetched.
pub fn recipes() -> Vec<Card> {
    CARDS.iter().filter_map(|(name, text)| Card::parse(text, name).ok()).collect()
}

/// The tiny backbone made by this project, and its card.
pub fn tiny() -> (&'static [u8], Card) {
    let bytes = include_bytes!("../../../models/tiny.onnx");
    let card = Card::parse(include_str!("../../../models/tiny.toml"), "models/tiny.toml");
    // A test holds that the embedded card is valid.
    (bytes, card.expect("the embedded card is valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_card_is_complete() {
        for (place, text) in CARDS {
            let card = Card::parse(text, place).unwrap();
            assert_eq!(card.sha256.len(), 64, "{place}");
            assert!(
                card.bytes > 1_000_000 && card.width > 0 && card.urls.len() >= 2 && !card.licence.is_empty(),
                "{place}"
            );
            assert!(
                card.urls.iter().all(|url| url.starts_with("https://") && url.ends_with(".onnx")),
                "{place}"
            );
            assert!(place.ends_with(&format!("/{}.toml", card.name)), "{place}");
        }
        assert_eq!(recipes().len(), CARDS.len());
    }

    #[test]
    fn the_tiny_backbone_runs_and_matches_its_card() {
        let (bytes, card) = tiny();
        assert!(bytes.len() <= 2 << 20);
        let mut backbone = crate::Backbone::from_bytes(bytes, &card).unwrap();
        let mut picture = graft_base::frame::Rgb::black(64, 48);
        picture.bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index * 7 % 256) as u8);
        let embedding = backbone.embed(&picture, None).unwrap();
        assert_eq!(embedding.len(), backbone.width());
        assert_ne!(embedding, backbone.embed(&graft_base::frame::Rgb::black(64, 48), None).unwrap());
    }
}
