//! The head of an answer, and its body with chunks joined (RFC 9112).
//!
//! The parts of the multipart body are not taken apart: the JPEG files in it are found by their own markers, which
//! works with and without `Content-Length`, with wrong boundaries, and gives a frame as soon as its last byte is here.

/// Most bytes of an answer's head.
const MAX_HEAD: usize = 32 << 10;
/// Longest line that announces a chunk.
const MAX_CHUNK_LINE: usize = 256;

/// Collects the head of an answer.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
}

impl Head {
    /// Adds bytes; once the head is whole, gives what came after it.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.bytes.extend_from_slice(bytes);
        match self.end() {
            Some(end) => Ok(Some(self.bytes.split_off(end))),
            None if self.bytes.len() > MAX_HEAD => {
                Err("the answer is not HTTP, or its head is endless".into())
            }
            None => Ok(None),
        }
    }

    /// Where the empty line ends. Some cameras end their lines with a line feed alone.
    fn end(&self) -> Option<usize> {
        let ends = |at: usize| match &self.bytes[at..] {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        };
        (0..self.bytes.len()).find_map(ends)
    }

    /// Whether the answer is a stream of pictures; the error says what to do if not.
    pub fn check(&self, authorized: bool) -> Result<Body, String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut lines = text.lines();
        let status = lines.next().unwrap_or_default();
        let code = status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or_default();
        let headers: Vec<(&str, &str)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let header = |name: &str| {
            headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or("", |(_, value)| *value)
        };
        let offers = |scheme: &str| {
            headers.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("www-authenticate")
                    && value.to_ascii_lowercase().starts_with(scheme)
            })
        };
        match code {
            "200" => {}
            "401" if offers("digest") && !offers("basic") => {
                return Err("the camera wants digest authentication, which is not spoken here; use \
                            camera.source = \"pipe\" with curl --digest or ffmpeg"
                    .into());
            }
            "401" | "403" if authorized => {
                return Err(format!(
                    "the camera refuses camera.user with the password in camera.password_file ({code})"
                ));
            }
            "401" | "403" => {
                return Err(format!(
                    "the camera wants a login ({code}); set camera.user and camera.password_file"
                ));
            }
            "301" | "302" | "303" | "307" | "308" => {
                return Err(format!("moved to {}; put that into camera.url", shown(header("location"))));
            }
            _ => return Err(format!("the answer was {}; check the path in camera.url", shown(status))),
        }
        let kind = header("content-type").to_ascii_lowercase();
        if !kind.starts_with("multipart/") {
            return Err(format!(
                "the answer is {}, not multipart/x-mixed-replace; look up the camera's MJPEG stream address",
                shown(&kind)
            ));
        }
        let encoding = header("transfer-encoding").to_ascii_lowercase();
        match encoding.as_str() {
            "" | "identity" => Ok(Body { chunks: None, over: false }),
            "chunked" => Ok(Body { chunks: Some(Chunk::Line(Vec::new())), over: false }),
            other => Err(format!("transfer coding {} is not read", shown(other))),
        }
    }
}

/// Foreign text, short and printable.
fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if text.is_empty() { "nothing".into() } else { format!("{text:?}") }
}

/// Takes the chunking out of a body.
#[derive(Debug)]
pub(super) struct Body {
    /// None: the body is not chunked.
    chunks: Option<Chunk>,
    over: bool,
}

#[derive(Debug)]
enum Chunk {
    /// Inside the line before a chunk.
    Line(Vec<u8>),
    /// So many bytes of the chunk are still to come.
    Bytes(u64),
    /// So many bytes of the line end after the chunk are still to come.
    End(u8),
}

impl Body {
    /// Whether the last chunk has been seen.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Adds received bytes; the body's own bytes are appended to `out`.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let Some(chunk) = &mut self.chunks else {
            out.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() && !self.over {
            match chunk {
                Chunk::Line(line) => {
                    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                        line.extend_from_slice(bytes);
                        return if line.len() > MAX_CHUNK_LINE { Err(damaged()) } else { Ok(()) };
                    };
                    line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    let size = chunk_size(line).ok_or_else(damaged)?;
                    self.over = size == 0;
                    *chunk = Chunk::Bytes(size);
                }
                Chunk::Bytes(left) => {
                    let now = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    out.extend_from_slice(&bytes[..now]);
                    bytes = &bytes[now..];
                    *left -= now as u64;
                    if *left == 0 {
                        *chunk = Chunk::End(2);
                    }
                }
                Chunk::End(left) => {
                    let wanted = if *left == 2 { b'\r' } else { b'\n' };
                    if bytes[0] != wanted {
                        return Err(damaged());
                    }
                    bytes = &bytes[1..];
                    *left -= 1;
                    if *left == 0 {
                        *chunk = Chunk::Line(Vec::new());
                    }
                }
            }
        }
        Ok(())
    }
}

fn damaged() -> String {
    "the stream's chunks are damaged".into()
}

/// `hex[;extension]` with an optional carriage return.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split(';').next()?.trim();
    if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(text: &str) -> Head {
        let mut head = Head::default();
        assert_eq!(head.push(text.as_bytes()), Ok(Some(Vec::new())));
        head
    }

    #[test]
    fn answers_that_are_no_stream_say_what_to_do() {
        for (text, hint) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
            ("HTTP/1.0 401 No\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", "camera.user"),
            ("HTTP/1.1 401 No\r\nwww-authenticate: Digest realm=x\r\n\r\n", "digest"),
            ("HTTP/1.1 401 No\nWWW-Authenticate: Digest a\nWWW-Authenticate: Basic b\n\n", "camera.user"),
            ("HTTP/1.1 302 Found\r\nLocation: http://other/\r\n\r\n", "http://other/"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "text/html"),
            ("HTTP/1.1 200 OK\r\nContent-Type: multipart/x\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"),
            ("garbage\r\n\r\n", "garbage"),
        ] {
            let error = head(text).check(false).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
        let refused = head("HTTP/1.1 401 No\r\n\r\n").check(true).unwrap_err();
        assert!(refused.contains("password_file"));
        assert!(Head::default().push(&[b'x'; MAX_HEAD + 1]).is_err());
    }

    /// As an old GoAhead server, a server without a reason and one with bare line feeds write them.
    #[test]
    fn heads_of_odd_cameras_are_read() {
        let kind = "Content-Type: multipart/x-mixed-replace;boundary=b";
        for text in [
            format!("HTTP/1.1 200 OK\r\nServer: GoaHead\r\nTue, 12 Jun 2012 01:56:34 GMT\r\n{kind}\r\n\r\n"),
            format!("HTTP/1.1 200\r\n{kind}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\n{kind}\n\n"),
        ] {
            assert!(head(&text).check(false).is_ok(), "{text}");
        }
        let mut split = Head::default();
        assert_eq!(split.push(b"HTTP/1.1 200 OK\n"), Ok(None));
        assert_eq!(split.push(b"\nrest"), Ok(Some(b"rest".to_vec())));
    }

    fn chunked() -> Body {
        head("HTTP/1.1 200 OK\r\ncontent-type: multipart/x-mixed-replace;boundary=b\r\nTransfer-Encoding: Chunked\r\n\r\n")
            .check(false)
            .unwrap()
    }

    proptest! {
        /// However the body is chunked and cut up, the same bytes come out.
        #[test]
        fn chunks_are_joined(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            pieces in proptest::collection::vec(1usize..30, 1..8),
        ) {
            let mut stream = Vec::new();
            for part in &parts {
                stream.extend(format!("{:X};x=y\r\n", part.len()).into_bytes());
                stream.extend(part);
                stream.extend(b"\r\n");
            }
            stream.extend(b"0\r\n\r\n");
            let (mut body, mut out, mut rest) = (chunked(), Vec::new(), &stream[..]);
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                body.push(now, &mut out).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(out, parts.concat());
            prop_assert!(body.is_over());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = chunked().push(&bytes, &mut Vec::new());
            let mut head = Head::default();
            if let Ok(Some(_)) = head.push(&[&b"HTTP/1."[..], &bytes, b"\r\n\r\n"].concat()) {
                let _ = head.check(false);
            }
        }
    }
}
