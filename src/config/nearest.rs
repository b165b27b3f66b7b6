//! The known key nearest to a mistyped one.

use graft_wire::nearest::nearest as spelling;

/// The dotted key that was most likely meant: the nearest name in the same section, else the nearest of all,
/// else one of that name in another section. A mistyped section gives the nearest section, in brackets.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let all: Vec<&str> = known.collect();
    let split = |key: &'a str| key.split_once('.').unwrap_or(("", key));
    let (section, name) = word.split_once('.').unwrap_or(("", word));
    let names: Vec<&str> =
        all.iter().map(|key| split(key)).filter(|(s, _)| *s == section).map(|(_, n)| n).collect();
    if let Some(near) = spelling(name, &names) {
        return Some(if section.is_empty() { near.to_owned() } else { format!("{section}.{near}") });
    }
    let elsewhere = || all.iter().copied().find(|key| split(key).1 == name).map(str::to_owned);
    if section.is_empty() {
        let sections: Vec<&str> = all.iter().map(|key| split(key).0).filter(|s| !s.is_empty()).collect();
        return elsewhere().or_else(|| spelling(name, &sections).map(|near| format!("[{near}]")));
    }
    elsewhere().or_else(|| spelling(word, &all).map(str::to_owned))
}
