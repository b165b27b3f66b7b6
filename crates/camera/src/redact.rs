//! Takes passwords out of texts that may be logged or published.

/// Replaces the `user:password@` of every URL in `text` by `***@`.
pub(super) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '?' | '#');
        let host = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match host.rfind('@') {
            Some(sign) => {
                out.push_str("***");
                &after[sign..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn passwords_of_urls_disappear_and_nothing_else_does() {
        assert_eq!(redact("ffmpeg -i rtsp://me:p@ss@10.0.0.1/a -f"), "ffmpeg -i rtsp://***@10.0.0.1/a -f");
        assert_eq!(redact("'http://u:p@h' and http://h/x@y"), "'http://***@h' and http://h/x@y");
        assert_eq!(redact("nothing here: é://"), "nothing here: é://");
    }
}
