//! Every path of the interface below `/api/v1` (on the socket `/v1`), for `docs/reference/openapi.json` and its test.

/// What may follow the question mark: name, JSON type, meaning.
pub type Parameter = (&'static str, &'static str, &'static str);

/// One path with one method.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// Relative to the root.
    pub path: &'static str,
    /// What it does, as a sentence without its end.
    pub about: &'static str,
    pub query: &'static [Parameter],
    /// MIME type of the body; empty: there is none.
    pub body: &'static str,
    /// MIME type of the answer.
    pub answer: &'static str,
    /// Only on TCP.
    pub page: bool,
}

const JSON: &str = "application/json";
const JPEG: &str = "image/jpeg";
const BYTES: &str = "application/octet-stream";
const ROWS: &[Parameter] = &[
    ("class", "string", "Only this class"),
    ("limit", "integer", "At most so many rows"),
    ("offset", "integer", "Rows left out from the start"),
];

const fn get(path: &'static str, about: &'static str, answer: &'static str) -> Route {
    Route { method: "get", path, about, query: &[], body: "", answer, page: false }
}

const fn post(path: &'static str, about: &'static str, body: &'static str) -> Route {
    Route { method: "post", path, about, query: &[], body, answer: JSON, page: false }
}

const fn with(query: &'static [Parameter], route: Route) -> Route {
    Route { query, ..route }
}

const fn on_tcp(route: Route) -> Route {
    Route { page: true, ..route }
}

/// Every one.
pub const ROUTES: &[Route] = &[
    post("cmd/{op}", "Send a command, the same as on MQTT", JSON),
    get("status", "Mode, head, backbone, counts and connections", JSON),
    get("dataset", "Classes with their samples and bursts", JSON),
    get("dataset/statistics", "The sums over all samples, for `graft host merge`", BYTES),
    with(ROWS, get("samples", "Samples, newest first, at most 1000 rows", JSON)),
    get("samples/{id}/image", "The stored picture of a sample", JPEG),
    get(
        "samples/{id}/near",
        "The samples nearest to it, of its class and of the class that the head says",
        JSON,
    ),
    with(ROWS, get("bursts", "Bursts with their samples, newest first, at most 100 rows", JSON)),
    get(
        "held_out",
        "What was said of each sample by a head that had not seen its burst, wrong ones first",
        JSON,
    ),
    get("ring", "The frames of the last half minute that can still be labelled, oldest first", JSON),
    get("ring/{frame}/image", "The picture of one of them", JPEG),
    post("predict", "What the head says of a picture of at most 16 MB and 40 megapixels", BYTES),
    with(
        &[("class", "string", "The class of one picture, or of all pictures of a zip")],
        post("import", "Import a zip of class folders, or pictures of one class, of at most 512 MB", BYTES),
    ),
    get("export", "All samples as a zip of the folder that `dataset export` writes", "application/zip"),
    get("heads", "The stored heads, newest first", JSON),
    get("heads/{version}", "One head with its manifest and figures", JSON),
    with(
        &[("format", "string", "safetensors (default), onnx or merged-onnx")],
        get("heads/{version}/file", "The file of a head, or of the active one", BYTES),
    ),
    get("backbones", "Backbones that came from a host, and which one serves", JSON),
    get("offload", "The job that is offered to hosts, or came from one", JSON),
    get("config", "Every setting with its value and where that came from, without secrets", JSON),
    get("jobs", "Jobs, newest first", JSON),
    get("jobs/{id}", "One job", JSON),
    get("doctor", "What `graft doctor` finds", JSON),
    get("frame", "The newest crop", JPEG),
    get("view", "The part of the frame that the network looks at", JSON),
    get(
        "stream",
        "The whole picture of the camera, at most 10 a second, 640 pixels and 4 viewers",
        "multipart/x-mixed-replace",
    ),
    get("watch", "What happens, one JSON object a line", "application/x-ndjson"),
    get(
        "events",
        "What happens, as server-sent events; first the state and the label as they are",
        "text/event-stream",
    ),
    get("openapi.json", "This document", JSON),
    on_tcp(post("login", "Begin a session: `{\"token\": \"…\"}`", JSON)),
    on_tcp(post("logout", "End the session", "")),
    on_tcp(get(
        "session",
        "Who one is: `admin`, `viewer` or `none`, and whether anybody has to log in",
        JSON,
    )),
];
