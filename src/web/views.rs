//! Views that a query or a part of the path makes more precise.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use graft_wire::Code;
use serde::Deserialize;

use super::api::{Api, refuse};
use super::{Answer, View};

const MAX_ROWS: usize = 1000;
/// Bursts of one answer: each has its samples with it.
const MAX_BURSTS: usize = 100;
const FORMATS: [&str; 3] = ["safetensors", "onnx", "merged-onnx"];

type Asked<T> = Result<Query<T>, QueryRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowsQuery {
    class: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl RowsQuery {
    /// Class, limit and offset.
    fn read(query: Asked<Self>, most: usize) -> Result<(Option<String>, usize, usize), Answer> {
        let Query(query) = query.map_err(|error| bad_query(&error))?;
        let limit = query.limit.unwrap_or(50);
        if !(1..=most).contains(&limit) {
            return Err(refuse(Code::BadRequest, format!("limit is {limit}, must be 1 to {most}")));
        }
        Ok((query.class.filter(|class| !class.is_empty()), limit, query.offset.unwrap_or(0)))
    }
}

pub(super) async fn samples(State(api): State<Api>, query: Asked<RowsQuery>) -> Answer {
    match RowsQuery::read(query, MAX_ROWS) {
        Ok((class, limit, offset)) => api.view(View::Samples { class, limit, offset }).await,
        Err(answer) => answer,
    }
}

pub(super) async fn bursts(State(api): State<Api>, query: Asked<RowsQuery>) -> Answer {
    match RowsQuery::read(query, MAX_BURSTS) {
        Ok((class, limit, offset)) => api.view(View::Bursts { class, limit, offset }).await,
        Err(answer) => answer,
    }
}

pub(super) async fn near(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    match id.parse() {
        Ok(id) => api.view(View::Near(id)).await,
        Err(_) => refuse(Code::NotFound, format!("{id:?} is not the id of a sample")),
    }
}

pub(super) async fn ring_image(State(api): State<Api>, Path(frame): Path<String>) -> Answer {
    match frame.parse() {
        Ok(frame) => api.view(View::RingImage(frame)).await,
        Err(_) => refuse(Code::NotFound, format!("{frame:?} is not the number of a frame")),
    }
}

pub(super) async fn sample_image(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    match id.parse() {
        Ok(id) => api.view(View::SampleImage(id)).await,
        Err(_) => refuse(Code::NotFound, format!("{id:?} is not the id of a sample")),
    }
}

pub(super) async fn head(State(api): State<Api>, Path(version): Path<String>) -> Answer {
    match version.parse() {
        Ok(version) => api.view(View::Head(version)).await,
        Err(_) => refuse(Code::NotFound, format!("{version:?} is not a head version (a number)")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileQuery {
    format: Option<String>,
}

pub(super) async fn head_file(
    State(api): State<Api>,
    Path(version): Path<String>,
    query: Asked<FileQuery>,
) -> Answer {
    let format = match query {
        Ok(Query(query)) => query.format.unwrap_or_else(|| FORMATS[0].into()),
        Err(error) => return bad_query(&error),
    };
    if !FORMATS.contains(&format.as_str()) {
        let message = format!("format is {format:?}, must be one of {}", FORMATS.join(", "));
        return refuse(Code::BadRequest, message);
    }
    let version = match version.as_str() {
        "active" => None,
        text => match text.parse() {
            Ok(version) => Some(version),
            Err(_) => {
                let message = format!("{text:?} is not a head version (a number, or active)");
                return refuse(Code::NotFound, message);
            }
        },
    };
    api.view(View::HeadFile { version, format }).await
}

pub(super) async fn job(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.view(View::Job(id)).await
}

fn bad_query(error: &QueryRejection) -> Answer {
    refuse(Code::BadRequest, error.body_text())
}
