//! What systemd is told, read from a notify socket of our own: ready, reloading, stopping, and the watchdog, which
//! every loop can starve.

use crate::support::{Board, PATIENCE, broker};
use graft_testing::skip;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

/// Systemd's end of the notify socket.
struct Notices(UnixDatagram);

impl Notices {
    fn at(path: &Path) -> Self {
        Self(UnixDatagram::bind(path).unwrap())
    }

    /// The next notice, or none within this time.
    fn next(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within.max(Duration::from_millis(1)))).unwrap();
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Waits for a notice that says this.
    fn wait_for(&self, what: &str) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(notice) = self.next(PATIENCE - begun.elapsed()).filter(|n| n.contains(what)) {
                return notice;
            }
        }
        panic!("{what} was not said");
    }

    /// Signs of life within this time.
    fn pings(&self, within: Duration) -> usize {
        let begun = Instant::now();
        let mut count = 0;
        while begun.elapsed() < within {
            let rest = within.saturating_sub(begun.elapsed());
            count += usize::from(self.next(rest).is_some_and(|n| n.contains("WATCHDOG=1")));
        }
        count
    }
}

fn start(board: &mut Board, watchdog: Duration) -> Notices {
    let socket = board.path("notify");
    let notices = Notices::at(&socket);
    board.variable("NOTIFY_SOCKET", &socket.display().to_string());
    board.variable("WATCHDOG_USEC", &watchdog.as_micros().to_string());
    board.start();
    notices
}

fn pid(board: &Board) -> i32 {
    i32::try_from(board.child.as_ref().unwrap().id()).unwrap()
}

#[test]
fn ready_reloading_and_stopping_are_told() {
    let mut board = Board::new();
    let notices = start(&mut board, Duration::from_secs(60));
    let ready = notices.wait_for("READY=1");
    assert!(ready.contains("STATUS=infer, no head yet"), "{ready}");
    let pid = rustix::process::Pid::from_raw(pid(&board)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert!(notices.wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    notices.wait_for("READY=1");
    board.stop();
    notices.wait_for("STOPPING=1");
}

/// A thread of the daemon that stands still, as one does that hangs in a driver or a lock.
struct Stopped(i32);

impl Stopped {
    /// `None` where this machine does not let us.
    fn thread(thread: i32) -> Option<Self> {
        if ptrace(libc::PTRACE_SEIZE, thread).is_err() {
            skip("ptrace", "this machine does not allow ptrace");
            return None;
        }
        ptrace(libc::PTRACE_INTERRUPT, thread).unwrap();
        let mut status = 0;
        // SAFETY: `status` is ours and outlives the call.
        let waited = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) };
        assert!(waited == thread && libc::WIFSTOPPED(status), "{}", std::io::Error::last_os_error());
        Some(Self(thread))
    }

    fn go_on(self) {
        ptrace(libc::PTRACE_DETACH, self.0).unwrap();
    }
}

fn ptrace(request: libc::c_uint, thread: i32) -> std::io::Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of ours.
    let result = unsafe { libc::ptrace(request, thread, none, none) };
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// The youngest thread of this name: of the camera's two, the one that reads.
fn thread(pid: i32, name: &str) -> i32 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of_name = tasks.filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    });
    let ids = of_name.filter_map(|task| task.file_name().to_str()?.parse().ok());
    ids.max().unwrap_or_else(|| panic!("no thread {name}"))
}

#[test]
fn a_loop_that_stands_still_starves_the_watchdog() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let notices = start(&mut board, Duration::from_secs(2));
    let pid = pid(&board);
    // The loop and the MQTT session share the main thread.
    for name in ["camera", "inference", "store", "train", "graft"] {
        notices.wait_for("WATCHDOG=1");
        let Some(stopped) = Stopped::thread(thread(pid, name)) else { return };
        // What moved before it stopped may still be told of, once.
        let pings = notices.pings(Duration::from_secs(2));
        stopped.go_on();
        assert!(pings <= 1, "{pings} signs of life although {name} stands still");
    }
    notices.wait_for("WATCHDOG=1");
    board.stop();
}

/// The unit as systemd's own tool sees it; a word where that tool is not installed.
#[test]
fn the_unit_is_right_and_its_sandbox_tight() {
    let analyze = |arguments: &[&str]| {
        let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/graft.service");
        std::process::Command::new("systemd-analyze").args(arguments).arg(unit).output().ok()
    };
    let Some(security) = analyze(&["security", "--offline=true", "--threshold=11"]) else {
        return skip("systemd-analyze", "systemd-analyze is not installed (apt-get install systemd)");
    };
    let text = String::from_utf8_lossy(&security.stdout).into_owned();
    assert!(security.status.success(), "{}\n{text}", String::from_utf8_lossy(&security.stderr));
    let verify = analyze(&["verify"]).unwrap();
    let complaints = String::from_utf8_lossy(&verify.stderr).into_owned();
    // The program and its manual are not installed where it is tested.
    let about_it =
        |line: &&str| !line.contains("/usr/bin/graft is not executable") && !line.contains("man graft(1)");
    let complaints: Vec<&str> = complaints.lines().filter(about_it).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
