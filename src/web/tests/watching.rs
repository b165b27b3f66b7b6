//! Streams, and the end of everything.

use super::*;

#[tokio::test]
async fn watching_streams_lines_and_tells_of_skipped_ones() {
    let bench = Bench::start();
    let mut stream = UnixStream::connect(bench.socket()).await.unwrap();
    stream.write_all(b"GET /v1/watch HTTP/1.1\r\nhost: g\r\n\r\n").await.unwrap();
    while bench.watch.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    let mut text = String::new();
    let mut piece = vec![0; 64 << 10];
    bench.watch.send("{\"n\":1}".into()).unwrap();
    while !text.contains("{\"n\":1}\n") {
        let n = timeout(LONG, stream.read(&mut piece)).await.unwrap().unwrap();
        text += std::str::from_utf8(&piece[..n]).unwrap();
    }
    assert!(text.contains("application/x-ndjson"), "{text}");
    // Not read for long: the socket's buffer fills, then the channel of 16, then lines are skipped.
    let line = format!("\"{}\n\"", "x".repeat(100_000));
    for _ in 0..200 {
        bench.watch.send(line.clone()).unwrap();
        tokio::task::yield_now().await;
    }
    bench.watch.send("\"last\"".into()).unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"\"last\"\n\r\n") {
        let n = timeout(LONG, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(n > 0);
        rest.extend_from_slice(&piece[..n]);
    }
    let rest = String::from_utf8(rest).unwrap();
    let whole = rest.lines().filter(|text| text.len() > 100_000).count();
    let skipped: usize = rest
        .lines()
        .filter_map(|text| text.strip_prefix("{\"skipped\":")?.strip_suffix('}')?.parse::<usize>().ok())
        .sum();
    assert!(skipped > 0 && whole > 0, "{skipped} skipped, {whole} whole");
    assert_eq!(skipped + whole, 200);
}

#[tokio::test]
async fn the_client_watches_until_it_has_enough_and_watchers_are_limited() {
    let bench = Bench::start_with(Limits { watchers: 1, ..Limits::default() });
    let watching = bench.talk(|client| {
        let mut lines = Vec::new();
        client.watch(|line| {
            lines.push(line.to_owned());
            lines.len() < 3
        })?;
        Ok::<_, ClientError>(lines)
    });
    let sending = async {
        while bench.watch.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        let second = bench.talk(|client| client.watch(|_| true)).await;
        let (status, code, _) = refusal(second);
        assert_eq!((status, code.as_str()), (503, "busy"));
        for n in 0..3 {
            bench.watch.send(n.to_string()).unwrap();
        }
    };
    let (lines, ()) = tokio::join!(watching, sending);
    assert_eq!(lines.unwrap(), ["0", "1", "2"]);
    // The place is free again.
    while bench.watch.receiver_count() > 0 {
        tokio::task::yield_now().await;
    }
    let again = bench.talk(|client| client.watch(|_| false));
    let sending = async {
        while bench.watch.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        bench.watch.send("x".into()).unwrap();
    };
    let (again, ()) = tokio::join!(again, sending);
    assert!(again.is_ok());
}

#[tokio::test]
async fn shutdown_ends_streams_and_removes_the_socket() {
    let mut bench = Bench::start();
    let stop = bench.stop.take().unwrap();
    let watching = bench.talk(|client| client.watch(|_| true));
    let stopping = async {
        while bench.watch.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        stop.send(()).unwrap();
    };
    let (watched, ()) = tokio::join!(watching, stopping);
    assert!(watched.is_ok(), "{watched:?}");
    timeout(LONG, &mut bench.serving).await.unwrap().unwrap();
    assert!(!bench.socket().exists());
}
