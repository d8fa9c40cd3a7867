//! Values with types: each is taken once, and what nobody takes is a mistake.

use std::fmt;
use std::str::FromStr;

use super::layers::{ConfigError, Key, Layers, Place, Value};

/// One section: the keys below one path.
pub(super) struct Section<'a> {
    layers: &'a mut Layers,
    path: Key,
}

impl Layers {
    pub(super) fn section(&mut self, path: &[&str]) -> Section<'_> {
        let path = path.iter().map(|&name| name.to_owned()).collect();
        Section { layers: self, path }
    }

    /// The names that stand below a path, in order.
    pub(super) fn names(&self, below: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .values
            .keys()
            .filter(|key| key[0] == below)
            .filter_map(|key| key.get(1).cloned())
            .collect();
        names.dedup();
        names
    }

    /// All has been taken that is known: the rest is not, and everything wrong is told at once.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        for (key, (_, place)) in std::mem::take(&mut self.values) {
            let what = match &key[..] {
                [section, _, _, _, ..] if section == "stream" => {
                    "unknown key; a name with dots is quoted, as in [stream.\"orders.eu\"]"
                }
                _ => "unknown key; `lacuna run --default-config` prints those that there are",
            };
            self.mistake(place, &key, what);
        }
        if self.mistakes.is_empty() {
            return Ok(());
        }
        self.mistakes.sort();
        Err(ConfigError(self.mistakes))
    }
}

impl Section<'_> {
    /// What is written at a key, as text or through its type's own reading of text.
    pub(super) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.text_with(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// The same, through this reading; its error names the remedy.
    pub(super) fn text_with<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.take(name, |value| match value {
            Value::Text(text) | Value::Untyped(text) => read(&text),
            // What would be wrong with it as a string says more than that it is none.
            Value::Number(number) => match read(&number.to_string()) {
                Ok(_) => Err(expected("a string", &value)),
                Err(what) => Err(what),
            },
            Value::Flag(_) | Value::List(_) | Value::Other(_) => Err(expected("a string", &value)),
        })
    }

    /// A whole number, not negative.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, name: &str) -> Option<T> {
        self.take(name, |value| {
            let number = match &value {
                Value::Number(number) => u64::try_from(*number).ok(),
                Value::Untyped(text) => text.parse().ok(),
                Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Other(_) => None,
            };
            let number = number.and_then(|number| T::try_from(number).ok());
            number.ok_or_else(|| expected("a whole number", &value))
        })
    }

    /// true or false.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| match &value {
            Value::Flag(flag) => Ok(*flag),
            Value::Untyped(text) if text == "true" => Ok(true),
            Value::Untyped(text) if text == "false" => Ok(false),
            Value::Text(_)
            | Value::Number(_)
            | Value::List(_)
            | Value::Other(_)
            | Value::Untyped(_) => Err(expected("true or false", &value)),
        })
    }

    /// A list of strings, each through this reading.
    pub(super) fn list_with<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.take(name, |value| match &value {
            Value::List(items) => items.iter().map(|item| read(item)).collect(),
            Value::Untyped(text) if text.is_empty() => Ok(Vec::new()),
            Value::Untyped(text) => text.split(',').map(|item| read(item.trim())).collect(),
            Value::Text(_) | Value::Number(_) | Value::Flag(_) | Value::Other(_) => {
                Err(expected("a list of strings", &value))
            }
        })
    }

    /// A list of strings.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        self.list_with(name, |item| Ok(item.to_owned()))
    }

    /// Everything below a name, its levels with dots between, as text, and where it stands.
    pub(super) fn texts(&mut self, name: &str) -> Vec<(String, String, Place)> {
        let mut below = self.path.clone();
        below.push(name.to_owned());
        let keys: Vec<Key> =
            self.layers.values.keys().filter(|key| key.starts_with(&below)).cloned().collect();
        let mut texts = Vec::with_capacity(keys.len());
        for key in keys {
            let Some((value, place)) = self.layers.values.remove(&key) else { continue };
            let text = match value {
                Value::Text(text) | Value::Untyped(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Flag(flag) => flag.to_string(),
                // Nothing stands below it.
                Value::Other("table") => continue,
                Value::List(_) | Value::Other(_) => {
                    let what = expected("a string, a number or true or false", &value);
                    self.layers.mistake(place, &key, what);
                    continue;
                }
            };
            texts.push((key[below.len()..].join("."), text, place));
        }
        texts
    }

    /// Where a key stands, or else where the section's first one does.
    pub(super) fn place(&self, name: &str) -> Place {
        let key = self.key(name);
        let here = self.layers.values.get(&key);
        let first = || {
            let below = self.layers.values.iter().find(|(key, _)| key.starts_with(&self.path));
            below.map(|(_, value)| value)
        };
        here.or_else(first).map_or(Place::Default, |(_, place)| place.clone())
    }

    /// Where a key stands, or else this place.
    pub(super) fn place_or(&self, name: &str, other: &Place) -> Place {
        if self.has(name) { self.place(name) } else { other.clone() }
    }

    /// Whether a key is there, good or bad.
    pub(super) fn has(&self, name: &str) -> bool {
        self.layers.values.contains_key(&self.key(name))
    }

    /// Something is wrong with a key.
    pub(super) fn mistake(&mut self, place: Place, name: &str, what: impl Into<String>) {
        let key = self.key(name);
        self.layers.mistake(place, &key, what);
    }

    /// The section itself may stand there with nothing in it.
    pub(super) fn take_empty(&mut self) {
        self.layers.values.remove(&self.path);
    }

    fn take<T>(&mut self, name: &str, read: impl FnOnce(Value) -> Result<T, String>) -> Option<T> {
        let key = self.key(name);
        let (value, place) = self.layers.values.remove(&key)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(what) => {
                self.layers.mistake(place, &key, what);
                None
            }
        }
    }

    fn key(&self, name: &str) -> Key {
        let mut key = self.path.clone();
        key.push(name.to_owned());
        key
    }
}

fn expected(what: &str, value: &Value) -> String {
    let have = match value {
        Value::Text(text) | Value::Untyped(text) => format!("{text:?}"),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(items) => format!("{items:?}"),
        Value::Other(kind) => format!("a {kind}"),
    };
    format!("expected {what}, not {have}")
}
