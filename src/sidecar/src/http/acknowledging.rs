//! `PUT` and `DELETE /v1/gaps/{id}/acknowledgement`, and `GET /v1/acknowledgements`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use lacuna_core::report::{Filter, GapRow};
use lacuna_core::totals::Lost;
use lacuna_core::verdict::State as Verdict;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::problem::Problem;
use super::report::json;
use super::router::Api;
use crate::acknowledged::{Acknowledgement, Full, Said};
use crate::clock;
use crate::engine::stage_mut;
use crate::report::GapJson;

/// Under this name they are kept.
pub const ACKNOWLEDGED: &str = "acknowledged";
/// Longest name and longest note, in bytes.
const MAX_BY: usize = 200;
const MAX_NOTE: usize = 4_000;

/// What a person says of a gap.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Word {
    pub(super) by: String,
    #[serde(default)]
    pub(super) note: String,
    /// The last number that the person has seen in the row: what it has grown by since is not meant.
    #[serde(default)]
    pub(super) last: Option<u64>,
}

pub(super) async fn add(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let word: Word = serde_json::from_slice(&body.bytes).map_err(|error| {
        Problem::bad(format!("body is not {{\"by\":\"…\",\"note\":\"…\"}}: {error}"))
    })?;
    let (row, said) = acknowledge(&api, &id, word).await?;
    json(&GapJson::of(&row, Some(&said)))
}

/// Takes a person's word on the row.
pub(super) async fn acknowledge(
    api: &Api,
    id: &str,
    word: Word,
) -> Result<(GapRow, Said), Problem> {
    let Word { by, note, last } = word;
    let (by, note) = (by.trim().to_owned(), note.trim().to_owned());
    if by.is_empty() || by.len() > MAX_BY || note.len() > MAX_NOTE {
        let what = format!("by is 1 to {MAX_BY} bytes, note at most {MAX_NOTE}");
        return Err(Problem::bad(what));
    }
    let (row, _) = find(api, id).await?;
    let row = match last.filter(|&last| (row.first..row.last).contains(&last)) {
        Some(last) => row.part(row.first, last),
        None => row,
    };
    let said = Said { by, note, at: clock::now_ms() };
    api.acknowledgements().add(&row, said.clone())?;
    keep(api).await?;
    Ok((row, said))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let row = take_back(&api, &id).await?;
    json(&GapJson::from(&row))
}

/// Takes back what was said of the row.
pub(super) async fn take_back(api: &Api, id: &str) -> Result<GapRow, Problem> {
    let (row, _) = find(api, id).await?;
    api.acknowledgements().remove(&row);
    keep(api).await?;
    Ok(row)
}

/// Keeps what people said.
async fn keep(api: &Api) -> Result<(), Problem> {
    let all = serde_json::to_vec(&*api.acknowledgements()).unwrap_or_default();
    Ok(api.engine.keep_record(ACKNOWLEDGED, all).await?)
}

/// The lost row of this id, as rows are shown.
async fn find(api: &Api, id: &str) -> Result<(GapRow, Option<Said>), Problem> {
    let wanted = u64::from_str_radix(id, 16).ok().filter(|_| id.len() == 16);
    let wanted = wanted.ok_or_else(|| Problem::bad(format!("{id:?} is no id of a gap")))?;
    let rows = api.engine.lost(vec![Filter::default()]).await?;
    let mut parts = api.acknowledgements().split_all(rows).into_iter();
    parts.find(|(row, _)| row.id == wanted).ok_or_else(|| {
        let what =
            format!("no lost row has the id {id}: it may have been recovered, or have changed");
        Problem::new(StatusCode::NOT_FOUND, what)
    })
}

#[derive(Serialize)]
struct Acknowledgements<'a> {
    v: u8,
    /// What is lost now and was acknowledged.
    lost: LostJson,
    acknowledgements: Vec<AcknowledgementJson<'a>>,
}

#[derive(Serialize)]
struct LostJson {
    produce: u128,
    store: u128,
    consume: u128,
    undetermined: u128,
}

#[derive(Serialize)]
struct AcknowledgementJson<'a> {
    view: &'a str,
    stream: &'a str,
    partition: &'a str,
    lane: &'a str,
    producer: &'a str,
    epoch: String,
    first: u64,
    last: u64,
    by: &'a str,
    note: &'a str,
    at: u64,
}

pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let all = api.acknowledgements().clone();
    let rows = api.engine.lost(all.filters()).await?;
    let mut lost = Lost::default();
    for (row, _) in all.split_all(rows).into_iter().filter(|(_, said)| said.is_some()) {
        if let Some(Verdict::Lost(stage)) = row.state {
            *stage_mut(&mut lost, stage) += u128::from(row.last - row.first) + 1;
        }
    }
    let mut list: Vec<Acknowledgement> = all.into();
    list.sort_by_key(|one| std::cmp::Reverse(one.said.at));
    let acknowledgements = list.iter().map(AcknowledgementJson::from).collect();
    let Lost { produce, store, consume, undetermined } = lost;
    let lost = LostJson { produce, store, consume, undetermined };
    json(&Acknowledgements { v: 1, lost, acknowledgements })
}

impl<'a> From<&'a Acknowledgement> for AcknowledgementJson<'a> {
    fn from(one: &'a Acknowledgement) -> Self {
        let Acknowledgement { lane, first, last, said } = one;
        Self {
            view: &lane.view,
            stream: &lane.stream,
            partition: &lane.partition,
            lane: &lane.lane,
            producer: &lane.producer,
            epoch: format!("{:x}", lane.epoch),
            first: *first,
            last: *last,
            by: &said.by,
            note: &said.note,
            at: said.at,
        }
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(StatusCode::CONFLICT, full.to_string())
    }
}
