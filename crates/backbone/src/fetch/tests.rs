use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use sha2::Sha256;

use super::super::graphs::card;
use super::*;

/// How the server answers one request.
#[derive(Clone, Copy)]
enum Answer {
    /// Honours ranges.
    Whole,
    /// Always sends everything.
    NoRanges,
    /// Announces everything, closes after so many bytes of it; honours ranges.
    Breaks(usize),
    /// Sends another file of the same length.
    Other,
    /// Sends twice as much as the card says, without announcing it.
    Endless,
    NotFound,
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|index| (index * 31 % 251) as u8).collect()
}

/// A server that gives the answers in turn, then ends; returns its address and the ranges it was asked for.
fn serve(answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/net.onnx", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut from = None;
            for line in
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty())
            {
                if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                    from = range.trim_end_matches('-').parse::<usize>().ok();
                }
            }
            seen.lock().unwrap().push(from);
            respond(&mut stream, answer, from);
        }
    });
    (url, asked)
}

fn respond(stream: &mut std::net::TcpStream, answer: Answer, from: Option<usize>) {
    let mut body = content();
    let total = body.len();
    let ranges = matches!(answer, Answer::Whole | Answer::Breaks(_));
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    if let Some(from) = from.filter(|_| ranges) {
        body.drain(..from);
        head =
            format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n", total - 1);
    }
    match answer {
        Answer::Other => body.reverse(),
        Answer::NotFound => {
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        Answer::Endless => {
            body.extend(content());
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
            let _ = stream.write_all(&body);
            return;
        }
        _ => {}
    }
    head = format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    if let Answer::Breaks(after) = answer {
        body.truncate(after);
    }
    // The other side may have closed; that is what is tested.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}

fn recipe(urls: Vec<String>) -> Card {
    let digest = hex(&Sha256::digest(content()));
    Card { name: "net".into(), sha256: digest, bytes: content().len() as u64, urls, ..card() }
}

/// Fetches into a folder; gives the outcome, the last progress, and what lies there afterwards.
fn attempt(folder: &Path, card: &Card) -> (Result<(), FetchError>, (u64, u64), Vec<String>) {
    let mut last = (0, 0);
    let outcome = fetch(card, &folder.join("net.onnx"), &mut |done, total| last = (done, total));
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (outcome, last, names)
}

#[test]
fn a_file_is_fetched_verified_and_then_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = serve(vec![Answer::Whole]);
    let card = recipe(vec![url]);
    let (outcome, last, names) = attempt(folder.path(), &card);
    outcome.unwrap();
    assert_eq!((last, names), ((200_000, 200_000), vec!["net.onnx".into()]));
    assert_eq!(std::fs::read(folder.path().join("net.onnx")).unwrap(), content());
    // The server is gone: a second call must not need it.
    attempt(folder.path(), &card).0.unwrap();
    assert_eq!(*asked.lock().unwrap(), [None]);
}

#[test]
fn a_broken_transfer_is_resumed_in_the_same_call_and_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (url, asked) = serve(vec![Answer::Breaks(70_000), Answer::Breaks(0)]);
    let (outcome, _, names) = attempt(folder.path(), &recipe(vec![url]));
    assert!(matches!(outcome, Err(FetchError::Failed { .. })));
    assert_eq!(
        (names, asked.lock().unwrap().clone()),
        (vec!["net.onnx.part".into()], vec![None, Some(70_000)])
    );
    let (url, asked) = serve(vec![Answer::Breaks(50_000), Answer::Whole]);
    let (outcome, _, names) = attempt(folder.path(), &recipe(vec![url]));
    outcome.unwrap();
    assert_eq!(
        (names, asked.lock().unwrap().clone()),
        (vec!["net.onnx".into()], vec![Some(70_000), Some(120_000)])
    );
}

#[test]
fn a_server_without_ranges_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.onnx.part"), &content()[..90_000]).unwrap();
    let (url, _) = serve(vec![Answer::NoRanges]);
    attempt(folder.path(), &recipe(vec![url])).0.unwrap();
}

#[test]
fn a_remainder_of_another_file_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.onnx.part"), vec![9; 90_000]).unwrap();
    let (url, asked) = serve(vec![Answer::Whole, Answer::Whole]);
    attempt(folder.path(), &recipe(vec![url])).0.unwrap();
    assert_eq!(*asked.lock().unwrap(), [Some(90_000), None]);
    std::fs::remove_file(folder.path().join("net.onnx")).unwrap();
    std::fs::write(folder.path().join("net.onnx.part"), vec![9; 300_000]).unwrap();
    let (url, _) = serve(vec![Answer::Whole]);
    attempt(folder.path(), &recipe(vec![url])).0.unwrap();
}

#[test]
fn a_wrong_digest_is_refused_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Other]);
    let (outcome, _, names) = attempt(folder.path(), &recipe(vec![url]));
    assert!(matches!(&outcome, Err(FetchError::WrongDigest { .. })), "{outcome:?}");
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_next_address_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let urls =
        [Answer::NotFound, Answer::Other, Answer::Endless, Answer::Whole].map(|answer| serve(vec![answer]).0);
    attempt(folder.path(), &recipe(urls.to_vec())).0.unwrap();
    assert_eq!(std::fs::read(folder.path().join("net.onnx")).unwrap(), content());
    let (gone, _) = serve(vec![Answer::NotFound]);
    std::fs::remove_file(folder.path().join("net.onnx")).unwrap();
    let (outcome, _, names) = attempt(folder.path(), &recipe(vec![gone, "http://127.0.0.1:1/x".into()]));
    let text = outcome.unwrap_err().to_string();
    assert!(text.contains("404") && text.contains("127.0.0.1:1") && names.is_empty(), "{text} {names:?}");
}

#[test]
fn more_bytes_than_the_card_says_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Endless]);
    let (outcome, last, names) = attempt(folder.path(), &recipe(vec![url]));
    assert!(outcome.unwrap_err().to_string().contains("200000"));
    assert!(last.0 <= 200_000 && names.is_empty());
}

#[test]
fn a_truncated_answer_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Breaks(10), Answer::Breaks(0)]);
    let (outcome, _, names) = attempt(folder.path(), &recipe(vec![url]));
    assert!(outcome.is_err());
    assert_eq!(names, ["net.onnx.part"]);
}

#[test]
fn cards_that_cannot_be_fetched_say_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(attempt(folder.path(), &card()).0, Err(FetchError::NoDigest { .. })));
    assert!(matches!(attempt(folder.path(), &recipe(vec![])).0, Err(FetchError::NoAddress { .. })));
    let nowhere = recipe(vec!["http://127.0.0.1:1/x".into()]);
    let outcome = fetch(&nowhere, &folder.path().join("no/such/folder/x"), &mut |_, _| {});
    assert!(matches!(outcome, Err(FetchError::File { .. })));
}
