//! The little of URLs that a camera address needs.

use std::fmt;

/// `http://host[:port]/path?query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub host: String,
    pub port: u16,
    /// With its query, without a fragment; begins with a slash.
    pub path: String,
}

impl Url {
    /// Reads an address; every refusal says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("camera.url must begin with http://".into());
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!(
                "camera.url: {scheme}:// is not read by http_mjpeg, only http://. Set camera.source = \"pipe\" and \
                 camera.command = \"ffmpeg -loglevel error -i '{text}' -f mjpeg -q:v 3 -\""
            ));
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "camera.url must not hold spaces, control or non-ASCII characters; write them as %XX".into(),
            );
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(
                "camera.url must not hold a password; use camera.user and camera.password_file".into()
            );
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) =
                    rest.split_once(']').ok_or("camera.url: the ] after the IPv6 address is missing")?;
                (host, after.strip_prefix(':').unwrap_or(after))
            }
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let port = if port.is_empty() {
            80
        } else {
            port.parse().map_err(|_| format!("camera.url: {port:?} is not a port number"))?
        };
        if host.is_empty() {
            return Err("camera.url has no host; write http://host/path".into());
        }
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { host: host.into(), port, path })
    }

    /// The value of the `Host` header.
    pub fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

/// Without the query, in which some cameras want a password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) =
            self.path.split_once('?').map_or((self.path.as_str(), ""), |(path, _)| (path, "?***"));
        write!(f, "http://{}{path}{query}", self.host_header())
    }
}

#[cfg(test)]
mod tests {
    use super::Url;
    use proptest::prelude::*;

    fn url(host: &str, port: u16, path: &str) -> Result<Url, String> {
        Ok(Url { host: host.into(), port, path: path.into() })
    }

    #[test]
    fn addresses() {
        assert_eq!(Url::parse("http://cam"), url("cam", 80, "/"));
        assert_eq!(Url::parse("HTTP://cam:8080/a?b=c#d"), url("cam", 8080, "/a?b=c"));
        assert_eq!(Url::parse("http://cam?x"), url("cam", 80, "/?x"));
        assert_eq!(Url::parse("http://[fe80::1]:81/v"), url("fe80::1", 81, "/v"));
        let shown = Url::parse("http://[::1]:81/v?user=a&pwd=b").unwrap().to_string();
        assert_eq!(shown, "http://[::1]:81/v?***");
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (text, hint) in [
            ("https://cam/x", "ffmpeg"),
            ("rtsp://cam/x", "pipe"),
            ("cam/x", "http://"),
            ("http://u:p@cam/x", "camera.user"),
            ("http:///x", "no host"),
            ("http://cam:99999/", "99999"),
            ("http://cam/a b", "%XX"),
            ("http://cam/\r\nX: y", "%XX"),
            ("http://[::1/", "]"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), tail in any::<String>()) {
            let _ = Url::parse(&text);
            if let Ok(url) = Url::parse(&format!("http://{tail}")) {
                let _ = (url.to_string(), url.host_header());
            }
        }
    }
}
