//! A source of kind `rabbitmq`.

use std::path::PathBuf;
use std::time::Duration;

use lapin::uri::AMQPUri;

use super::layers::{Layers, Place, Value};
use super::take::Section;
use crate::cli::RunRabbitArgs;
use crate::duration::Millis;
use crate::source::rabbitmq::{RabbitSettings, TapKind};

/// The name of the source that flags describe.
const FROM_FLAGS: &str = "rabbitmq";
/// Longest name of a queue or an exchange, in bytes.
const MAX_NAME: usize = 255;

/// Adds the source that flags describe.
pub(super) fn flags(layers: &mut Layers, args: &RunRabbitArgs) {
    let mut set = |flag, name: &str, value: &str| {
        let key = ["source", FROM_FLAGS, name].map(str::to_owned).to_vec();
        layers.set(key, Value::Untyped(value.to_owned()), Place::Flag(flag));
    };
    set("--url", "kind", "rabbitmq");
    set("--url", "url", &args.url);
    set("--queue", "queue", &args.queue);
    // Another queue is another tap.
    set("--queue", "tap_queue", &format!("lacuna.tap.{}", args.queue));
    if let Some(management) = &args.management {
        set("--management", "management", management);
    }
    if args.stream {
        set("--stream", "tap", "stream");
    } else if args.firehose {
        set("--firehose", "tap", "firehose");
    }
}

/// The settings; `None`: something is missing, for which there is a mistake.
pub(super) fn take(section: &mut Section<'_>, name: &str, first: &Place) -> Option<RabbitSettings> {
    let (given, named) = (section.has("url"), section.has("queue"));
    // Each is taken before any is missed, so that all mistakes are told.
    let uri = section.text_with("url", url);
    let username = section.parsed::<String>("username");
    let password = section.parsed::<String>("password");
    let password_file = section.parsed::<PathBuf>("password_file");
    let management = section.parsed::<String>("management");
    let queue = section.text_with("queue", of_length);
    let bindings = section.list_with("bindings", str::parse).unwrap_or_default();
    let tap = section.text_with("tap", tap).unwrap_or_default();
    let tap_queue = section.text_with("tap_queue", of_length);
    let whole = section.list_with("whole", of_length).unwrap_or_default();
    let max_messages = section.number("max_messages").unwrap_or(RabbitSettings::MAX_MESSAGES);
    let max_bytes = section.number("max_bytes").unwrap_or(RabbitSettings::MAX_BYTES);
    let expires = section.parsed::<Millis>("expires");
    let ledger = section.text_with("ledger", of_length);
    let ledger = ledger.unwrap_or_else(|| RabbitSettings::LEDGER.to_owned());
    let stream_prefix = section.parsed::<String>("stream_prefix").unwrap_or_default();

    if !given {
        section.mistake(first.clone(), "url", "needs a url, as in url = \"amqp://host/%2f\"");
    }
    if queue.is_none() && (bindings.is_empty() || tap == TapKind::Firehose) {
        if !named {
            let what = "needs the queue that is watched, or its bindings";
            section.mistake(first.clone(), "queue", what);
        }
        return None;
    }
    let mut settings = RabbitSettings::new(name, uri?);
    let user = &mut settings.uri.authority.userinfo;
    if let Some(username) = username {
        user.username = username;
    }
    if let Some(password) = password {
        user.password = password;
    }
    if let Some(Millis(millis)) = expires {
        settings.expires = Duration::from_millis(millis);
    }
    if let Some(tap_queue) = tap_queue {
        settings.tap_queue = tap_queue;
    }
    Some(RabbitSettings {
        password_file,
        management,
        queue,
        bindings,
        tap,
        whole,
        max_messages,
        max_bytes,
        ledger: Some(ledger).filter(|queue| queue != "off"),
        stream_prefix,
        ..settings
    })
}

/// Reads a URL; what is wrong is told without repeating it, since it may hold a password.
fn url(text: &str) -> Result<AMQPUri, String> {
    text.parse().map_err(|why| {
        format!("not a URL of AMQP, as in amqp://host:5672/%2f or amqps://host/vhost: {why}")
    })
}

fn tap(text: &str) -> Result<TapKind, String> {
    match text {
        "queue" => Ok(TapKind::Queue),
        "stream" => Ok(TapKind::Stream),
        "firehose" => Ok(TapKind::Firehose),
        _ => Err(format!("{text:?} is no tap: queue, stream and firehose are")),
    }
}

fn of_length(name: &str) -> Result<String, String> {
    match name.len() {
        1..=MAX_NAME => Ok(name.to_owned()),
        len => Err(format!("a name of {len} bytes: 1 to {MAX_NAME} are allowed")),
    }
}
