//! Jobs that fail, are cancelled, or hear things twice.

use super::*;

#[test]
fn an_engine_out_of_memory_is_started_three_times_and_the_job_given_back() {
    let mut script = Script::training();
    let end = || EngineEnd::Failed("the engine ended with 75: CUDA out of memory".into());
    script.engine_ends(10, end());
    script.works(10);
    script.tick(11);
    script.tick(12);
    script.works(12);
    script.engine_ends(20, end());
    script.works(20);
    script.tick(24);
    script.works(24);
    script.engine_ends(30, end());
    script.works(30);
    // The board offers it again: it is left to other hosts for five minutes.
    script.offered(31, "cam-1", None);
    script.tick(31);
    script.tick(330);
    script.tick(331);
    script.expect(r#"  10 s  EngineEnded { task: cam-1.16#2, end: Failed("the engine ended with 75: CUDA out of memory") }
          -> Record cam-1.16#3: training, 1 failed
  10 s  Recorded { task: cam-1.16#3, result: Ok(()) }
  11 s  Tick
  12 s  Tick
          -> PrepareFolder cam-1.16#4
  12 s  FolderPrepared { task: cam-1.16#4, result: Ok(()) }
          -> StartEngine { task: cam-1.16#5, device: "cpu" }
  20 s  EngineEnded { task: cam-1.16#5, end: Failed("the engine ended with 75: CUDA out of memory") }
          -> Record cam-1.16#6: training, 2 failed
  20 s  Recorded { task: cam-1.16#6, result: Ok(()) }
          -> Send cam-1: progress, training 0/0
  24 s  Tick
          -> PrepareFolder cam-1.16#7
  24 s  FolderPrepared { task: cam-1.16#7, result: Ok(()) }
          -> StartEngine { task: cam-1.16#8, device: "cpu" }
  30 s  EngineEnded { task: cam-1.16#8, end: Failed("the engine ended with 75: CUDA out of memory") }
          -> Record cam-1.16#9: released, retry: the engine ended with 75: CUDA out of memory
  30 s  Recorded { task: cam-1.16#9, result: Ok(()) }
          -> Send cam-1: release, retry: the engine ended with 75: CUDA out of memory
  31 s  OfferSeen cam-1.16, Offered, host nobody
  31 s  Tick
          -> Remove { job: "cam-1.16", why: OfferedAgain }
 330 s  Tick
 331 s  Tick
          -> Take cam-1.16#10
"#);
}

#[test]
fn no_improvement_and_a_bad_job_are_given_back_once_and_repeated() {
    let mut script = Script::training();
    script.engine_ends(10, EngineEnd::NoImprovement);
    script.works(10);
    script.tick(39);
    script.tick(40);
    // A board that offers again what cannot be done is not claimed.
    script.offered(41, "cam-1", None);
    script.tick(80);
    script.cleared(81, "cam-1");
    script.expect(r#"  10 s  EngineEnded { task: cam-1.16#2, end: NoImprovement }
          -> Record cam-1.16#3: released, no_improvement: nothing that was trained is better than the head alone
  10 s  Recorded { task: cam-1.16#3, result: Ok(()) }
          -> Send cam-1: release, no_improvement: nothing that was trained is better than the head alone
  39 s  Tick
  40 s  Tick
          -> Send cam-1: release, no_improvement: nothing that was trained is better than the head alone
  41 s  OfferSeen cam-1.16, Offered, host nobody
  80 s  Tick
  81 s  OfferCleared { device: "cam-1", job: "16" }
          -> Remove { job: "cam-1.16", why: OfferCleared }
"#);
    let mut script = Script::training();
    script.engine_ends(10, EngineEnd::BadJob("no\nGPU".into()));
    script.expect(
        r#"  10 s  EngineEnded { task: cam-1.16#2, end: BadJob("no\nGPU") }
          -> Record cam-1.16#3: released, failed: no GPU
"#,
    );
}

#[test]
fn a_silent_engine_is_stopped_and_started_again() {
    let mut script = Script::training();
    script.event(0, HostEvent::EngineStarted { task: script.task() });
    let silent = script.task();
    script.event(900, HostEvent::Connected);
    script.offered(900, "cam-1", Some("gpu-1"));
    script.text.clear();
    script.tick(901);
    script.works(901);
    // Its end comes late.
    script.event(902, HostEvent::EngineEnded { task: silent, end: EngineEnd::Done });
    script.tick(903);
    script.expect(
        r#" 901 s  Tick
          -> Send cam-1: progress, training 0/0
          -> StopEngine { task: cam-1.16#2 }
          -> Record cam-1.16#3: training, 1 failed
 901 s  Recorded { task: cam-1.16#3, result: Ok(()) }
 902 s  EngineEnded { task: cam-1.16#2, end: Done }
 903 s  Tick
          -> PrepareFolder cam-1.16#4
"#,
    );
}

#[test]
fn a_cancelled_job_stops_its_engine_and_late_answers_are_passed_over() {
    let mut script = Script::training();
    let task = script.task();
    script.cleared(5, "cam-1");
    script.event(6, HostEvent::EngineProgress { task: task.clone(), figures: EngineFigures::default() });
    script.event(6, HostEvent::EngineEnded { task, end: EngineEnd::Done });
    script.tick(7);
    script.expect(
        r#"   5 s  OfferCleared { device: "cam-1", job: "16" }
          -> StopEngine { task: cam-1.16#2 }
          -> Remove { job: "cam-1.16", why: OfferCleared }
   6 s  EngineProgress cam-1.16#2  0/0
   6 s  EngineEnded { task: cam-1.16#2, end: Done }
   7 s  Tick
"#,
    );
    // Cancelled while its first record is being written.
    let mut script = Script::new(&["cpu"], Vec::new());
    script.offered(0, "cam-1", None);
    script.tick(0);
    script.cleared(0, "cam-1");
    script.offered(0, "cam-1", None);
    script.tick(1);
    script.works(1);
    script.tick(2);
    script.expect(
        r#"   0 s  OfferSeen cam-1.16, Offered, host nobody
   0 s  Tick
          -> Take cam-1.16#1
   0 s  OfferCleared { device: "cam-1", job: "16" }
   0 s  OfferSeen cam-1.16, Offered, host nobody
   1 s  Tick
   1 s  Taken cam-1.16#1 Ok(())
          -> Remove { job: "cam-1.16", why: OfferCleared }
   2 s  Tick
          -> Take cam-1.16#2
"#,
    );
}

#[test]
fn duplicated_and_stale_messages_change_nothing() {
    let mut script = Script::new(&["cpu"], vec![job("cam-1.16", Phase::Receiving)]);
    script.event(0, HostEvent::Connected);
    script.offered(0, "cam-1", Some("gpu-1"));
    script.offered(0, "cam-1", Some("gpu-1"));
    script.tick(0);
    let first = script.task();
    // Two uploads end while the files are counted: they are counted once more.
    script.event(1, HostEvent::UploadComplete { job: "cam-1.16".into() });
    script.event(1, HostEvent::UploadComplete { job: "cam-1.16".into() });
    script.event(2, HostEvent::FilesChecked { task: first.clone(), missing: Ok(Some(1)) });
    script.event(3, HostEvent::FilesChecked { task: first, missing: Ok(Some(0)) });
    script.works(4);
    let recorded = script.task();
    script.works(4);
    script.event(4, HostEvent::Recorded { task: recorded.clone(), result: Err("late".into()) });
    script.event(5, HostEvent::UploadComplete { job: "cam-1.16".into() });
    script.event(5, HostEvent::UploadComplete { job: "cam-9.1".into() });
    script.works(6);
    script.event(7, HostEvent::Recorded { task: script.task(), result: Ok(()) });
    script.cleared(8, "cam-1");
    script.cleared(8, "cam-1");
    script.expect(
        r#"   0 s  Connected
   0 s  OfferSeen cam-1.16, Claimed, host gpu-1
   0 s  OfferSeen cam-1.16, Claimed, host gpu-1
   0 s  Tick
          -> Send cam-1: progress, receiving 0/0
          -> CheckFiles cam-1.16#1
   1 s  UploadComplete { job: "cam-1.16" }
   1 s  UploadComplete { job: "cam-1.16" }
   2 s  FilesChecked { task: cam-1.16#1, missing: Ok(Some(1)) }
          -> CheckFiles cam-1.16#2
   3 s  FilesChecked { task: cam-1.16#1, missing: Ok(Some(0)) }
   4 s  FilesChecked { task: cam-1.16#2, missing: Ok(Some(0)) }
          -> Record cam-1.16#3: training, 0 failed
   4 s  Recorded { task: cam-1.16#3, result: Ok(()) }
          -> PrepareFolder cam-1.16#4
   4 s  Recorded { task: cam-1.16#3, result: Err("late") }
   5 s  UploadComplete { job: "cam-1.16" }
   5 s  UploadComplete { job: "cam-9.1" }
   6 s  FolderPrepared { task: cam-1.16#4, result: Ok(()) }
          -> StartEngine { task: cam-1.16#5, device: "cpu" }
   7 s  Recorded { task: cam-1.16#5, result: Ok(()) }
   8 s  OfferCleared { device: "cam-1", job: "16" }
          -> StopEngine { task: cam-1.16#5 }
          -> Remove { job: "cam-1.16", why: OfferCleared }
   8 s  OfferCleared { device: "cam-1", job: "16" }
"#,
    );
}

#[test]
fn a_record_that_cannot_be_written_is_written_again_before_anything_is_said() {
    let mut script = Script::training();
    script.engine_ends(1, EngineEnd::Done);
    script.fails(1);
    script.tick(2);
    script.tick(3);
    script.works(3);
    script.works(4);
    script.works(4);
    script.fails(4);
    script.tick(6);
    script.works(6);
    script.expect(
        r#"   1 s  EngineEnded { task: cam-1.16#2, end: Done }
          -> Record cam-1.16#3: verifying, 0 failed
   1 s  Recorded { task: cam-1.16#3, result: Err("the disk is full") }
   2 s  Tick
   3 s  Tick
          -> Record cam-1.16#4: verifying, 0 failed
   3 s  Recorded { task: cam-1.16#4, result: Ok(()) }
          -> Verify cam-1.16#5
   4 s  Verified cam-1.16#5 Ok(())
          -> Sign cam-1.16#6
   4 s  Signed cam-1.16#6 Ok(())
          -> Record cam-1.16#7: returned, version 1
   4 s  Recorded { task: cam-1.16#7, result: Err("the disk is full") }
   6 s  Tick
          -> Record cam-1.16#8: returned, version 1
   6 s  Recorded { task: cam-1.16#8, result: Ok(()) }
          -> Send cam-1: result, version 1
"#,
    );
    let mut script = Script::new(&["cpu"], Vec::new());
    script.offered(0, "cam-1", None);
    script.tick(0);
    script.fails(0);
    script.tick(1);
    script.expect(
        r#"   0 s  OfferSeen cam-1.16, Offered, host nobody
   0 s  Tick
          -> Take cam-1.16#1
   0 s  Taken cam-1.16#1 Err("the disk is full")
   1 s  Tick
          -> Take cam-1.16#2
"#,
    );
}

#[test]
fn a_store_that_fails_is_asked_again_and_a_lost_folder_gives_the_job_back() {
    let mut script = Script::new(&["cpu"], vec![job("cam-1.16", Phase::Receiving)]);
    script.tick(0);
    script.fails(0);
    script.tick(29);
    script.tick(30);
    script.works(30);
    script.works(30);
    script.fails(31);
    script.works(31);
    script.expect(
        r#"   0 s  Tick
          -> CheckFiles cam-1.16#1
   0 s  FilesChecked { task: cam-1.16#1, missing: Err("the disk is full") }
  29 s  Tick
  30 s  Tick
          -> CheckFiles cam-1.16#2
  30 s  FilesChecked { task: cam-1.16#2, missing: Ok(Some(0)) }
          -> Record cam-1.16#3: training, 0 failed
  30 s  Recorded { task: cam-1.16#3, result: Ok(()) }
          -> PrepareFolder cam-1.16#4
  31 s  FolderPrepared { task: cam-1.16#4, result: Err("the disk is full") }
          -> Record cam-1.16#5: released, retry: the disk is full
  31 s  Recorded { task: cam-1.16#5, result: Ok(()) }
"#,
    );
}
