//! The broker: can it be reached, what does it take, does a message come back?

use super::Finding;
use crate::config::{Settings, bytes_text};
use graft_mqtt as mqtt;
use graft_wire::parts::PART_BYTES;

/// One part of a head, the largest message that is sent.
pub fn broker(settings: &Settings) -> Finding {
    let session = &settings.mqtt.session;
    if !session.enabled {
        return Finding::ok("broker", "MQTT is switched off (mqtt.enabled)");
    }
    let topic = format!("{}/{}/doctor", settings.mqtt.base, settings.device.id);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = match runtime {
        Ok(runtime) => runtime.block_on(mqtt::probe(session, &topic, PART_BYTES)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    judge(&format!("{}:{}", session.host, session.port), asked)
}

fn judge(at: &str, asked: Result<mqtt::Probe, String>) -> Finding {
    let probe = match asked {
        Ok(probe) => probe,
        Err(why) => {
            let remedy =
                format!("{why}. See [mqtt] in `graft config show`; mqtt.enabled = false goes without");
            return Finding::fail("broker", format!("{at} cannot be used"), remedy);
        }
    };
    let packet = probe.packet.map_or_else(|| "any size".to_owned(), |bytes| bytes_text(bytes as u64));
    let found = format!(
        "{at}: {} there and back in {:.0} ms; takes packets of {packet}, {} unacknowledged",
        bytes_text(PART_BYTES as u64),
        probe.round_trip.as_secs_f64() * 1e3,
        probe.receive_max
    );
    if probe.retain {
        return Finding::ok("broker", found);
    }
    let remedy = "allow retained messages there: who subscribes later sees neither state nor head";
    Finding::warn("broker", found, remedy)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_broker_is_judged_by_what_it_does() {
        let good = mqtt::Probe {
            packet: None,
            receive_max: 20,
            retain: true,
            round_trip: Duration::from_millis(12),
        };
        assert_eq!(judge("b:1883", Ok(good)).verdict, Verdict::Ok);
        assert_eq!(judge("b:1883", Ok(mqtt::Probe { retain: false, ..good })).verdict, Verdict::Warn);
        let failed = judge("b:1883", Err("b:1883 refuses the connection".into()));
        assert!(failed.verdict == Verdict::Fail && failed.remedy.contains("refuses"), "{failed:?}");
    }
}
