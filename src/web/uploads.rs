//! What comes in larger than a command: pictures.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;

use super::api::{Api, read};
use super::{Answer, View};

/// Bytes of a picture that is asked about.
const MAX_PICTURE: usize = 16 << 20;
/// A picture may come over a slow network.
const PICTURE_WAIT: Duration = Duration::from_secs(60);

/// `POST predict`: what the head says of a picture.
pub(super) async fn predict(State(api): State<Api>, body: Body) -> Answer {
    let Ok(_one_at_a_time) = api.pictures.acquire().await else { return Answer::json(&()) };
    match read(body, MAX_PICTURE, PICTURE_WAIT).await {
        Ok(picture) => api.view(View::Predict(picture)).await,
        Err(answer) => answer,
    }
}
