use super::*;
use crate::tests::jpegs;
use crate::{Kind, StreamFormat, open};
use graft_base::frame::PixelFormat;
use rustix::process::{Pid, test_kill_process};
use std::path::Path;
use std::thread;
use tempfile::TempDir;

fn settings(command: String) -> Settings {
    Settings { source: Kind::Pipe, command, ..Default::default() }
}

/// Polls until something other than "not yet" comes; the deadline is a hang guard.
fn next(source: &mut dyn Source) -> Result<Frame, CameraError> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(frame) = source.poll(Duration::from_millis(20))? {
            return Ok(frame);
        }
        assert!(Instant::now() < deadline, "nothing came");
    }
}

/// A folder with `stream.mjpeg` of so many frames.
fn stream(frames: u8) -> (TempDir, String, Vec<Vec<u8>>) {
    let dir = TempDir::new().unwrap();
    let files = jpegs(frames);
    let path = dir.path().join("stream.mjpeg");
    std::fs::write(&path, files.concat()).unwrap();
    let path = path.to_str().unwrap().to_string();
    (dir, path, files)
}

fn read_pid(path: &Path) -> Pid {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n')
            && let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw)
        {
            return pid;
        }
        assert!(Instant::now() < deadline, "no pid in {}", path.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Gone, or a zombie that its adopter has not reaped yet.
fn is_gone(pid: Pid) -> bool {
    let status = format!("/proc/{}/stat", pid.as_raw_nonzero());
    test_kill_process(pid).is_err()
        || std::fs::read_to_string(status)
            .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|s| s.starts_with('Z')))
}

fn wait_until_gone(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_gone(pid) {
        assert!(Instant::now() < deadline, "{pid:?} still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn mjpeg_frames_then_the_exit_with_its_last_words() {
    let (_dir, path, files) = stream(3);
    let command = format!("cat {path}; echo first >&2; echo 'rtsp://u:secret@cam is gone' >&2; exit 7");
    let mut source = open(&settings(command)).unwrap();
    for (i, file) in files.iter().enumerate() {
        let frame = next(&mut *source).unwrap();
        assert_eq!((frame.id, frame.format, &frame.bytes[..]), (i as u64 + 1, PixelFormat::Jpeg, &file[..]));
    }
    assert!(source.describe().starts_with("MJPEG 24x16 from: cat "), "{}", source.describe());
    let text = next(&mut *source).unwrap_err().to_string();
    assert!(text.contains("exit status: 7") && text.contains("***@cam is gone"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn raw_and_y4m_frames() {
    let raw = Settings {
        format: StreamFormat::Gray,
        width: 4,
        height: 2,
        ..settings("printf 'abcdefghABCDEFGH'; sleep 60".into())
    };
    let mut source = open(&raw).unwrap();
    assert_eq!(&next(&mut *source).unwrap().bytes[..], b"abcdefgh");
    assert_eq!(&next(&mut *source).unwrap().bytes[..], b"ABCDEFGH");
    let y4m = settings(r"printf 'YUV4MPEG2 W2 H2 F10:1 C420jpeg\nFRAME\nyyyyuv'; sleep 60".into());
    let frame = next(&mut *open(&y4m).unwrap()).unwrap();
    assert_eq!((frame.format, &frame.bytes[..]), (PixelFormat::I420, &b"yyyyuv"[..]));
    let unsized_raw = Settings { format: StreamFormat::Gray, ..settings("true".into()) };
    assert!(matches!(open(&unsized_raw), Err(CameraError::Settings(text)) if text.contains("camera.width")));
}

#[test]
fn a_silent_command_times_out() {
    let (_dir, path, _) = stream(1);
    let quick = Settings { timeout_s: 0.3, ..settings(format!("cat {path}; sleep 600")) };
    let mut source = open(&quick).unwrap();
    next(&mut *source).unwrap();
    assert_eq!(source.next().unwrap_err(), CameraError::TimedOut);
}

#[test]
fn a_command_that_is_not_there_says_so() {
    let text = next(&mut *open(&settings("no-such-camera-program".into())).unwrap()).unwrap_err().to_string();
    assert!(text.contains("exit status: 127") && text.contains("no-such-camera-program"), "{text}");
}

#[test]
fn text_instead_of_frames_says_so() {
    let text = next(&mut *open(&settings("yes usage".into())).unwrap()).unwrap_err().to_string();
    assert!(text.contains("camera.format"), "{text}");
}

#[test]
fn children_and_grandchildren_end_with_the_source_even_if_they_ignore_sigterm() {
    let (dir, path, _) = stream(1);
    let at = |name: &str| dir.path().join(name);
    let command = format!(
        "echo $$ > {a}; (trap '' TERM; sh -c 'echo $$ > {b}; exec sleep 600') & cat {path}; wait",
        a = at("shell").display(),
        b = at("grandchild").display(),
    );
    let mut source = open(&settings(command)).unwrap();
    next(&mut *source).unwrap();
    let pids = [read_pid(&at("shell")), read_pid(&at("grandchild"))];
    assert!(pids.iter().all(|&pid| !is_gone(pid)));
    drop(source);
    assert!(test_kill_process(pids[0]).is_err(), "the shell is reaped");
    pids.into_iter().for_each(wait_until_gone);
}

#[test]
fn what_a_finished_shell_left_running_is_ended() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("left");
    let command = format!("sh -c 'echo $$ > {}; exec sleep 600' >/dev/null 2>&1 & sleep 0.2", file.display());
    let mut source = open(&settings(command)).unwrap();
    let pid = read_pid(&file);
    assert!(matches!(next(&mut *source), Err(CameraError::Lost(_))));
    wait_until_gone(pid);
}

#[test]
fn a_command_that_writes_without_end_can_be_dropped() {
    let (_dir, path, _) = stream(2);
    let mut source = open(&settings(format!("while cat {path}; do :; done"))).unwrap();
    for _ in 0..10 {
        next(&mut *source).unwrap();
    }
    drop(source);
}
