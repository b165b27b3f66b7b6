//! The child process that looks at a file first.

use graft_backbone::admission::{Question, ask};
use std::path::Path;

#[test]
fn a_file_is_looked_at_by_a_child_that_may_die() {
    let dir = tempfile::tempdir().unwrap();
    let onnx = dir.path().join("tiny.onnx");
    std::fs::write(&onnx, graft_backbone::tiny().0).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_graft"));
    let question = Question::of(&onnx);
    let admitted = ask(program, &question).unwrap();
    assert_eq!(admitted.inspection.identity.digest, graft_wire::digest::sha256(graft_backbone::tiny().0));
    assert_eq!(admitted.golden, None);

    let refused = |program: &Path, question: &Question| ask(program, question).unwrap_err().reason;
    let little = Question { memory_bytes: Some(64 << 20), ..question };
    assert_eq!(refused(program, &little), "admission_memory");
    let nothing = dir.path().join("nothing.onnx");
    assert_eq!(refused(program, &Question::of(&nothing)), "unreadable");
    let torn = dir.path().join("torn.onnx");
    std::fs::write(&torn, &graft_backbone::tiny().0[..100_000]).unwrap();
    assert_eq!(refused(program, &Question::of(&torn)), "onnx_truncated");
    assert_eq!(refused(Path::new("/bin/false"), &question), "admission_crashed");
    assert_eq!(refused(&nothing, &question), "admission_unavailable");
}
