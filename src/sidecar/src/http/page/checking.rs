//! The switch. Turning it off is asked about once more, for what passes meanwhile is never judged.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::shown::Shown;

/// Streams that are offered by name; others are reached by choosing one.
const STREAMS: usize = 12;

pub(super) fn checking(shown: &Shown) -> Markup {
    let known = shown.streams().iter().map(|row| row.stream.as_str());
    let streams: BTreeSet<&str> = known.chain(shown.switch.off()).collect();
    let all = shown.switch.is_on(None);
    html! {
        section.checking #checking aria-labelledby="checking-title" {
            header { h2 #checking-title { "Checking" } }
            ul.switches {
                li { (switch(shown, None, all)) }
                @for stream in streams.iter().take(STREAMS) {
                    li { (switch(shown, Some(stream), shown.switch.is_on(Some(stream)))) }
                }
            }
            @if streams.len() > STREAMS { p.more { "Choose a stream to switch one of the others." } }
            @if !all { p { "A stream is checked again only when everything is on." } }
        }
    }
}

fn switch(shown: &Shown, stream: Option<&str>, on: bool) -> Markup {
    let what = stream.unwrap_or("Everything");
    let id = stream.map_or_else(
        || "off-all".to_owned(),
        |stream| format!("off-{:08x}", lacuna_core::stamp::origin(stream)),
    );
    let fields = html! {
        @if let Some(stream) = stream { input type="hidden" name="stream" value=(stream); }
        input type="hidden" name="enabled" value=(!on);
    };
    let action = shown.query.address("/page/checking");
    html! {
        span.what { (what) }
        span.on[on].off[!on] { (if on { "checked" } else { "off" }) }
        @if on {
            button.quiet type="button" popovertarget=(id) { "Turn off…" }
            div.ask #(id) popover role="dialog" aria-label={ "Turn off: " (what) } {
                p { b { @match stream {
                    None => { "Stop checking everything?" }
                    Some(stream) => { "Stop checking " (stream) "?" }
                } } }
                p { "Gaps that are open become unknown, and so does what passes until it is on again. No alert comes from it meanwhile." }
                form.switch method="post" action=(action) {
                    (fields)
                    button.danger type="submit" { "Turn off" }
                    button.quiet type="button" popovertarget=(id) popovertargetaction="hide" { "Leave it on" }
                    p.answer role="alert" {}
                }
            }
        } @else {
            form.switch method="post" action=(action) {
                (fields)
                button.quiet type="submit" disabled[stream.is_some() && !shown.switch.is_on(None)] { "Turn on" }
                p.answer role="alert" {}
            }
        }
    }
}
