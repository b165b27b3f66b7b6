//! "Did you mean": the known word nearest to a mistyped one.

/// The nearest of `known` to `word` if it is near enough to be a slip of the pen: at most a third of the
/// longer word's letters (and at least one) differ. Ties go to the first.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word: Vec<char> = word.chars().take(65).flat_map(char::to_lowercase).collect();
    let mut best: Option<(usize, &'k str)> = None;
    for &candidate in known {
        let letters: Vec<char> = candidate.chars().collect();
        let allowed = (word.len().max(letters.len()) / 3).max(1);
        let steps = distance(&word, &letters);
        if steps <= allowed && best.is_none_or(|(least, _)| steps < least) {
            best = Some((steps, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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

    #[test]
    fn the_distance_counts_single_edits() {
        let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(d("kitten", "sitting"), 3);
        assert_eq!(d("ab", "ba"), 1);
        assert_eq!(d("", "abc"), 3);
        assert_eq!(d("abc", "abc"), 0);
    }
}
