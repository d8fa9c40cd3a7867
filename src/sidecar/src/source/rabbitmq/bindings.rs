use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use lapin::types::{AMQPValue, FieldTable};
use serde::Deserialize;
use serde_json::Value;

/// A binding of a queue: what of an exchange reaches it.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The exchange.
    pub exchange: String,
    /// The routing key, or a topic exchange's pattern.
    pub routing_key: String,
    /// Its arguments, of a headers exchange.
    pub arguments: FieldTable,
}

impl FromStr for Binding {
    type Err = String;

    /// Reads `exchange/routing key`; the first slash divides.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((exchange, key)) if !exchange.is_empty() => Ok(Self {
                exchange: exchange.to_owned(),
                routing_key: key.to_owned(),
                arguments: FieldTable::default(),
            }),
            _ => Err(format!("{text:?} is not exchange/routing key, as in orders/eu.#")),
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.exchange, self.routing_key)
    }
}

/// A binding as the management API tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    source: String,
    routing_key: String,
    #[serde(default)]
    arguments: HashMap<String, Value>,
}

impl Told {
    /// `None`: the default exchange's, which no other queue can have.
    pub(super) fn binding(self) -> Option<Binding> {
        let Self { source: exchange, routing_key, arguments } = self;
        if exchange.is_empty() {
            return None;
        }
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            if let Some(value) = argument(&value) {
                table.insert(name.into(), value);
            }
        }
        Some(Binding { exchange, routing_key, arguments: table })
    }
}

fn argument(value: &Value) -> Option<AMQPValue> {
    match value {
        Value::String(text) => Some(AMQPValue::LongString(text.as_str().into())),
        Value::Bool(flag) => Some(AMQPValue::Boolean(*flag)),
        Value::Number(number) => number.as_i64().map(AMQPValue::LongLongInt),
        Value::Null => Some(AMQPValue::Void),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What an exchange does with a routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Fanout,
    Topic,
    /// Headers, or a plugin's: the routing key does not tell.
    Other,
}

impl Kind {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "direct" => Self::Direct,
            "fanout" => Self::Fanout,
            "topic" => Self::Topic,
            _ => Self::Other,
        }
    }

    /// Whether a message with this key passes a binding, as far as the key tells.
    pub(super) fn passes(self, binding: &str, key: &str) -> bool {
        match self {
            Self::Direct => binding == key,
            Self::Fanout => true,
            Self::Topic => {
                let words: Vec<_> = key.split('.').collect();
                topic(&binding.split('.').collect::<Vec<_>>(), &words)
            }
            Self::Other => false,
        }
    }
}

/// `*` is one word, `#` any number of them.
fn topic(pattern: &[&str], words: &[&str]) -> bool {
    match (pattern, words) {
        ([], words) => words.is_empty(),
        (["#", rest @ ..], words) => (0..=words.len()).any(|taken| topic(rest, &words[taken..])),
        ([_, ..], []) => false,
        ([first, rest @ ..], [word, words @ ..]) => {
            (*first == "*" || first == word) && topic(rest, words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_pass_as_the_broker_routes_them() {
        for (kind, binding, key, passes) in [
            (Kind::Direct, "eu", "eu", true),
            (Kind::Direct, "eu", "us", false),
            (Kind::Direct, "#", "eu", false),
            (Kind::Fanout, "", "anything", true),
            (Kind::Topic, "#", "", true),
            (Kind::Topic, "eu.*", "eu.de", true),
            (Kind::Topic, "eu.*", "eu", false),
            (Kind::Topic, "eu.*", "eu.de.by", false),
            (Kind::Topic, "eu.#", "eu", true),
            (Kind::Topic, "eu.#", "eu.de.by", true),
            (Kind::Topic, "#.by", "eu.de.by", true),
            (Kind::Topic, "*.#.by", "by", false),
            (Kind::Topic, "eu", "eu", true),
            (Kind::Other, "eu", "eu", false),
        ] {
            assert_eq!(kind.passes(binding, key), passes, "{kind:?} {binding:?} {key:?}");
        }
    }

    #[test]
    fn a_binding_is_divided_at_the_first_slash() {
        let binding: Binding = "orders/eu/de.#".parse().unwrap();
        assert_eq!((&*binding.exchange, &*binding.routing_key), ("orders", "eu/de.#"));
        assert!("orders".parse::<Binding>().is_err() && "/eu".parse::<Binding>().is_err());
    }
}
