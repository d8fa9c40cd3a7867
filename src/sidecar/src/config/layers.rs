//! Where values come from: layers, the later of which win, flat: one entry a key.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::shown::shown;

/// Kinds of sources, which may stand as lists.
const KINDS: [&str; 2] = ["kafka", "rabbitmq"];

/// The path to a key, one name a level.
pub(super) type Key = Vec<String>;

/// What is wrong with a configuration, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// The key, its levels with dots between; empty where no key can be told.
    pub key: String,
    /// What is wrong, and the remedy.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, what } = self;
        match place {
            Place::File { .. } if !key.is_empty() => {
                write!(f, "{place}: {}: {}", shown(key), shown(what))
            }
            Place::File { .. } | Place::Environment(_) | Place::Flag(_) | Place::Default => {
                write!(f, "{place}: {}", shown(what))
            }
        }
    }
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the embedded configuration.
    Default,
    /// In a file.
    File {
        /// As it was named.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// In this variable.
    Environment(String),
    /// In this flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default configuration"),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value before it has a type of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string of a file.
    Text(String),
    /// A whole number of a file.
    Number(i64),
    /// A boolean of a file.
    Flag(bool),
    /// A list of strings of a file.
    List(Vec<String>),
    /// Anything else of a file, by the name of its type.
    Other(&'static str),
    /// The environment and flags have text alone, and it stands for every type.
    Untyped(String),
}

/// The layers, merged.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    pub(super) values: BTreeMap<Key, (Value, Place)>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Layers {
    /// The embedded configuration alone.
    #[must_use]
    pub fn embedded() -> Self {
        let mut layers = Self::default();
        layers.document(super::DEFAULT, |_| Place::Default);
        layers
    }

    /// Adds a file's text; `file` is what it is called in messages.
    pub fn file(&mut self, file: &str, text: &str) {
        self.document(text, |offset| {
            let before = text.get(..offset).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            Place::File {
                file: file.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
            }
        });
    }

    /// Adds those of the variables that are `LACUNA_`, a section, `__` and a key. Others with that
    /// beginning are not ours: an orchestrator's `LACUNA_PORT` for a service of this name.
    pub fn environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        for (variable, value) in variables {
            let Some(variable) = variable.to_str() else { continue };
            let Some(path) = variable.strip_prefix("LACUNA_") else { continue };
            if !path.contains("__") {
                continue;
            }
            let mut key: Key = path.split("__").map(str::to_ascii_lowercase).collect();
            if let [section, _, properties, property] = &mut key[..]
                && (&**section, &**properties) == ("source", "properties")
            {
                *property = property.replace('_', ".");
            }
            let place = Place::Environment(variable.to_owned());
            match value.into_string() {
                Ok(value) => self.set(key, Value::Untyped(value), place),
                Err(_) => self.mistake(place, &key, "not UTF-8"),
            }
        }
    }

    /// Adds a flag's value, if it was given.
    pub fn flag(&mut self, flag: &'static str, key: &[&str], value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            let key = key.iter().map(|&name| name.to_owned()).collect();
            self.set(key, Value::Untyped(value.to_string()), Place::Flag(flag));
        }
    }

    /// The keys that another reading has otherwise, wherever their values stand.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Vec<Vec<String>> {
        let value =
            |layers: &Self, key: &Key| layers.values.get(key).map(|(value, _)| value.clone());
        let keys: BTreeSet<&Key> = self.values.keys().chain(other.values.keys()).collect();
        let other = keys.into_iter().filter(|key| value(self, key) != value(other, key));
        other.cloned().collect()
    }

    pub(super) fn mistake(&mut self, place: Place, key: &[String], what: impl Into<String>) {
        self.mistakes.push(Mistake { place, key: key.join("."), what: what.into() });
    }

    pub(super) fn set(&mut self, key: Key, value: Value, place: Place) {
        self.values.insert(key, (value, place));
    }

    fn document(&mut self, text: &str, place: impl Fn(usize) -> Place) {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let place = place(error.span().map_or(text.len(), |span| span.start));
            self.mistake(place, &[], error.message().trim_end());
        }
        let mut rest = table.into_inner();
        for kind in KINDS {
            if let Some(sources) = rest.get(kind).and_then(|value| value.get_ref().as_array()) {
                self.sources(kind, sources, &place);
                rest.remove(kind);
            }
        }
        self.table(&mut Key::new(), &rest, &place);
    }

    /// Sources as a list of their kind: `[[kafka]]` with a `name` is `[source.NAME]` of that kind.
    fn sources(&mut self, kind: &str, sources: &DeArray<'_>, place: &impl Fn(usize) -> Place) {
        for source in sources {
            let here = place(source.span().start);
            let Some(table) = source.get_ref().as_table() else {
                self.mistake(here, &[kind.to_owned()], format!("a source is a table: [[{kind}]]"));
                continue;
            };
            let name = table.get("name").map(|name| (name.get_ref().as_str(), name.span().start));
            let name = match name {
                None if sources.len() == 1 => kind,
                None => {
                    self.mistake(
                        here,
                        &[kind.to_owned()],
                        "missing: name, which tells several apart",
                    );
                    continue;
                }
                Some((Some(name), _)) if !name.is_empty() => name,
                Some((_, at)) => {
                    let key = [kind.to_owned(), "name".to_owned()];
                    self.mistake(place(at), &key, "a source's name is a string that is not empty");
                    continue;
                }
            };
            let mut path = vec!["source".to_owned(), name.to_owned()];
            let key = [path.clone(), vec!["kind".to_owned()]].concat();
            let twice =
                self.values.get(&key).is_some_and(|(_, other)| is_of_one_file(other, &here));
            if twice {
                self.mistake(here, &path, "there is a source of this name already");
                continue;
            }
            self.set(key, Value::Text(kind.to_owned()), here);
            let mut rest = table.clone();
            rest.remove("name");
            self.table(&mut path, &rest, place);
        }
    }

    fn table(&mut self, path: &mut Key, table: &DeTable<'_>, place: &impl Fn(usize) -> Place) {
        for (name, value) in table {
            path.push(name.get_ref().clone().into_owned());
            // An empty table is a value too: a section that names something and says nothing.
            match value.get_ref().as_table().filter(|inner| !inner.is_empty()) {
                Some(inner) => self.table(path, inner, place),
                None => self.set(path.clone(), flat(value), place(name.span().start)),
            }
            path.pop();
        }
    }
}

fn is_of_one_file(one: &Place, other: &Place) -> bool {
    matches!((one, other), (Place::File { file: a, .. }, Place::File { file: b, .. }) if a == b)
}

fn flat(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("integer beyond 64 bits"), Value::Number),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map_or(Value::Other("list of other values"), Value::List)
        }
        DeValue::Float(_) => Value::Other("float"),
        DeValue::Datetime(_) => Value::Other("date"),
        DeValue::Table(_) => Value::Other("table"),
    }
}
