//! Network cameras and MJPEG streamers over plain `http://`: `multipart/x-mixed-replace` of JPEG files.

mod body;
mod url;

use super::feed::{Feed, Feeder, Received};
use super::redact::redact;
use super::settings::Timeouts;
use super::stream::mjpeg::Splitter;
use super::{CameraError, Settings, Source};
use base64::Engine;
use body::{Body, Head};
use graft_base::frame::Frame;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use url::Url;

/// Longest time for one address to answer, and most addresses of a name that are tried.
const CONNECT: Duration = Duration::from_secs(2);
const MAX_ADDRESSES: usize = 4;
/// How often a read looks up whether it is still wanted.
const TICK: Duration = Duration::from_millis(200);
/// Longest password file.
const MAX_PASSWORD: u64 = 4096;

#[derive(Debug)]
pub(super) struct HttpSource {
    feed: Feed,
    url: String,
    timeouts: Timeouts,
    found: Arc<OnceLock<String>>,
}

/// What the reading thread needs. Not printable: it may hold a password.
struct Wanted {
    url: Url,
    authorization: Option<String>,
    start: Duration,
}

impl HttpSource {
    /// Checks the address; connecting happens in the reading thread.
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let url = Url::parse(&settings.url).map_err(CameraError::settings)?;
        let shown = url.to_string();
        let authorization = authorization(settings)?;
        let timeouts = settings.timeouts();
        let found = Arc::new(OnceLock::new());
        let report = found.clone();
        let wanted = Wanted { url, authorization, start: timeouts.first };
        let feed = Feed::start("camera-http", move |feeder| read(&wanted, feeder, &report))?;
        Ok(Self { feed, url: shown, timeouts, found })
    }
}

/// The header value of basic authentication, RFC 7617.
fn authorization(settings: &Settings) -> Result<Option<String>, CameraError> {
    if settings.user.is_empty() && settings.password_file.is_empty() {
        return Ok(None);
    }
    if settings.user.contains(':') || settings.user.chars().any(char::is_control) {
        return Err(CameraError::settings("camera.user must not hold a colon or control characters"));
    }
    let mut password = String::new();
    if !settings.password_file.is_empty() {
        let failed = |error: std::io::Error| {
            CameraError::lost(format!("camera.password_file {}: {error}", settings.password_file))
        };
        let file = std::fs::File::open(&settings.password_file).map_err(failed)?;
        file.take(MAX_PASSWORD).read_to_string(&mut password).map_err(failed)?;
    }
    let pair = format!("{}:{}", settings.user, password.lines().next().unwrap_or_default());
    Ok(Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))))
}

fn read(wanted: &Wanted, mut feeder: Feeder, found: &OnceLock<String>) -> Result<(), CameraError> {
    let lost = |text: &str| CameraError::lost(format!("{}: {text}", wanted.url));
    let mut stream = connect(&wanted.url).map_err(|text| lost(&text))?;
    let io = |error: std::io::Error| lost(&format!("the connection broke: {error}"));
    stream.set_read_timeout(Some(TICK)).map_err(io)?;
    stream.set_write_timeout(Some(CONNECT)).map_err(io)?;
    stream.write_all(request(wanted).as_bytes()).map_err(io)?;

    let deadline = Instant::now() + wanted.start;
    let mut head = Head::default();
    let mut splitter = Splitter::default();
    let mut body: Option<Body> = None;
    let mut piece = vec![0; 32 << 10];
    loop {
        let bytes = match stream.read(&mut piece) {
            Ok(0) => return Err(lost("the camera closed the connection")),
            Ok(count) => &piece[..count],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => &[],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(io(error)),
        };
        if feeder.is_unwanted() {
            return Ok(());
        }
        let mut pictures = Vec::new();
        match &mut body {
            Some(body) => body.push(bytes, &mut pictures).map_err(|text| lost(&text))?,
            None => match head.push(bytes).map_err(|text| lost(&text))? {
                Some(rest) => {
                    let mut next = head.check(wanted.authorization.is_some()).map_err(|text| lost(&text))?;
                    next.push(&rest, &mut pictures).map_err(|text| lost(&text))?;
                    body = Some(next);
                }
                None if Instant::now() > deadline => return Err(lost("connected, but no answer")),
                None => {}
            },
        }
        splitter.push(&pictures);
        while let Some(picture) = splitter.next() {
            found.get_or_init(|| format!("MJPEG {}x{}", picture.width, picture.height));
            if !feeder.give(picture) {
                return Ok(());
            }
        }
        if body.as_ref().is_some_and(Body::is_over) {
            return Err(lost("the camera ended the stream"));
        }
    }
}

fn connect(url: &Url) -> Result<TcpStream, String> {
    let addresses = (url.host.as_str(), url.port).to_socket_addrs().map_err(|error| {
        format!("the name cannot be looked up ({error}); check camera.url and the network")
    })?;
    let mut last = "the name has no address".to_string();
    for address in addresses.take(MAX_ADDRESSES) {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("no connection to {address} ({error}); is the camera on?"),
        }
    }
    Err(last)
}

fn request(wanted: &Wanted) -> String {
    let authorization =
        wanted.authorization.as_ref().map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: graft/{}\r\nAccept: multipart/x-mixed-replace, image/jpeg\r\n\
         Connection: close\r\n{authorization}\r\n",
        wanted.url.path,
        wanted.url.host_header(),
        env!("CARGO_PKG_VERSION"),
    )
}

impl Source for HttpSource {
    fn describe(&self) -> String {
        let found = self.found.get().map_or("no frame yet", String::as_str);
        redact(&format!("{found} from {}", self.url))
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        match self.feed.wait(limit)? {
            Received::Frame(frame) => Ok(Some(frame)),
            Received::NotYet => Ok(None),
            Received::Over => Err(CameraError::lost(format!("{}: the stream is over", self.url))),
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}

#[cfg(test)]
mod tests;
