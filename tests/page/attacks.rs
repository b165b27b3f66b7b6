//! Whom the page refuses.

use super::{Answer, Page, free_port};
use crate::support::Board;
use serde_json::json;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

const MODE: &[u8] = b"adapt";

fn wanted(page: &Page) -> String {
    page.see("status")["wanted"].as_str().unwrap().to_owned()
}

fn mode(page: &Page, headers: &[(&str, &str)]) -> Answer {
    page.ask("POST", "/api/v1/cmd/mode", headers, MODE)
}

fn denied(answer: &Answer) {
    assert_eq!(answer.refusal(), (403, "denied".into()), "{answer:?}");
}

#[test]
fn another_name_may_not_lead_here() {
    let page = Page::start(|board| board.set("web.hosts", "camera.example"));
    let host = |host: &str| page.ask("GET", "/api/v1/status", &[("Host", host)], b"");
    for known in ["localhost", "127.0.0.1:1", "[::1]:8470", "camera.example:8470"] {
        assert_eq!(host(known).status, 200, "{known}");
    }
    for strange in ["evil.example", "evil.example:8470", "localhost.evil.example", "", "127.0.0.1.evil"] {
        denied(&host(strange));
    }
    denied(&page.ask("GET", "/", &[("Host", "evil.example")], b""));
    denied(&mode(&page, &[("Host", "evil.example"), ("X-Graft", "1")]));
    assert_eq!(wanted(&page), "infer");
}

#[test]
fn another_page_may_not_change_or_read_anything() {
    let page = Page::start(|_| {});
    let own = format!("http://127.0.0.1:{}", page.port);
    denied(&mode(&page, &[]));
    denied(&mode(&page, &[("X-Graft", "1"), ("Origin", "http://evil.example")]));
    denied(&mode(&page, &[("X-Graft", "1"), ("Origin", "null")]));
    denied(&mode(&page, &[("X-Graft", "1"), ("Sec-Fetch-Site", "cross-site")]));
    denied(&page.ask("GET", "/api/v1/stream", &[("Sec-Fetch-Site", "cross-site")], b""));
    denied(&page.ask("GET", "/api/v1/export", &[("Sec-Fetch-Site", "same-site")], b""));
    assert_eq!(wanted(&page), "infer");
    let well = mode(&page, &[("X-Graft", "1"), ("Origin", &own), ("Sec-Fetch-Site", "same-origin")]);
    assert_eq!((well.status, wanted(&page).as_str()), (200, "adapt"), "{well:?}");
    // A look changes nothing, whatever it says.
    assert_eq!(page.get("cmd/mode").refusal(), (405, "unsupported".into()));
    // Paths of the board are not for the network.
    let import = page.post("cmd/dataset", br#"{"action":"import","path":"/etc"}"#);
    denied(&import);
    let export = page.post("cmd/dataset", br#"{"action":"export","path":"../../x"}"#);
    denied(&export);
}

#[test]
fn what_is_too_large_is_refused() {
    let page = Page::start(|_| {});
    let bomb = b"P6 50000 50000 255\n\0\0\0";
    assert_eq!(page.post("predict", bomb).refusal(), (413, "too_large".into()));
    assert_eq!(page.post("predict", b"no picture").refusal(), (400, "bad_request".into()));
    let body = vec![0u8; (16 << 20) + 1];
    assert_eq!(page.post("predict", &body).refusal(), (413, "too_large".into()));
    assert_eq!(page.post("cmd/label", &body[..(64 << 10) + 1]).refusal(), (413, "too_large".into()));
    // 40 megapixels in an import are left out, with the reason.
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("ok/1.ppm", SimpleFileOptions::default()).unwrap();
    writer.write_all(bomb).unwrap();
    let taken = page.post("import", &writer.finish().unwrap().into_inner());
    let job = page.ended(taken.json()["job"].as_str().unwrap());
    assert_eq!((&job["result"]["added"], &job["result"]["skipped_files"]), (&json!(0), &json!(1)), "{job}");
    // What grows to more than a gigabyte.
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let zeros = vec![0u8; 8 << 20];
    writer.start_file("ok/1.jpg", SimpleFileOptions::default()).unwrap();
    for _ in 0..9 {
        writer.write_all(&zeros).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    assert!(bomb.len() < 1 << 20);
    assert_eq!(page.post("import", &bomb).refusal(), (413, "too_large".into()));
    assert_eq!(page.post("import", b"no zip").refusal(), (400, "bad_request".into()));
    assert_eq!(page.post("import?class=..", b"x").refusal(), (400, "bad_request".into()));
    assert_eq!(page.post("import", b"").refusal(), (400, "bad_request".into()));
    let left = std::fs::read_dir(page.board.path("state/imports")).map_or(0, |entries| entries.count());
    assert_eq!(left, 0);
    let odd = json!({"action": "add_class", "class": "a/b"}).to_string();
    assert_eq!(page.post("cmd/dataset", odd.as_bytes()).refusal(), (400, "bad_request".into()));
}

#[test]
fn with_a_token_one_has_to_log_in_and_a_viewer_changes_nothing() {
    let page = Page::start(|_| {});
    let state = page.board.path("state").display().to_string();
    let token = |more: &[&str]| {
        let set = format!("store.dir={state}");
        let said = page.board.json(&[&["web", "token", "--set", &set], more].concat());
        said["token"].as_str().unwrap().to_owned()
    };
    let (admin, viewer) = (token(&[]), token(&["--viewer"]));
    for path in ["status", "stream", "frame", "events", "samples/1/image", "export", "config"] {
        assert_eq!(page.get(path).refusal(), (401, "denied".into()), "{path}");
    }
    assert_eq!(page.ask("GET", "/metrics", &[], b"").status, 401);
    assert_eq!(mode(&page, &[("X-Graft", "1")]).status, 401);
    assert_eq!(page.ask("GET", "/", &[], b"").status, 200, "the door itself is there");
    let session = page.see("session");
    assert_eq!((&session["role"], &session["login"]), (&json!("none"), &json!(true)));

    let as_viewer = format!("Bearer {viewer}");
    let look = |auth: &str| page.ask("GET", "/api/v1/status", &[("Authorization", auth)], b"").status;
    assert_eq!((look(&as_viewer), look(&format!("Bearer {admin}"))), (200, 200));
    denied(&mode(&page, &[("X-Graft", "1"), ("Authorization", &as_viewer)]));
    let own = [("X-Graft", "1"), ("Authorization", as_viewer.as_str())];
    denied(&page.ask("POST", "/api/v1/import", &own, b"x"));
    denied(&page.ask("POST", "/api/v1/predict", &own, b"x"));

    let login = |token: &str| {
        let body = json!({"token": token}).to_string();
        page.ask("POST", "/api/v1/login", &[("X-Graft", "1")], body.as_bytes())
    };
    let let_in = login(&admin);
    assert_eq!((let_in.status, &let_in.json()["role"]), (200, &json!("admin")), "{let_in:?}");
    let cookie = let_in.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert!(!cookie.contains(&admin), "the token itself is not the session");
    let with = [("X-Graft", "1"), ("Cookie", cookie)];
    assert_eq!(mode(&page, &with).status, 200);
    denied(&mode(&page, &with[1..]));
    assert_eq!(page.ask("POST", "/api/v1/logout", &with, b"").status, 200);
    assert_eq!(mode(&page, &with).status, 401);

    for _ in 0..5 {
        assert_eq!(login("guess").status, 401);
    }
    assert_eq!(login("guess").status, 429);
    assert_eq!(login(&admin).status, 429);
    // The socket asks nobody: its mode says who may.
    assert_eq!(page.board.json(&["status"])["device"], "board");
}

#[test]
fn an_address_that_others_reach_needs_a_token_and_is_encrypted() {
    let port = free_port();
    let mut board = Board::new();
    board.set("web.listen", &format!("0.0.0.0:{port}"));
    let output = board.run_to_its_end();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("web.listen") && text.contains("graft web token"), "{text}");
    let state = format!("store.dir={}", board.path("state").display());
    board.json(&["web", "token", "--set", &state]);
    let shown = board.json(&["web", "cert", "--set", &state]);
    board.start();
    let page = Page { board, port };
    let fingerprint = shown["sha256"].as_str().unwrap();
    assert!(
        page.board.log().contains(fingerprint) && page.board.log().contains("https://"),
        "{}",
        page.board.log()
    );
    let mut stream = page.connect("GET", "/", &[], b"").unwrap();
    let mut bytes = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "nobody speaks plainly there");
    let mut open = page;
    open.board.stop();
    open.board.set("web.tls", "off");
    open.board.start();
    assert_eq!(open.get("status").status, 401, "behind a proxy one still has to log in");
    assert_eq!(open.ask("GET", "/", &[], b"").status, 200);
}
