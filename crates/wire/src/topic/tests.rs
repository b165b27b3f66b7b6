use super::*;
use proptest::prelude::*;

#[test]
fn topics_hang_under_base_and_device() {
    let t = Topics::new("site/line-3", "cam-1").unwrap();
    assert_eq!(t.root(), "site/line-3/cam-1");
    assert_eq!(t.availability().name, "site/line-3/cam-1/availability");
    assert_eq!(t.head_part(7, 2).name, "site/line-3/cam-1/head/7/2");
    assert_eq!(t.reply("label").name, "site/line-3/cam-1/reply/label");
    assert_eq!(t.cmd_filter(), "site/line-3/cam-1/cmd/+");
    assert!(t.head_part(1, 0).name.matches('/').count() <= 7);
}

#[test]
fn bad_bases_and_devices_are_refused_by_reason() {
    for base in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a\nb", "a/b/c/d/e", &"x".repeat(200)] {
        assert!(matches!(Topics::new(base, "cam"), Err(TopicError::Base(..))), "{base:?}");
    }
    for device in ["", "Cam", "a b", "a/b", "ä", "a_b", &"x".repeat(65)] {
        assert!(matches!(Topics::new("graft", device), Err(TopicError::Device(_))), "{device:?}");
    }
    assert!(Topics::new("graft", &"x".repeat(64)).is_ok());
}

#[test]
fn only_own_known_commands_parse() {
    let t = Topics::new("graft", "cam").unwrap();
    for &op in Op::ALL {
        assert_eq!(t.cmd_word(&t.cmd(op)), Some(op.as_str()));
    }
    for other in [
        "graft/cam/cmd/",
        "graft/cam/cmd/mode/x",
        "graft/camcmd/mode",
        "graft/cam2/cmd/mode",
        "graft/cam/reply/mode",
        "x/graft/cam/cmd/mode",
    ] {
        assert_eq!(t.cmd_word(other), None, "{other}");
    }
    assert_eq!(t.cmd_word("graft/cam/cmd/fly"), Some("fly"));
}

#[test]
fn response_topics_stay_under_their_prefixes() {
    let t = Topics::new("graft", "cam").unwrap();
    let prefixes = ["graft".to_owned(), "clients/".to_owned()];
    for good in ["graft/cam/reply/mode", "clients/7", "graft/other/answers"] {
        assert!(t.allows_response(good, &prefixes), "{good}");
    }
    for bad in [
        "",
        "graftx/1",
        "client",
        "clients/+",
        "#",
        "$SYS/x",
        "graft/cam/cmd/mode",
        "graft/cam/cmd",
        "clients/\u{0}",
        &format!("clients/{}", "x".repeat(600)),
    ] {
        assert!(!t.allows_response(bad, &prefixes), "{bad}");
    }
    assert!(!t.allows_response("anything", &[String::new(), "/".to_owned()]));
}

proptest! {
    #[test]
    fn topics_never_panic(topic in "\\PC*") {
        let t = Topics::new("graft", "cam").unwrap();
        let _ = t.cmd_word(&topic);
        let _ = t.allows_response(&topic, &["graft".to_owned()]);
        let _ = Topics::new(&topic, &topic);
    }
}
