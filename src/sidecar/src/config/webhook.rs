//! Where findings are posted.

use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderValue, Uri};

use super::layers::Layers;
use crate::duration::Millis;
use crate::report::STATES;
use crate::webhook::WebhookSettings;

/// `None`: something is missing, for which there is a mistake.
pub(super) fn take(layers: &mut Layers, has_state: bool) -> Option<Option<WebhookSettings>> {
    let mut section = layers.section(&["webhook"]);
    let [place, file_place] = ["url", "authorization_file"].map(|name| section.place(name));
    let url = section.text_with("url", url);
    let authorization = section.text_with("authorization", header);
    let authorization_file = section.parsed::<PathBuf>("authorization_file");
    let timeout = section.parsed::<Millis>("timeout");
    let states = section.list_with("states", state);
    let url = url?;
    if url.is_none() {
        return Some(None);
    }
    if !has_state {
        let what = "needs a state (state.path): what waits for the receiver waits there";
        section.mistake(place, "url", what);
    }
    let authorization_file = Some(authorization_file?).filter(|file| !file.as_os_str().is_empty());
    let authorization = authorization?;
    if authorization.is_some() && authorization_file.is_some() {
        let what = "stands beside webhook.authorization: one of the two is enough";
        section.mistake(file_place, "authorization_file", what);
    }
    let timeout = Duration::from_millis(timeout?.0);
    let states = states?;
    Some(url.map(|url| WebhookSettings { url, authorization, authorization_file, timeout, states }))
}

/// Reads a URL; what is wrong is told without repeating it, since it may hold a token.
fn url(text: &str) -> Result<Option<Uri>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let uri: Uri = text.parse().map_err(|why| format!("not a URL: {why}"))?;
    if uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")) {
        return Ok(Some(uri));
    }
    Err("not a URL of HTTP, as in https://host/path".to_owned())
}

/// Reads a header's value, in the same way.
fn header(text: &str) -> Result<Option<HeaderValue>, String> {
    let mut value: HeaderValue = text.parse().map_err(|_| "not a header's value".to_owned())?;
    value.set_sensitive(true);
    Ok(Some(value).filter(|value| !value.is_empty()))
}

fn state(word: &str) -> Result<String, String> {
    // What is missing is not judged yet.
    let known: Vec<&str> = STATES.into_iter().filter(|state| *state != "missing").collect();
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("{word:?} is no state of a finding: {} are", known.join(", ")))
}
