//! `docs/reference/openapi.json`: the HTTP interface for tools, from the table of its paths and the types of commands.

use super::schemas::{command_name, schemas};
use graft::lab::{ROUTES, Route};
use graft_wire::command::Op;
use graft_wire::{digest, error};
use serde_json::{Map, Value, json};

/// The whole file.
pub fn openapi_json() -> String {
    // A tree of texts and numbers can always be written.
    serde_json::to_string_pretty(&openapi()).unwrap_or_default() + "\n"
}

fn openapi() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        for (path, operation) in operations(route) {
            let of_path = paths.entry(format!("/{path}")).or_insert_with(|| json!({}));
            of_path[route.method] = operation;
        }
    }
    let mut all = schemas();
    all.insert(
        "CommandId".into(),
        json!({"type": "string", "minLength": 1, "maxLength": 128,
        "description": "Names the command for its reply, and keeps it from being done twice."}),
    );
    all.insert(
        "Expires".into(),
        json!({"type": "string", "format": "date-time",
        "description": "Not to be carried out after this time."}),
    );
    all.insert(
        "IfRev".into(),
        json!({"type": "integer", "minimum": 0,
        "description": "Only to be carried out at this revision."}),
    );
    all.insert("Digest".into(), json!({"type": "string", "pattern": digest::PATTERN}));
    all.insert(
        "Refusal".into(),
        json!({"type": "object", "required": ["status", "error"], "properties": {
        "status": {"const": "error"}, "error": {"$ref": "#/components/schemas/Error"}}}),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "graft",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The interface of a board over HTTP: the commands of MQTT, and views that change \
                nothing. A request that changes something needs the header X-Graft: 1.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{}, {"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": all,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer",
                    "description": "`graft web token` makes one; without any, nobody on this machine has to log in."},
                "session": {"type": "apiKey", "in": "cookie", "name": "graft_8470",
                    "description": "What `login` gives; the number is the port."},
            },
        },
    })
}

/// A route as operations: commands are one for each op, as their bodies differ.
fn operations(route: &Route) -> Vec<(String, Value)> {
    if route.path != "cmd/{op}" {
        let body = (!route.body.is_empty()).then(|| json!({"content": {route.body: {}}, "required": true}));
        return vec![(route.path.to_owned(), operation(route, route.about, body, json!({})))];
    }
    let of = |op: &Op| {
        let (word, name) = (op.as_str(), command_name(*op));
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        let body = json!({"content": {"application/json": {"schema": schema}}, "required": true});
        let about = format!("Send a `{word}` command, the same as on MQTT");
        let reply = json!({"schema": {"$ref": "#/components/schemas/Reply"}});
        (format!("cmd/{word}"), operation(route, &about, Some(body), reply))
    };
    Op::ALL.iter().map(of).collect()
}

fn operation(route: &Route, about: &str, body: Option<Value>, answer: Value) -> Value {
    let in_path = route.path.split(['{', '}']).skip(1).step_by(2).filter(|name| *name != "op");
    let in_path = in_path.map(|name| {
        let kind = if matches!(name, "id" | "version") { "string" } else { "integer" };
        json!({"name": name, "in": "path", "required": true, "schema": {"type": kind}})
    });
    let in_query = route.query.iter().map(|(name, kind, about)| {
        json!({"name": name, "in": "query", "description": about, "schema": {"type": kind}})
    });
    let mut parameters: Vec<Value> = in_path.chain(in_query).collect();
    if route.method == "post" {
        parameters
            .push(json!({"name": "X-Graft", "in": "header", "required": true, "schema": {"const": "1"}}));
    }
    let well = json!({"description": "Done", "content": {route.answer: answer}});
    let mut responses = Map::from_iter([("200".to_owned(), well.clone())]);
    if route.method == "post" && (route.path == "cmd/{op}" || route.path == "import") {
        responses
            .insert("202".into(), json!({"description": "Taken on as a job", "content": well["content"]}));
    }
    let codes: Vec<String> =
        error::Code::ALL.iter().map(|code| format!("`{code}` {}", error::http_status(*code))).collect();
    responses.insert(
        "default".into(),
        json!({
            "description": format!("Refused; the HTTP status is that of the code: {}", codes.join(", ")),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
        }),
    );
    let mut operation = json!({"summary": about, "parameters": parameters, "responses": responses});
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation
}
