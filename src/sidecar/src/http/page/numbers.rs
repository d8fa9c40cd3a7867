//! Which numbers: a row for each gap, with its evidence, what to copy, and the word of whoever has
//! dealt with it.

use lacuna_core::report::{GapRow, Neighbour, Says};
use lacuna_core::verdict::State;
use maud::{Markup, html};

use super::query::Query;
use super::shown::Shown;
use super::words::{ago, badge, count, number, time};
use crate::acknowledged::Said;
use crate::report::{GapJson, explain, says_word};

/// What can be chosen, and the words that choose it. Where nothing is chosen it is what is lost: what
/// is missing may yet come, and would stand before it.
const STATES: [(&str, Option<&str>); 6] = [
    ("Lost", None),
    ("Missing", Some("missing")),
    ("Not judged", Some("unknown")),
    ("Refused", Some("refused,aborted")),
    ("Recovered", Some("recovered")),
    ("All", Some("all")),
];

pub(super) fn numbers(shown: &Shown) -> Markup {
    let query = &shown.query;
    let missing = shown.totals().missing;
    html! {
        section.numbers #numbers aria-labelledby="numbers-title" {
            header {
                h2 #numbers-title { "Which numbers" }
                nav.states aria-label="State of the rows" {
                    @for (name, state) in STATES {
                        a href={ (query.in_state(state).link()) "#numbers" }
                            aria-current=[(query.state.as_deref() == state).then_some("true")] { (name) }
                    }
                }
            }
            @if shown.gaps.is_empty() {
                p.empty {
                    @match query.state {
                        None => {
                            "No number is lost here."
                            @if missing > 0 {
                                " " a href={ (query.in_state(Some("missing")).link()) "#numbers" } {
                                    (number(missing)) " missing, not judged yet"
                                }
                            }
                        }
                        Some(_) => { "No row is in this state." }
                    }
                }
            }
            div.rows {
                @for (row, said) in &shown.gaps { (gap(shown, row, said.as_ref())) }
            }
            @if query.cursor.is_some() {
                p.more { a href={ (Query { cursor: None, ..query.clone() }.link()) "#numbers" } { "Newest" } }
            }
            @if let Some(older) = &shown.older {
                p.more { a href={ (Query { cursor: Some(older.clone()), ..query.clone() }.link()) "#numbers" } { "Older" } }
            }
        }
    }
}

/// A row that opens: closed, who reads it sees what and where; open, why that is so and what to do.
fn gap(shown: &Shown, row: &GapRow, said: Option<&Said>) -> Markup {
    let id = format!("{:016x}", row.id);
    html! {
        details.gap.done[said.is_some()] #{ "gap-" (id) } {
            summary {
                (badge(row.state, said.is_some()))
                span.range {
                    b { (number(row.first)) @if row.first != row.last { "–" (number(row.last)) } }
                    @if row.first != row.last { " " span.count { (number(count(row))) " numbers" } }
                }
                span.place { (row.stream) " / " (row.partition)
                    @if row.view != "log" { " " span.view { (row.view) } } }
                span.producer.id { (row.producer) }
                span.since { (ago(row.since, shown.at)) }
            }
            div.open {
                (evidence(row))
                @if let Some(said) = said {
                    p.word { "Acknowledged by " b { (said.by) } ", " (time(said.at))
                        @if !said.note.is_empty() { ": " q { (said.note) } } }
                }
                (copies(shown, row, said))
                @if matches!(row.state, Some(State::Lost(_))) { (form(shown, row, &id, said)) }
            }
        }
    }
}

fn evidence(row: &GapRow) -> Markup {
    html! {
        @if let Some(why) = explain(row.state) { p.why { (sentence(why)) } }
        dl.evidence {
            dt { "Last before" } dd { (neighbour(row.before.as_ref())) }
            dt { "First after" } dd { (neighbour(row.after.as_ref())) }
            dt { "Ledger" } dd {
                @match row.says {
                    None => { "says nothing of them" }
                    Some((says, at)) => {
                        (if says == Says::Pending { "still pending" } else { says_word(says) })
                        @if let Some(at) = at { ", as of " (time(at)) }
                    }
                }
            }
            @if !row.seen_in.is_empty() { dt { "Seen in" } dd { (row.seen_in.join(", ")) } }
            dt { "Noticed" } dd { (time(row.since)) }
            @if let Some(at) = row.judged_at { dt { "Judged" } dd { (time(at)) } }
            @if let Some(at) = row.recovered_at { dt { "Recovered" } dd { (time(at)) } }
            dt { "Run" } dd { code { (row.producer) } ", epoch " code { (format!("{:x}", row.epoch)) }
                ", lane " code { (row.lane) } }
        }
    }
}

/// The report's words as a sentence.
fn sentence(why: &str) -> String {
    let mut letters = why.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn neighbour(row: Option<&Neighbour>) -> Markup {
    html! {
        @match row {
            None => { span.zero { "not remembered" } }
            Some(Neighbour { seq, partition, position, at, time: own }) => {
                b { (number(*seq)) }
                @if let Some(position) = position { " at partition " (partition) ", offset " (number(*position)) }
                ", " (time(own.unwrap_or(*at)))
            }
        }
    }
}

/// What to take along: a command that shows the neighbours in the log itself, and the row.
fn copies(shown: &Shown, row: &GapRow, said: Option<&Said>) -> Markup {
    let json = serde_json::to_string(&GapJson::of(row, said)).unwrap_or_default();
    html! {
        div.copies {
            @if let Some(command) = kcat(shown, row) {
                details.copy {
                    summary { "See it in the log (kcat)" }
                    pre tabindex="0" { (command) }
                }
            }
            details.copy {
                summary { "The row as JSON" }
                pre tabindex="0" { (json) }
            }
        }
    }
}

/// Most records that a command asks for.
const RECORDS: u64 = 100;

/// The command that reads from the neighbour before to the one after, if the names are ones that
/// Kafka gives: others must not come near a shell.
fn kcat(shown: &Shown, row: &GapRow) -> Option<String> {
    let before = row.before.as_ref()?;
    let position = before.position?;
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let partition: u32 = before.partition.parse().ok()?;
    let sources = shown.brokers.iter();
    let mut near: Vec<_> =
        sources.filter(|source| row.stream.starts_with(&source.stream_prefix)).collect();
    near.sort_by_key(|source| std::cmp::Reverse(source.stream_prefix.len()));
    let (topic, brokers) = match near.as_slice() {
        [] => (row.stream.as_str(), None),
        [one, rest @ ..] => {
            let rival = rest.iter().any(|other| other.stream_prefix == one.stream_prefix);
            let topic = &row.stream[one.stream_prefix.len()..];
            (topic, (!rival).then_some(one.brokers.as_str()))
        }
    };
    let address =
        |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:,[]".contains(&b));
    let brokers = brokers.filter(address).unwrap_or("$BROKERS");
    let after = row.after.as_ref().filter(|after| after.partition == before.partition);
    let next = after.and_then(|after| after.position).filter(|&next| next > position);
    let records = next.map_or(2, |next| (next - position + 1).min(RECORDS));
    plain(topic).then(|| {
        format!(
            "kcat -C -b \"{brokers}\" -t {topic} -p {partition} -o {position} -c {records} -e \
             -f 'offset %o  %h\\n'"
        )
    })
}

fn form(shown: &Shown, row: &GapRow, id: &str, said: Option<&Said>) -> Markup {
    html! {
        form.acknowledge method="post" action=(shown.query.address("/page/acknowledgement")) {
            input type="hidden" name="id" value=(id);
            input type="hidden" name="last" value=(row.last);
            @if said.is_some() {
                input type="hidden" name="take_back" value="true";
                button type="submit" { "Take the acknowledgement back" }
            } @else {
                label { span { "Who" } input name="by" required maxlength="200" autocomplete="name"; }
                label.note { span { "Note" } input name="note" maxlength="4000"
                    placeholder="What was done about it"; }
                button type="submit" { "Acknowledge" }
            }
            p.answer role="alert" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_sentence() {
        assert_eq!(sentence("never answered"), "Never answered.");
    }
}
