//! Jobs from offer to result, and which offers are taken.

use super::*;

#[test]
fn a_job_from_offer_to_result() {
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::Connected);
    script.offered(0, "cam-1", None);
    script.tick(1);
    script.works(1);
    script.event(1, HostEvent::FilesChecked { task: script.task(), missing: Ok(None) });
    script.offered(2, "cam-1", Some("gpu-1"));
    script.tick(2);
    script.event(3, HostEvent::UploadComplete { job: "cam-1.16".into() });
    script.works(3);
    script.works(3);
    script.works(4);
    script.event(4, HostEvent::EngineStarted { task: script.task() });
    for (second, step) in [(5, 1), (6, 2), (7, 3)] {
        let figures = EngineFigures { step, steps: 3, stage: "gradual".into(), ..EngineFigures::default() };
        script.event(second, HostEvent::EngineProgress { task: script.task(), figures });
    }
    script.tick(18);
    script.works(20);
    script.works(20);
    script.works(21);
    script.works(21);
    script.works(21);
    script.tick(50);
    script.tick(52);
    script.cleared(53, "cam-1");
    script.expect(
        r#"   0 s  Connected
   0 s  OfferSeen cam-1.16, Offered, host nobody
   1 s  Tick
          -> Take cam-1.16#1
   1 s  Taken cam-1.16#1 Ok(())
          -> Claim cam-1.16 until 301 s
          -> CheckFiles cam-1.16#2
   1 s  FilesChecked { task: cam-1.16#2, missing: Ok(None) }
   2 s  OfferSeen cam-1.16, Claimed, host gpu-1
   2 s  Tick
          -> Send cam-1: progress, receiving 0/0
   3 s  UploadComplete { job: "cam-1.16" }
          -> CheckFiles cam-1.16#3
   3 s  FilesChecked { task: cam-1.16#3, missing: Ok(Some(0)) }
          -> Record cam-1.16#4: training, 0 failed
   3 s  Recorded { task: cam-1.16#4, result: Ok(()) }
          -> PrepareFolder cam-1.16#5
   4 s  FolderPrepared { task: cam-1.16#5, result: Ok(()) }
          -> StartEngine { task: cam-1.16#6, device: "cpu" }
   4 s  EngineStarted { task: cam-1.16#6 }
          -> Send cam-1: progress, training 0/0
   5 s  EngineProgress cam-1.16#6 gradual 1/3
          -> Send cam-1: progress, gradual 1/3
   6 s  EngineProgress cam-1.16#6 gradual 2/3
   7 s  EngineProgress cam-1.16#6 gradual 3/3
          -> Send cam-1: progress, gradual 3/3
  18 s  Tick
          -> Send cam-1: progress, gradual 3/3
  20 s  EngineEnded { task: cam-1.16#6, end: Done }
          -> Record cam-1.16#7: verifying, 0 failed
  20 s  Recorded { task: cam-1.16#7, result: Ok(()) }
          -> Verify cam-1.16#8
  21 s  Verified cam-1.16#8 Ok(())
          -> Sign cam-1.16#9
  21 s  Signed cam-1.16#9 Ok(())
          -> Record cam-1.16#10: returned, version 1
  21 s  Recorded { task: cam-1.16#10, result: Ok(()) }
          -> Send cam-1: result, version 1
  50 s  Tick
  52 s  Tick
          -> Send cam-1: result, version 1
  53 s  OfferCleared { device: "cam-1", job: "16" }
          -> Remove { job: "cam-1.16", why: OfferCleared }
"#,
    );
}

#[test]
fn a_claim_that_another_host_wins_is_given_up() {
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::Connected);
    script.offered(0, "cam-1", None);
    script.tick(1);
    script.works(1);
    script.offered(2, "cam-1", Some("gpu-2"));
    script.tick(2);
    // Its lease ends: the offer is open again, and taken again, with another record.
    script.offered(90, "cam-1", None);
    script.tick(90);
    script.expect(
        r#"   0 s  Connected
   0 s  OfferSeen cam-1.16, Offered, host nobody
   1 s  Tick
          -> Take cam-1.16#1
   1 s  Taken cam-1.16#1 Ok(())
          -> Claim cam-1.16 until 301 s
          -> CheckFiles cam-1.16#2
   2 s  OfferSeen cam-1.16, Claimed, host gpu-2
   2 s  Tick
          -> Remove { job: "cam-1.16", why: OtherHost }
  90 s  OfferSeen cam-1.16, Offered, host nobody
  90 s  Tick
          -> Take cam-1.16#3
"#,
    );
}

#[test]
fn a_board_that_does_not_answer_is_claimed_again_until_its_offer_expires() {
    let mut script = Script::new(&["cpu"], Vec::new());
    script.event(0, HostEvent::Connected);
    script.offered(0, "cam-1", None);
    script.tick(1);
    script.works(1);
    script.event(1, HostEvent::FilesChecked { task: script.task(), missing: Ok(None) });
    for second in [20, 21, 40, 41] {
        script.tick(second);
    }
    script.tick(EXPIRES + 1);
    script.tick(EXPIRES + 2);
    script.expect(
        r#"   0 s  Connected
   0 s  OfferSeen cam-1.16, Offered, host nobody
   1 s  Tick
          -> Take cam-1.16#1
   1 s  Taken cam-1.16#1 Ok(())
          -> Claim cam-1.16 until 301 s
          -> CheckFiles cam-1.16#2
   1 s  FilesChecked { task: cam-1.16#2, missing: Ok(None) }
  20 s  Tick
  21 s  Tick
          -> Claim cam-1.16 until 321 s
  40 s  Tick
  41 s  Tick
          -> Claim cam-1.16 until 341 s
100001 s  Tick
          -> Remove { job: "cam-1.16", why: OfferExpired }
100002 s  Tick
"#,
    );
}

#[test]
fn an_offer_that_is_not_there_after_a_connect_ends_its_job() {
    let mut script = Script::new(&["cpu"], vec![job("cam-1.16", Phase::Receiving)]);
    script.tick(500);
    script.event(501, HostEvent::Connected);
    script.tick(680);
    script.event(681, HostEvent::Disconnected);
    script.tick(700);
    script.event(701, HostEvent::Connected);
    script.tick(881);
    script.tick(882);
    script.expect(
        r#" 500 s  Tick
          -> CheckFiles cam-1.16#1
 501 s  Connected
 680 s  Tick
 681 s  Disconnected
 700 s  Tick
 701 s  Connected
 881 s  Tick
 882 s  Tick
          -> Remove { job: "cam-1.16", why: OfferUnseen }
"#,
    );
}

#[test]
fn a_lost_lease_is_claimed_again_and_the_work_goes_on() {
    let mut script = Script::training();
    script.event(1, HostEvent::EngineStarted { task: script.task() });
    // The board heard nothing for a minute.
    script.offered(70, "cam-1", None);
    script.tick(70);
    script.offered(71, "cam-1", Some("gpu-1"));
    script.tick(71);
    script.engine_ends(72, EngineEnd::Done);
    script.expect(
        r#"   1 s  EngineStarted { task: cam-1.16#2 }
          -> Send cam-1: progress, training 0/0
  70 s  OfferSeen cam-1.16, Offered, host nobody
  70 s  Tick
          -> Claim cam-1.16 until 370 s
  71 s  OfferSeen cam-1.16, Claimed, host gpu-1
  71 s  Tick
          -> Send cam-1: progress, training 0/0
  72 s  EngineEnded { task: cam-1.16#2, end: Done }
          -> Record cam-1.16#3: verifying, 0 failed
"#,
    );
}

#[test]
fn a_restarted_host_goes_on_in_the_phase_of_each_job() {
    let phases = [
        Phase::Receiving,
        Phase::Training,
        Phase::Verifying,
        Phase::Returned { manifest: Box::new(manifest(3, "new")) },
        Phase::Released { outcome: Outcome::NoImprovement, reason: "x".into() },
        Phase::Released { outcome: Outcome::Retry, reason: "y".into() },
    ];
    let jobs = phases.into_iter().zip(1..).map(|(phase, n)| job(&format!("cam-{n}.16"), phase));
    let jobs: Vec<Job> = jobs.collect();
    let mut script = Script::new(&["cpu"; 3], jobs);
    // Work goes on before the broker is there; messages wait for the offers.
    script.tick(0);
    script.event(1, HostEvent::Connected);
    for n in 1..=6 {
        script.offered(1, &format!("cam-{n}"), Some("gpu-1"));
    }
    script.tick(1);
    script.expect(
        r#"   0 s  Tick
          -> CheckFiles cam-1.16#1
          -> PrepareFolder cam-2.16#2
          -> Verify cam-3.16#3
   1 s  Connected
   1 s  OfferSeen cam-1.16, Claimed, host gpu-1
   1 s  OfferSeen cam-2.16, Claimed, host gpu-1
   1 s  OfferSeen cam-3.16, Claimed, host gpu-1
   1 s  OfferSeen cam-4.16, Claimed, host gpu-1
   1 s  OfferSeen cam-5.16, Claimed, host gpu-1
   1 s  OfferSeen cam-6.16, Claimed, host gpu-1
   1 s  Tick
          -> Send cam-1: progress, receiving 0/0
          -> Send cam-2: progress, training 0/0
          -> Send cam-3: progress, verifying 0/0
          -> Send cam-4: result, version 3
          -> Send cam-5: release, no_improvement: x
          -> Send cam-6: release, retry: y
"#,
    );
}

#[test]
fn offers_are_taken_while_there_are_devices() {
    let mut script = Script::new(&["cuda:0", "cuda:0"], Vec::new());
    for device in ["cam-1", "cam-2", "cam-3"] {
        script.offered(0, device, None);
    }
    script.tick(0);
    for _ in 0..2 {
        // Receiving, checked, training, prepared.
        for _ in 0..4 {
            script.works(1);
        }
        let started = script.open.pop().unwrap();
        assert!(matches!(&started, HostAction::StartEngine { device, .. } if device == "cuda:0"));
        script.text += &format!("          {} runs\n", task_of(&started).unwrap().job);
    }
    script.tick(2);
    script.cleared(3, "cam-1");
    script.tick(3);
    script.expect(
        r#"   0 s  OfferSeen cam-1.16, Offered, host nobody
   0 s  OfferSeen cam-2.16, Offered, host nobody
   0 s  OfferSeen cam-3.16, Offered, host nobody
   0 s  Tick
          -> Take cam-1.16#1
          -> Take cam-2.16#2
   1 s  Taken cam-2.16#2 Ok(())
          -> Claim cam-2.16 until 301 s
          -> CheckFiles cam-2.16#3
   1 s  FilesChecked { task: cam-2.16#3, missing: Ok(Some(0)) }
          -> Record cam-2.16#4: training, 0 failed
   1 s  Recorded { task: cam-2.16#4, result: Ok(()) }
          -> PrepareFolder cam-2.16#5
   1 s  FolderPrepared { task: cam-2.16#5, result: Ok(()) }
          -> StartEngine { task: cam-2.16#6, device: "cuda:0" }
          cam-2.16 runs
   1 s  Taken cam-1.16#1 Ok(())
          -> Claim cam-1.16 until 301 s
          -> CheckFiles cam-1.16#7
   1 s  FilesChecked { task: cam-1.16#7, missing: Ok(Some(0)) }
          -> Record cam-1.16#8: training, 0 failed
   1 s  Recorded { task: cam-1.16#8, result: Ok(()) }
          -> PrepareFolder cam-1.16#9
   1 s  FolderPrepared { task: cam-1.16#9, result: Ok(()) }
          -> StartEngine { task: cam-1.16#10, device: "cuda:0" }
          cam-1.16 runs
   2 s  Tick
   3 s  OfferCleared { device: "cam-1", job: "16" }
          -> StopEngine { task: cam-1.16#10 }
          -> Remove { job: "cam-1.16", why: OfferCleared }
   3 s  Tick
          -> Take cam-3.16#11
"#,
    );
}

#[test]
fn an_unsuitable_offer_is_logged_now_and_then_and_never_taken() {
    let seen = |offer: Offer| HostEvent::OfferSeen { device: "cam-1".into(), offer: Box::new(offer) };
    let mut machine = Machine::new(Policy { boards: vec!["cam-2".into()], ..policy(&["cpu"]) }, Vec::new());
    let tick = |machine: &mut Machine, second| -> Vec<String> {
        let actions = machine.handle(at(second), HostEvent::Tick);
        let quiet = |action: &&HostAction| !matches!(action, HostAction::ReadGroups | HostAction::Sweep);
        actions.iter().filter(quiet).map(show_action).collect()
    };
    machine.handle(at(0), seen(offer("16", None)));
    assert_eq!(tick(&mut machine, 0), [""; 0], "cam-1 is not among offers.devices");
    let mut machine = Machine::new(policy(&["cpu"]), Vec::new());
    let mut large = offer("16", None);
    large.dataset.bytes = 1001;
    machine.handle(at(0), seen(large.clone()));
    let logged = ["LogUnsuitable { job: \"cam-1.16\", why: TooLarge { bytes: 1001, most: 1000 } }"];
    assert_eq!(tick(&mut machine, 0), logged);
    machine.handle(at(1), seen(large));
    assert_eq!(tick(&mut machine, 179), [""; 0]);
    assert_eq!(tick(&mut machine, 180), logged);
    let mut odd = offer("16", None);
    odd.backbone.name = "Tiny Net".into();
    machine.handle(at(400), seen(odd));
    assert_eq!(
        tick(&mut machine, 400),
        ["LogUnsuitable { job: \"cam-1.16\", why: BackboneName(\"Tiny Net\") }"]
    );
    machine.handle(at(EXPIRES), seen(offer("16", None)));
    assert_eq!(tick(&mut machine, EXPIRES), [""; 0], "an expired offer");
}

#[test]
fn what_a_board_would_refuse_is_left_out_of_progress() {
    let mut script = Script::training();
    let figures = EngineFigures {
        step: 1,
        steps: 2,
        epoch: Some(3),
        stage: format!("a\nb{}", "c".repeat(80)),
        loss: Some(f64::NAN),
        val_accuracy: Some(1.5),
        eta_s: Some(-1.0),
    };
    let event = HostEvent::EngineProgress { task: script.task(), figures };
    let actions = script.machine.handle(at(1), event);
    let [HostAction::Send { message: Offload::Progress(progress), .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((progress.step, progress.steps, progress.epoch), (1, 2, Some(3)));
    assert_eq!((progress.loss, progress.val_accuracy, progress.eta_s), (None, None, None));
    assert_eq!(progress.stage, format!("ab{}", "c".repeat(62)));
}
