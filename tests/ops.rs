//! Figures, health and the doctor, of the real daemon.

use crate::support::{Board, PATIENCE, broker};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Status and body of a page.
fn page(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn until(port: u16, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let seen = page(port, path);
        if let Some((status, body)) = &seen
            && wanted(*status, body)
        {
            return body.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {seen:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn figures_and_health_are_served_on_loopback_and_nothing_else_is() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut board = Board::new();
    board.set("metrics.listen", &format!("127.0.0.1:{port}"));
    board.start();
    board.until("frames", |s| s["frame"]["id"].as_u64().is_some());
    board.label("bolt");
    until(port, "/readyz", |status, body| status == 200 && body.contains("\"ready\":true"));
    assert_eq!(page(port, "/healthz").unwrap().0, 200);
    let text = until(port, "/metrics", |_, text| {
        value(text, "graft_frames_total{result=\"predicted\"}") > Some(0.0)
    });
    assert!(value(&text, "graft_infer_seconds_count") > Some(0.0), "{text}");
    assert_eq!(value(&text, "graft_dataset_images{class=\"bolt\"}"), Some(1.0), "{text}");
    assert_eq!(value(&text, "graft_camera_delivers"), Some(1.0));
    assert_eq!(value(&text, "graft_mqtt_connected"), Some(0.0));
    assert!(text.ends_with("# EOF\n"), "{text}");
    // Commands and pictures stay on the socket, whose mode says who may.
    for path in ["/v1/status", "/v1/frame", "/v1/cmd/mode"] {
        assert_eq!(page(port, path).unwrap().0, 404, "{path}");
    }
    // What the dashboard draws is there; what a board may lack, or what comes with a head, is known by name.
    let dashboard = include_str!("../docs/reference/grafana.json");
    let later = ["graft_heldout_accuracy", "graft_temperature_celsius", "graft_throttled"];
    for at in dashboard.match_indices("graft_").map(|(at, _)| at) {
        let name: String =
            dashboard[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        assert!(text.contains(&name) || later.contains(&name.as_str()), "the dashboard draws {name}");
    }
    board.stop();
}

#[test]
fn a_board_without_frames_is_not_ready() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut board = Board::new();
    board.set("camera.source", "pipe");
    board.set("camera.command", "false");
    board.set("metrics.listen", &format!("127.0.0.1:{port}"));
    board.start();
    until(port, "/readyz", |status, body| status == 503 && body.contains("\"camera\":false"));
    assert_eq!(page(port, "/healthz").unwrap().0, 200, "the program itself is well");
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let mut board = Board::new();
    let well = board.examine();
    assert_eq!(well["daemon"].0, "warn");
    for check in ["configuration", "state folder", "disk", "camera", "backbone", "broker"] {
        assert_eq!(well[check].0, "ok", "{well:?}");
    }
    board.set("camera.source", "v4l2");
    board.set("camera.device", "/dev/no-such-camera");
    board.set("mqtt.enabled", "true");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    board.set("mqtt.port", &unused.to_string());
    let ill = board.examine();
    for check in ["camera", "formats", "broker"] {
        assert_eq!(ill[check].0, "fail", "{ill:?}");
        assert!(ill[check].1.contains("camera.device") || ill[check].1.contains("mqtt."), "{ill:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    board.set("camera.source", "pattern");
    board.set("mqtt.port", &broker.port().to_string());
    board.start();
    board.until("frames", |s| s["frame"]["id"].as_u64().is_some());
    let running = board.examine();
    for check in ["daemon", "camera", "broker"] {
        assert_eq!(running[check].0, "ok", "{running:?}");
    }
    // The daemon's own connection was not taken over.
    assert!(!board.log().contains("taken over"), "{}", board.log());
}
