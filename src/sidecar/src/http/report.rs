//! `GET /v1/report`.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use lacuna_core::report::{Filter, LaneRow, StreamRow};
use lacuna_core::totals::Totals;

use super::problem::Problem;
use super::query::{self, Rows};
use super::router::Api;
use crate::clock;
use crate::report::{Depth, Document, Header};

pub(super) async fn report(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let query: Rows = query::read(&uri)?;
    query.without(&[("state", query.state.is_some())])?;
    let filter = query.filter();
    let narrowed = filter != Filter::default() || query.limit.is_some() || query.cursor.is_some();
    let depth = match query.depth.as_deref() {
        None if narrowed => Depth::Lanes,
        depth => self::depth(depth)?,
    };
    let mut streams = api.engine.report(filter.clone(), depth == Depth::Lanes).await?;
    let totals = totals(&api, &filter, &streams, depth).await?;
    let cursor = match depth {
        // A filter says which lanes are wanted, and then it is all of them.
        Depth::Lanes if filter != Filter::default() && query.limit.is_none() => {
            Some(page(&mut streams, usize::MAX, query.cursor.as_deref())?)
        }
        Depth::Lanes => Some(page(&mut streams, query.limit()?, query.cursor.as_deref())?),
        Depth::Totals | Depth::Streams | Depth::Partitions => {
            query
                .without(&[("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())])?;
            None
        }
    };
    let document = Document {
        header: Header {
            at: Some(clock::now_ms()),
            checking: api.engine.checking(None),
            grace_ms: api.grace_ms(),
            clock_skew_ms: api.clock_skew_ms(),
            complete: false,
        },
        totals: &totals,
        unwatched: &api.engine.unwatched_streams().await?,
        streams: &streams,
        depth,
        gaps: None,
        cursor,
    };
    json(&document)
}

/// A body of JSON.
pub(super) fn json(body: &impl serde::Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Problem::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn depth(text: Option<&str>) -> Result<Depth, Problem> {
    match text {
        None => Ok(Depth::default()),
        Some("totals") => Ok(Depth::Totals),
        Some("streams") => Ok(Depth::Streams),
        Some("partitions") => Ok(Depth::Partitions),
        Some("lanes") => Ok(Depth::Lanes),
        Some(other) => Err(Problem::bad(format!(
            "{other:?} is no depth: totals, streams, partitions and lanes are"
        ))),
    }
}

/// The sum of the rows that were asked for.
async fn totals(
    api: &Api,
    filter: &Filter,
    streams: &[StreamRow],
    depth: Depth,
) -> Result<Totals, Problem> {
    if *filter == Filter::default() {
        return Ok(api.engine.totals().await?);
    }
    let mut sum = Totals::default();
    for stream in streams {
        sum += &stream.totals;
    }
    // Producers are names, each counted once; several rows may know the same ones.
    if streams.len() > 1 {
        sum.producers = if depth == Depth::Lanes {
            producers(streams)
        } else {
            producers(&api.engine.report(filter.clone(), true).await?)
        };
    }
    Ok(sum)
}

fn producers(streams: &[StreamRow]) -> u64 {
    let partitions = streams.iter().flat_map(|stream| &stream.partitions);
    let lanes = partitions.flat_map(|partition| &partition.lanes);
    lanes.map(|lane| &lane.producer).collect::<BTreeSet<_>>().len() as u64
}

/// Leaves one page of lanes in the rows, and says where the next one begins. If they are not all on
/// one page, the rows have only what has lanes on it.
fn page(
    streams: &mut Vec<StreamRow>,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Option<String>, Problem> {
    let after = cursor.map(Position::read).transpose()?;
    let mut positions: Vec<Position> = streams
        .iter()
        .flat_map(|stream| stream.partitions.iter().map(move |partition| (stream, partition)))
        .flat_map(|(stream, partition)| {
            let place = [&stream.view, &stream.stream, &partition.partition];
            partition.lanes.iter().map(move |lane| Position::of(place, lane))
        })
        .filter(|position| after.as_ref().is_none_or(|after| position > after))
        .collect();
    if after.is_none() && positions.len() <= limit {
        return Ok(None);
    }
    positions.sort_unstable();
    let more = positions.len() > limit;
    positions.truncate(limit);
    for stream in streams.iter_mut() {
        for partition in &mut stream.partitions {
            let place = [&stream.view, &stream.stream, &partition.partition];
            let on_page =
                |lane: &LaneRow| positions.binary_search(&Position::of(place, lane)).is_ok();
            partition.lanes.retain(on_page);
        }
        stream.partitions.retain(|partition| !partition.lanes.is_empty());
    }
    streams.retain(|stream| !stream.partitions.is_empty());
    Ok(positions.last().filter(|_| more).map(Position::write))
}

/// A lane's place in the order that pages follow. It names the lane instead of counting lanes, so
/// that pages neither skip nor repeat one when others come and go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position([String; 5], u64);

impl Position {
    fn of([view, stream, partition]: [&String; 3], lane: &LaneRow) -> Self {
        let names = [view, stream, partition, &lane.producer, &lane.lane];
        Self(names.map(String::clone), lane.epoch)
    }

    /// Hex, since names may hold anything.
    fn write(&self) -> String {
        let Self(names, epoch) = self;
        let text = format!("{}\0{epoch}", names.join("\0"));
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(cursor: &str) -> Result<Self, Problem> {
        Self::decode(cursor)
            .ok_or_else(|| Problem::bad(format!("cursor {cursor:?} is not one of ours")))
    }

    fn decode(cursor: &str) -> Option<Self> {
        let digits: Vec<u8> = cursor
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()?;
        let text = digits.chunks(2).map(|pair| match *pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        });
        let text = String::from_utf8(text.collect::<Option<_>>()?).ok()?;
        let mut parts = text.split('\0').map(str::to_owned);
        let mut part = || parts.next();
        let names = [part()?, part()?, part()?, part()?, part()?];
        let epoch = part()?.parse().ok()?;
        Some(Self(names, epoch))
    }
}
