//! RFC 3339 text and milliseconds since 1970, both ways. Nothing here looks at a clock.

use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond of the year 9999, the end of RFC 3339.
const LAST_MS: i64 = 253_402_300_799_999;

/// `2026-03-01T12:00:00.000Z`. Times before 1970 or after 9999 are written as that border.
pub fn rfc3339(ms: i64) -> String {
    let ms = ms.clamp(0, LAST_MS).unsigned_abs();
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
}

/// Milliseconds since 1970 of an RFC 3339 time, with `Z` or an offset like `+02:00`.
/// `None` if it is none, or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    // The longest form is nanoseconds with an offset.
    if !text.is_ascii() || text.len() > 35 || text.len() < 20 {
        return None;
    }
    let (utc, offset_minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(utc) => (utc, 0),
        None => {
            let (utc, offset) = text.split_at(text.len() - 6);
            (utc, offset_minutes(offset)?)
        }
    };
    let time = humantime::parse_rfc3339(&format!("{utc}Z")).ok()?;
    let ms = i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    let ms = ms.checked_sub(offset_minutes * 60_000)?;
    (0..=LAST_MS).contains(&ms).then_some(ms)
}

/// Minutes of `+hh:mm` or `-hh:mm`.
fn offset_minutes(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let two = |digits: &str, most: i64| {
        let whole = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = digits.parse().ok()?;
        (whole && number <= most).then_some(number)
    };
    Some(sign * (two(hours, 23)? * 60 + two(minutes, 59)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offsets_are_taken_off() {
        let noon = parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        assert_eq!(noon, 1_772_366_400_000);
        assert_eq!(parse_rfc3339("2026-03-01T14:00:00+02:00"), Some(noon));
        assert_eq!(parse_rfc3339("2026-03-01T06:30:00-05:30"), Some(noon));
        assert_eq!(parse_rfc3339("2026-03-01T12:00:00.250Z"), Some(noon + 250));
        assert_eq!(rfc3339(noon), "2026-03-01T12:00:00.000Z");
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "now",
            "2026-03-01",
            "2026-03-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-03-01T12:00:00+2:00",
            "2026-03-01T12:00:00+99:00",
            "2026-03-01T12:00:00é",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
        assert_eq!(rfc3339(i64::MIN), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn times_survive_the_round_trip(ms in 0..=LAST_MS) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(ms)), Some(ms));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}", near in "[0-9TZ:+. -]{0,36}") {
            let _ = parse_rfc3339(&text);
            let _ = parse_rfc3339(&near);
        }
    }
}
