//! The `name=value` arguments of this crate's programs.

use std::collections::BTreeMap;
use std::env;

/// What a program was started with.
#[derive(Debug)]
pub struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Reads this process's own.
    ///
    /// # Panics
    /// If one is not `name=value`.
    #[must_use]
    pub fn of_this_process() -> Self {
        let pairs = env::args().skip(1).map(|argument| {
            let (name, value) = argument
                .split_once('=')
                .unwrap_or_else(|| panic!("{argument:?}: arguments are name=value"));
            (name.to_owned(), value.to_owned())
        });
        Self(pairs.collect())
    }

    /// One that may be there.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One that must be there.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_else(|| panic!("{name}= is missing"))
    }

    /// One that must be there, a number.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number"))
    }

    /// All whose name begins with `prefix`, without it.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}
