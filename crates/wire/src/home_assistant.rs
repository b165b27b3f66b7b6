//! Home Assistant's MQTT discovery: one retained message that makes the board appear there as a device with its label,
//! accuracy, temperature, a warning light and a switch for adaptation. Format:
//! <https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload> (Home Assistant 2024.11 or newer).

use super::command::Op;
use super::topic::{Address, Topic, Topics};
use serde_json::{Value, json};

/// Topic and payload, below the prefix that Home Assistant listens to (`homeassistant` usually).
pub fn discovery(prefix: &str, topics: &Topics, version: &str, board: &str) -> (Address, String) {
    let device = topics.device();
    let id = format!("graft_{}", device.replace('-', "_"));
    let part = |name: &str, platform: &str, more: Value| {
        let mut part = json!({"platform": platform, "unique_id": format!("{id}_{name}")});
        if let (Some(part), Some(more)) = (part.as_object_mut(), more.as_object()) {
            part.extend(more.clone());
        }
        (name.to_owned(), part)
    };
    let components: serde_json::Map<String, Value> = [
        part(
            "label",
            "sensor",
            // The attributes tell why there is no label: camera_lost, no head yet.
            json!({"name": "Label", "icon": "mdi:tag", "state_topic": topics.label().name,
                "json_attributes_topic": topics.state().name,
                "json_attributes_template": "{{ {'reasons': value_json.reasons, \
                    'head': value_json.head.version if value_json.head else 'no head yet', \
                    'waits_for': value_json.adaptation.waiting_for | default(None)} | tojson }}"}),
        ),
        part(
            "accuracy",
            "sensor",
            json!({"name": "Accuracy", "icon": "mdi:target", "entity_category": "diagnostic",
                "unit_of_measurement": "%", "state_class": "measurement", "state_topic": topics.state().name,
                "value_template": "{{ (value_json.head.accuracy.value * 100) | round(1) \
                                   if value_json.head and value_json.head.accuracy else None }}"}),
        ),
        part(
            "temperature",
            "sensor",
            json!({"name": "Temperature", "device_class": "temperature", "entity_category": "diagnostic",
                "unit_of_measurement": "°C", "state_class": "measurement", "state_topic": topics.stats().name,
                "value_template": "{{ value_json.temperature_c | default(None) }}"}),
        ),
        part(
            "problem",
            "binary_sensor",
            json!({"name": "Problem", "device_class": "problem", "entity_category": "diagnostic",
                "state_topic": topics.state().name,
                "value_template": "{{ 'ON' if value_json.mode == 'degraded' else 'OFF' }}"}),
        ),
        part(
            "adaptation",
            "switch",
            json!({"name": "Adaptation", "icon": "mdi:school", "command_topic": topics.cmd(Op::Mode),
                "payload_on": "start", "payload_off": "stop", "state_topic": topics.state().name,
                "state_on": "on", "state_off": "off",
                "value_template": "{{ 'on' if value_json.wanted == 'adapt' else 'off' }}"}),
        ),
    ]
    .into_iter()
    .collect();
    let payload = json!({
        "device": {"identifiers": [id], "name": format!("graft {device}"), "manufacturer": "graft", "model": board,
            "sw_version": version},
        "origin": {"name": "graft", "sw_version": version},
        "availability_topic": topics.availability().name,
        "qos": 1,
        "components": components,
    });
    let name = Topic::HOME_ASSISTANT.address.replace("{prefix}", prefix).replace("{id}", &id);
    (Address::new(Topic::HOME_ASSISTANT, name), payload.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn every_part_names_our_topics_and_its_commands_are_understood() {
        let topics = Topics::new("graft", "line-3").unwrap();
        let (topic, payload) = discovery("homeassistant", &topics, "1.2.3", "Some board");
        assert_eq!(topic.name, "homeassistant/device/graft_line_3/config");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(payload["availability_topic"], "graft/line-3/availability");
        let parts = payload["components"].as_object().unwrap();
        assert_eq!(parts.len(), 5);
        let mut ids: Vec<&str> = parts.values().map(|part| part["unique_id"].as_str().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), parts.len());
        let ours = [topics.label().name, topics.state().name, topics.stats().name];
        assert!(parts.values().all(|part| ours.contains(&part["state_topic"].as_str().unwrap().to_owned())));
        assert_eq!(parts["label"]["json_attributes_topic"], "graft/line-3/state");
        assert!(parts["label"]["json_attributes_template"].as_str().unwrap().contains("'no head yet'"));
        let switch = &parts["adaptation"];
        assert_eq!(switch["command_topic"], topics.cmd(Op::Mode));
        for word in ["payload_on", "payload_off"] {
            assert!(parse(Op::Mode, switch[word].as_str().unwrap().as_bytes()).is_ok(), "{word}");
        }
    }
}
