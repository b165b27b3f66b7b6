//! "Did you mean": the known word nearest to a mistyped one.

/// The nearest of `known` to `word` if it is near enough to be a slip of the pen: at most a third of the
/// longer word's letters (and at least one) differ. Ties go to the first.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word: String = word.chars().take(65).flat_map(char::to_lowercase).collect();
    let near = known.iter().filter_map(|&candidate| {
        let allowed = (word.chars().count().max(candidate.chars().count()) / 3).max(1);
        let steps = strsim::osa_distance(&word, candidate);
        (steps <= allowed).then_some((steps, candidate))
    });
    near.min_by_key(|(steps, _)| *steps).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["class", "hz", "max", "burst"];
        assert_eq!(nearest("clas", &known), Some("class"));
        assert_eq!(nearest("calss", &known), Some("class"));
        assert_eq!(nearest("Class", &known), Some("class"));
        assert_eq!(nearest("bursts", &known), Some("burst"));
        assert_eq!(nearest("zebra", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
