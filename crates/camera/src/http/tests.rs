use super::*;
use crate::tests::jpegs;
use crate::{Kind, open};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A server for one connection: sends `answer`, then keeps the connection until the sender of the second value's
/// partner is dropped. The request comes out of the receiver.
fn serve(answer: Vec<u8>, stay: bool) -> (Settings, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
            request.push(byte[0]);
        }
        let _ = sender.send(String::from_utf8(request).unwrap());
        let _ = stream.write_all(&answer);
        if stay {
            // Until the client hangs up.
            let _ = stream.read(&mut byte);
        }
    });
    let url = format!("http://{address}/stream?pwd=hidden");
    (Settings { source: Kind::HttpMjpeg, url, ..Default::default() }, requests)
}

fn next(source: &mut dyn Source) -> Result<Frame, CameraError> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(frame) = source.poll(Duration::from_millis(20))? {
            return Ok(frame);
        }
        assert!(Instant::now() < deadline, "nothing came");
    }
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=\"b\"\r\n";

fn multipart(files: &[Vec<u8>], lengths: bool) -> Vec<u8> {
    let mut out = b"--b\r\n".to_vec();
    for file in files {
        let length = if lengths { format!("Content-Length: {}\r\n", file.len()) } else { String::new() };
        out.extend(format!("Content-Type: image/jpeg\r\n{length}\r\n").into_bytes());
        out.extend(file);
        out.extend(b"\r\n--b\r\n");
    }
    out
}

#[test]
fn frames_with_and_without_lengths_and_chunks() {
    let files = jpegs(3);
    for (lengths, chunked) in [(true, false), (false, false), (true, true), (false, true)] {
        let body = multipart(&files, lengths);
        let mut answer = HEAD.as_bytes().to_vec();
        if chunked {
            answer.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(37) {
                answer.extend([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
            }
        } else {
            answer.extend([b"\r\n", &body[..]].concat());
        }
        let (settings, requests) = serve(answer, true);
        let mut source = open(&settings).unwrap();
        for (i, file) in files.iter().enumerate() {
            let frame = next(&mut *source).unwrap();
            assert_eq!((frame.id, &frame.bytes[..]), (i as u64 + 1, &file[..]), "{lengths} {chunked}");
        }
        let request = requests.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(request.starts_with("GET /stream?pwd=hidden HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        assert!(!request.contains("Authorization"));
        let text = source.describe();
        assert!(text.starts_with("MJPEG 24x16 from http://127.0.0.1") && !text.contains("hidden"), "{text}");
    }
}

#[test]
fn a_login_is_sent_and_never_shown() {
    let (mut settings, requests) = serve(b"HTTP/1.1 401 No\r\n\r\n".to_vec(), false);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "open sesame\nsecond line\n").unwrap();
    settings.user = "Aladdin".into();
    settings.password_file = file.path().to_str().unwrap().into();
    let text = next(&mut *open(&settings).unwrap()).unwrap_err().to_string();
    assert!(text.contains("password_file") && !text.contains("sesame") && !text.contains("hidden"), "{text}");
    let request = requests.recv_timeout(Duration::from_secs(30)).unwrap();
    // The example of RFC 7617.
    assert!(request.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{request}");
    settings.password_file = "no/such/file".into();
    assert!(open(&settings).err().unwrap().to_string().contains("password_file"));
}

#[test]
fn a_stall_times_out() {
    let body = [HEAD.as_bytes(), b"\r\n", &multipart(&jpegs(1), true)].concat();
    let (settings, _requests) = serve(body, true);
    let mut source = open(&Settings { timeout_s: 0.3, ..settings }).unwrap();
    next(&mut *source).unwrap();
    assert_eq!(source.next().unwrap_err(), CameraError::TimedOut);
}

#[test]
fn silence_instead_of_an_answer_is_a_loss() {
    let (settings, _requests) = serve(Vec::new(), true);
    let mut source = open(&Settings { start_timeout_s: 0.2, ..settings }).unwrap();
    assert!(next(&mut *source).unwrap_err().to_string().contains("no answer"));
}

#[test]
fn a_hang_up_garbage_and_a_closed_port_are_losses() {
    let lost = |settings: &Settings| match next(&mut *open(settings).unwrap()) {
        Err(CameraError::Lost(text)) => text,
        other => panic!("{other:?}"),
    };
    let body = [HEAD.as_bytes(), b"\r\n"].concat();
    assert!(lost(&serve(body, false).0).contains("closed the connection"));
    assert!(lost(&serve(b"\0\x01garbage".repeat(5000), false).0).contains("not HTTP"));
    let chunks = [HEAD.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"].concat();
    assert!(lost(&serve(chunks, true).0).contains("chunks"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed =
        Settings { source: Kind::HttpMjpeg, url: format!("http://127.0.0.1:{port}/"), ..Default::default() };
    assert!(lost(&closed).contains("is the camera on?"));
}

#[test]
fn https_names_the_way_through_ffmpeg() {
    let settings = Settings { source: Kind::HttpMjpeg, url: "https://cam/".into(), ..Default::default() };
    assert!(matches!(open(&settings), Err(CameraError::Settings(text)) if text.contains("ffmpeg")));
}
