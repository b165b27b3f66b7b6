//! Why a connection ended, as texts that say what to do.

use std::io;
use std::time::Duration;

use rumqttc::TlsError;
use rumqttc::v5::mqttbytes::Error as CodecError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode, PubAckReason};
use rumqttc::v5::{ConnectionError, StateError};
use rustls::CertificateError;

/// What the session does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Connect again after a pause.
    Lost,
    /// The broker closed without a reason: the same, unless it happens again and again.
    Closed,
    /// Another client has our id: connect again after a long pause.
    TakenOver,
    /// The broker ended the connection because of one of our publications.
    Rejected,
}

/// Why a connection ended or an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub kind: Kind,
    pub text: String,
}

impl Cause {
    pub fn lost(text: impl Into<String>) -> Self {
        Self { kind: Kind::Lost, text: text.into() }
    }
}

/// `at` is `host:port`, for the text.
pub(super) fn cause(error: &ConnectionError, at: &str, client_id: &str) -> Cause {
    match error {
        ConnectionError::Timeout(_) => Cause::lost(format!("{at} does not answer: no connection in 20 s")),
        ConnectionError::Io(error) => Cause::lost(io_text(error, at)),
        ConnectionError::Tls(TlsError::Io(error)) => Cause::lost(io_text(error, at)),
        ConnectionError::Tls(TlsError::TLS(error)) => Cause::lost(tls_text(error, at)),
        ConnectionError::ConnectionRefused(code) => Cause::lost(refusal_text(*code, at)),
        ConnectionError::MqttState(error) => state_cause(error, at, client_id),
        other => Cause::lost(format!("{at}: {}", printable(&other.to_string()))),
    }
}

fn state_cause(error: &StateError, at: &str, client_id: &str) -> Cause {
    match error {
        StateError::Io(error) | StateError::Deserialization(CodecError::Io(error)) => {
            Cause::lost(io_text(error, at))
        }
        StateError::ConnectionAborted => {
            Cause { kind: Kind::Closed, text: format!("{at} closed the connection") }
        }
        StateError::AwaitPingResp => Cause::lost(format!("{at} stopped answering pings")),
        StateError::Deserialization(CodecError::PayloadSizeLimitExceeded { pkt_size, max }) => Cause::lost(
            format!("{at} sent a packet of {pkt_size} bytes although we accept {max} (mqtt.max_packet_in)"),
        ),
        // rumqttc 0.25.1 does not know every reason a PUBACK may carry and gives up the connection; the one met
        // in practice is 149, mosquitto's message_size_limit.
        StateError::Deserialization(CodecError::InvalidConnectReturnCode(code)) => Cause {
            kind: Kind::Rejected,
            text: match code {
                149 => "too_large: the broker refuses messages of this size (reason 149); \
                        raise its limit or lower mqtt.max_packet_out"
                    .into(),
                code => format!("denied: the broker refuses the message with reason {code}"),
            },
        },
        StateError::ServerDisconnect { reason_code, reason_string } => {
            disconnect_cause(*reason_code, reason_string.as_deref(), at, client_id)
        }
        StateError::OutgoingPacketTooLarge { pkt_size, max } => Cause {
            kind: Kind::Rejected,
            text: format!("too_large: a packet of {pkt_size} bytes is over the broker's limit of {max}"),
        },
        other => Cause::lost(format!("{at}: {}", printable(&other.to_string()))),
    }
}

fn disconnect_cause(code: DisconnectReasonCode, text: Option<&str>, at: &str, client_id: &str) -> Cause {
    use DisconnectReasonCode as Code;
    let detail = text.map(|text| format!(": {}", printable(text))).unwrap_or_default();
    let (kind, text) = match code {
        Code::SessionTakenOver => (Kind::TakenOver, taken_over_text(at, client_id)),
        Code::PacketTooLarge => {
            (Kind::Rejected, format!("too_large: the broker refuses packets of this size{detail}"))
        }
        Code::NotAuthorized
        | Code::TopicNameInvalid
        | Code::QuotaExceeded
        | Code::PayloadFormatInvalid
        | Code::RetainNotSupported
        | Code::QoSNotSupported => {
            (Kind::Rejected, format!("denied: the broker disconnected with {code:?}{detail}"))
        }
        Code::ServerShuttingDown => (Kind::Lost, format!("the broker at {at} is shutting down")),
        code => (Kind::Lost, format!("{at} disconnected us with {code:?}{detail}")),
    };
    Cause { kind, text }
}

fn taken_over_text(at: &str, client_id: &str) -> String {
    format!(
        "another client connected to {at} with the id {client_id:?} and threw this one out: \
         give each device its own mqtt.client_id"
    )
}

/// Recognises a takeover where the broker does not name it (mosquitto before 2.1): connections that are closed without a
/// reason, soon, and again and again.
#[derive(Debug, Default)]
pub(super) struct TakeoverDetector {
    short_connections: u32,
}

impl TakeoverDetector {
    const SHORT: Duration = Duration::from_secs(60);
    const REPEATED: u32 = 3;

    /// `lasted` is how long the connection was in use, if it ever was.
    pub fn classify(
        &mut self,
        mut cause: Cause,
        lasted: Option<Duration>,
        at: &str,
        client_id: &str,
    ) -> Cause {
        match (cause.kind, lasted) {
            (Kind::Closed, Some(lasted)) if lasted < Self::SHORT => self.short_connections += 1,
            (_, Some(_)) => self.short_connections = 0,
            // The broker could not be reached: no sign of another client.
            (_, None) => {}
        }
        if cause.kind == Kind::Closed && self.short_connections >= Self::REPEATED {
            cause.kind = Kind::TakenOver;
            cause.text = format!(
                "{} {} times; perhaps {}",
                cause.text,
                self.short_connections,
                taken_over_text(at, client_id)
            );
        }
        cause
    }
}

fn refusal_text(code: ConnectReturnCode, at: &str) -> String {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword | Code::NotAuthorized => format!(
            "{at} refuses the user name or password ({code:?}): check mqtt.username and mqtt.password_file"
        ),
        Code::BadClientId | Code::ClientIdentifierNotValid => {
            format!("{at} refuses the client id: check mqtt.client_id and the broker's rules for ids")
        }
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => {
            format!("{at} does not speak MQTT 5: use a broker that does (mosquitto since 1.6)")
        }
        Code::QuotaExceeded | Code::ServerBusy | Code::ServerUnavailable | Code::ServiceUnavailable => {
            format!("{at} is too busy to take us ({code:?})")
        }
        code => format!("{at} refuses the connection: {code:?}"),
    }
}

/// The word and explanation for a negative PUBACK.
pub(super) fn puback_text(reason: PubAckReason) -> String {
    match reason {
        PubAckReason::NotAuthorized => {
            "denied: the broker does not let this user publish here; check its access rules".into()
        }
        other => format!("denied: the broker answered {other:?}"),
    }
}

fn io_text(error: &io::Error, at: &str) -> String {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return tls_text(tls, at);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("nothing listens at {at}: is the broker running, are mqtt.host and mqtt.port right?")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("{at} cut the connection")
        }
        io::ErrorKind::PermissionDenied => format!(
            "this machine forbids a connection to {at}: the service may talk to this machine alone until network.conf \
             is put beside its unit, see systemd/README.md"
        ),
        _ => format!("{at}: {}", printable(&error.to_string())),
    }
}

fn tls_text(error: &rustls::Error, at: &str) -> String {
    use CertificateError as Fault;
    let rustls::Error::InvalidCertificate(fault) = error else {
        return match error {
            rustls::Error::InvalidMessage(_) => {
                format!("{at} does not speak TLS: check mqtt.port (8883 usually) or set mqtt.tls = \"off\"")
            }
            rustls::Error::AlertReceived(alert) => format!(
                "{at} ended the TLS handshake with {alert:?}: if it asks for a certificate, set mqtt.cert_file \
                 and mqtt.key_file"
            ),
            other => format!("TLS with {at} failed: {}", printable(&other.to_string())),
        };
    };
    match fault {
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => format!(
            "the broker's certificate is not valid for the name in {at}: mqtt.host must be one of its subject \
             alternative names"
        ),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            format!("the certificate of {at} is not yet valid: is this machine's clock set?")
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            format!("the certificate of {at} has expired: renew it, or set this machine's clock")
        }
        Fault::UnknownIssuer => format!(
            "the certificate of {at} is signed by an authority that is not trusted here: set mqtt.ca_file"
        ),
        other => format!("the certificate of {at} is not accepted: {}", printable(&format!("{other:?}"))),
    }
}

/// Foreign text without control characters, at most 300 of them.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_break_log_lines() {
        let detail = format!("bad\nINFO forged{}", "x".repeat(1000));
        let cause = disconnect_cause(DisconnectReasonCode::UnspecifiedError, Some(&detail), "b:1", "id");
        assert!(!cause.text.contains('\n'));
        assert!(cause.text.len() < 400);
    }

    #[test]
    fn undecodable_puback_is_a_rejected_publication() {
        let error = StateError::Deserialization(CodecError::InvalidConnectReturnCode(149));
        let cause = cause(&ConnectionError::MqttState(error), "b:1883", "id");
        assert_eq!(cause.kind, Kind::Rejected);
        assert!(cause.text.starts_with("too_large:"), "{}", cause.text);
    }

    #[test]
    fn only_repeated_closing_is_a_takeover() {
        let closed = || Cause { kind: Kind::Closed, text: "b:1 closed the connection".into() };
        let mut detector = TakeoverDetector::default();
        let mut classify = |cause, lasted_s: u64| {
            detector.classify(cause, Some(Duration::from_secs(lasted_s)), "b:1", "me").kind
        };
        assert_eq!([classify(closed(), 1), classify(closed(), 59)], [Kind::Closed; 2]);
        assert_eq!(classify(closed(), 60), Kind::Closed, "a long connection starts the count again");
        assert_eq!([classify(closed(), 1), classify(closed(), 1)], [Kind::Closed; 2]);
        assert_eq!(classify(closed(), 1), Kind::TakenOver);
        assert_eq!(classify(Cause::lost("reset"), 1), Kind::Lost);
        assert_eq!(classify(closed(), 1), Kind::Closed);
    }

    #[test]
    fn certificate_faults_say_what_to_do() {
        let text = |fault| tls_text(&rustls::Error::InvalidCertificate(fault), "b:8883");
        assert!(text(CertificateError::NotValidYet).contains("clock"));
        assert!(text(CertificateError::NotValidForName).contains("mqtt.host"));
        assert!(text(CertificateError::UnknownIssuer).contains("mqtt.ca_file"));
        // What rustls says inside an I/O error is found too.
        let inner = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let error = ConnectionError::Tls(TlsError::Io(io::Error::other(inner)));
        assert!(cause(&error, "b:8883", "id").text.contains("expired"));
    }
}
